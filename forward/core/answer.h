// SPDX-License-Identifier: Apache-2.0
// What the redeemer decided. Parsed in place: the views lie in the caller's
// memory, which is changed and which the caller wipes.
#ifndef VLT_FORWARD_ANSWER_H
#define VLT_FORWARD_ANSWER_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define ANSWER_INJECT_MAX 8
#define ANSWER_REMOVE_MAX 16 // the well-known carriers, and PROFILE_PLACES_MAX
#define ANSWER_HEADERS_MAX 8
#define ANSWER_GRANT_MAX 8192

struct answer_inject {
    bool in_query; // else a header; its name is lower case
    struct bytes name, value;
    struct bytes secret; // the part of the value that is one; empty: none is
};
struct answer {
    size_t inject_count, remove_count;
    struct answer_inject inject[ANSWER_INJECT_MAX]; // secret
    struct bytes remove[ANSWER_REMOVE_MAX];
    struct bytes upstream, credential, txn;
    struct bytes grant; // for POST /v1/standing; empty: the redeemer is older than that
    uint64_t cache_s, epoch, standing;
    bool model_required;
    uint64_t max_tokens_from, max_tokens_to; // requests for which it holds; 0: one without a limit
};
// Every name and value is checked for what may stand in a request: nothing in
// it can end a line. VLT_MALFORMED, VLT_LIMIT.
vlt_result answer_parse(uint8_t *at, size_t size, struct answer *ret_answer) VLT_MUST_USE;

static inline bool answer_holds_for(const struct answer *answer, uint64_t max_tokens) {
    return max_tokens >= answer->max_tokens_from && max_tokens <= answer->max_tokens_to;
}

// An answer as one row of bytes, for a cache. VLT_LIMIT when it does not fit: then nothing of
// it is left in `at`.
vlt_result answer_pack(const struct answer *answer, uint8_t *at, size_t capacity,
                       size_t *ret_size) VLT_MUST_USE;
// The views lie in `packed`; on failure *ret_answer is an answer without anything.
vlt_result answer_unpack(struct bytes packed, struct answer *ret_answer) VLT_MUST_USE;

struct denial {
    unsigned status;
    struct bytes type, code, message; // of the error
    size_t header_count;
    struct {
        struct bytes name, value;
    } headers[ANSWER_HEADERS_MAX]; // for the client: www-authenticate, dpop-nonce, retry-after
};
// `status` is that of the HTTP answer: the body need not repeat it.
vlt_result denial_parse(uint8_t *at, size_t size, unsigned status,
                        struct denial *ret_denial) VLT_MUST_USE;

#endif
