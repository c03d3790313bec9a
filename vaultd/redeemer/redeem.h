// SPDX-License-Identifier: Apache-2.0
// One redeem under way: from the forwarder's question to its answer.
#ifndef VLT_REDEEMER_REDEEM_H
#define VLT_REDEEMER_REDEEM_H

#include "libvault/audit/event.h"
#include "libvault/token/token_scope.h"
#include "vaultd/redeemer/forwarder.h"
#include "vaultd/redeemer/redeem_refusal.h"
#include "vaultd/redeemer/redeem_request.h"
#include "vaultd/redeemer/redeemer.h"
#include "vaultd/redeemer/verdict_memo.h"
#include "vaultd/view/credential_view.h"

#define REDEEM_CORRELATION_SIZE 65

struct redeem {
    struct redeemer *redeemer;
    struct http_exchange *x;
    const char *operation; // static, as the log calls it
    struct redeem_request request;
    // Found out on the way; what is borrowed is so from caches, that is until this
    // turn of the loop ends. NULL until it is found.
    const struct record_forwarder *forwarder;
    const struct token_claims *claims;
    const char *kid; // of the key that signed the token
    uint8_t token_sha256[32];
    uint8_t proof_id[32];
    uint64_t proof_until;
    struct verdict verdict; // as far as it got, when the redeem is refused
    // A refusal that names what is wrong with this very request: the token's max_tokens
    // stands against it, or it is malformed. Status 0: there is none.
    struct redeem_refusal own;
    const char *own_reason; // for the log
    char own_message[512];
    // For the answer.
    char correlation[REDEEM_CORRELATION_SIZE], destination[256];
    char forwarder_name[RECORD_NAME_MAX + 1];
    // Before the decision: a change that races it makes the answer stale, or doubtful.
    uint64_t epoch, standing;
    char *grant; // owned; see grant.h
    bool may_cache;
};

// redeem_judge.c: which tenant, which credential, and do the policies permit it?
// Fills verdict and may_cache. VLT_DENIED with the reason for the log, which holds
// until the next call.
vlt_result redeem_judge(struct redeem *redeem) VLT_MUST_USE;
// redeem_choose.c: which credential of the token serves this destination, and
// whether the token covers the request. VLT_DENIED with the reason for the log.
// The detail is borrowed from the claims.
vlt_result redeem_choose(struct redeem *redeem, uint32_t tenant, struct credential_view *ret_view,
                         const struct token_detail **ret_detail) VLT_MUST_USE;
// redeem_limit.c: the token does not cover the request: VLT_DENIED with the reason for
// the log. Where max_tokens is the reason, redeem->own tells the client.
vlt_result redeem_uncovered(struct redeem *redeem, const struct token_use *use,
                            struct bytes profile) VLT_MUST_USE;
// redeem_proof.c: the token is bound: is its key proved? NULL when it is, else
// what the client is told; *ret_reason is for the log.
const struct redeem_refusal *redeem_prove(struct redeem *redeem, const char **ret_reason);
// redeem_event.c: texts hold until the next call.
void redeem_event(const struct redeem *redeem, enum audit_outcome outcome, const char *reason,
                  struct audit_event *ret_event);
// redeem_answer.c: ends the redeem.
void redeem_refuse(struct redeem *redeem, const struct redeem_refusal *refusal, const char *reason);
void redeem_refuse_with(struct redeem *redeem, const struct redeem_refusal *refusal,
                        const struct audit_event *event); // recorded as that event
void redeem_opened(vlt_result result, const struct answer_open *answer, void *context);
struct redeem *redeem_new(struct redeemer *redeemer, struct http_exchange *x); // NULL: no memory
void redeem_free(struct redeem *redeem);
// redeem_malformed.c: of what the forwarder got wrong; `said` is the answer's text.
void redeem_refuse_malformed(struct redeem *redeem, const char *rule, const char *said);
// Of a forwarder's other questions, recorded as that operation. `said`: what was malformed
// about it, and then `reason` is the rule; NULL: refused with `refusal`.
void redeem_refuse_question(struct redeemer *redeemer, struct http_exchange *x,
                            const char *operation, const struct redeem_refusal *refusal,
                            const char *reason, const char *said);
// Of one whose body is larger than its route takes.
void redeem_refuse_too_large(struct redeemer *redeemer, struct http_exchange *x,
                             const char *operation);
// redeem_unheard.c: the keeper did not hear of it (channel_was_unheard).
void redeem_refuse_unheard(struct redeem *redeem, vlt_result why);

#endif
