// SPDX-License-Identifier: Apache-2.0
// What was permitted before for the very same question, so that an agent that
// makes the same call again does not pay for the policies again. Bounded memory,
// one thread.
//
// A verdict follows from the token, the forwarder, the request and the store. The
// first three are the key, compared whole (but for max_tokens, which must lie in what
// the verdict holds for: an agent seldom repeats it); the store is its revision: any commit
// (a policy, a credential, a tenant, a forwarder) ends every verdict. Time is in
// neither: a token's end is looked at before, and a decision that looked at the
// clock, the token's age or the source is momentary and must not be kept. Denials
// are not kept. The keeper decides again in any case.
#ifndef VLT_REDEEMER_VERDICT_MEMO_H
#define VLT_REDEEMER_VERDICT_MEMO_H

#include "libvault/base/bytes.h"
#include "libvault/store/record_credential.h"
#include "vaultd/policy/policy_cache.h"
#include "vaultd/policy/policy_words.h"

// max_tokens of the requests for which a verdict holds, both ends included; 0: of one
// that says none.
struct verdict_numbers {
    uint64_t from, to;
};

struct verdict {
    char credential[RECORD_NAME_MAX + 1];
    uint64_t created_at;                   // which credential of that name
    char policies[POLICY_WORDS_SIZE];      // that determined it
    char policy_set[POLICY_HASH_TEXT_SIZE];
    bool model_required;                   // the token names models
    struct verdict_numbers numbers;
};

// What the verdict is about. The token by its SHA-256.
struct verdict_question {
    const uint8_t *token_sha256; // 32 bytes
    struct bytes forwarder, source, method, host, path, model, tool;
    uint64_t max_tokens;
};

struct verdict_memo;
struct verdict_memo *verdict_memo_new(void); // NULL: out of memory
void verdict_memo_free(struct verdict_memo *memo);

// `revision` is the store's, of the snapshot in which the question is asked; 0 (no
// commit yet) finds and keeps nothing.
bool verdict_memo_find(const struct verdict_memo *memo, const struct verdict_question *question,
                       uint64_t revision, struct verdict *ret_verdict);
// A question that is too long for a slot is not kept.
void verdict_memo_keep(struct verdict_memo *memo, const struct verdict_question *question,
                       uint64_t revision, const struct verdict *verdict);

#endif
