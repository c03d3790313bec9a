// SPDX-License-Identifier: Apache-2.0
// What a token covers and what lies inside what. Limits are compared by this
// code, never as strings (RFC 9396 section 6): a pattern is a text, or a text
// with '*' as its last character, which stands for any ending.
//
// The upstream host is no part of a token: it belongs to the credential, and the
// keeper compares it with the credential's record. Any thread; no allocation.
#ifndef VLT_TOKEN_TOKEN_SCOPE_H
#define VLT_TOKEN_TOKEN_SCOPE_H

#include "libvault/token/claims.h"

// One request that wants to use a credential.
struct token_use {
    struct bytes credential;
    struct bytes method; // "POST"
    struct bytes path;   // normalised (http_path_normalise), without query
    struct bytes model;  // empty: none known
    struct bytes tool;   // empty: none known
    uint64_t max_tokens; // that the provider may produce for it at most; 0: not known
};

// VLT_DENIED unless one detail of the token covers all of the use; *ret_detail
// (may be NULL) is that one, a view into claims. Where a detail limits models or
// tools, or max_tokens, a use without one is not covered: what is unknown is not
// inside a limit. A path that is not normal ("..", "//", '?', '%2F', '\') is never covered.
vlt_result token_covers(const struct token_claims *claims, const struct token_use *use,
                        const struct token_detail **ret_detail) VLT_MUST_USE;

// The same for one detail.
bool token_detail_covers(const struct token_detail *detail, const struct token_use *use);

// Is `path` as http_path_normalise leaves it? (A check of the result, not the
// work itself: unreserved characters that are still escaped pass.)
bool token_path_is_normal(struct bytes path);
bool token_pattern_matches(struct bytes pattern, struct bytes text);
// Every text that `inner` matches is matched by `outer`.
bool token_pattern_is_inside(struct bytes inner, struct bytes outer);

// The part of `requested` that lies inside `allowed`: a list that is not limited
// in `requested` takes the limits of `allowed`, likewise max_tokens. VLT_DENIED
// when the credential differs or any requested pattern or number reaches beyond
// what is allowed: nothing is cut silently. Views of both inputs.
vlt_result token_detail_narrow(const struct token_detail *requested,
                               const struct token_detail *allowed,
                               struct token_detail *ret_detail) VLT_MUST_USE;

#endif
