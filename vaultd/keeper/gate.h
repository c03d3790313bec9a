// SPDX-License-Identifier: Apache-2.0
// Authority, not shape (DESIGN promise 3): may this token open this credential
// for this request, now?
#ifndef VLT_KEEPER_GATE_H
#define VLT_KEEPER_GATE_H

#include "libvault/audit/event.h"
#include "libvault/store/record_credential.h"
#include "vaultd/keeper/keeper.h"
#include "vaultd/keeper/seen.h"

struct gate_pass {
    struct seen_token *token;   // held: seen_release; NULL when the token did not verify
    struct token_claims claims; // of it; views into `token`
    uint32_t tenant, version, data_key;
};

// Order: token verified over its raw bytes → unexpired → tenant enabled → not
// revoked → proof fits the binding → covers the use → credential active → host
// is one of the credential's. Within an open snapshot. Fills what it learned
// also when it refuses, so that the refusal can be recorded; the caller calls
// gate_pass_done in every case. The proof itself is not used up: gate_use_proof.
vlt_result gate_permit(struct keeper *keeper, const struct ask_open *ask, int64_t now_s,
                       struct gate_pass *ret_pass) VLT_MUST_USE;
void gate_pass_done(struct gate_pass *pass);

// A DPoP proof is good once: the last step before the decision is recorded.
vlt_result gate_use_proof(struct keeper *keeper, const struct ask_open *ask,
                          const struct token_claims *claims, int64_t now_s) VLT_MUST_USE;

// Verifies a token or finds it among those seen; holds it. Judges nothing but
// signature, form, issuer and time.
vlt_result gate_token(struct keeper *keeper, struct bytes token, int64_t now_s,
                      struct seen_token **ret_token, struct token_claims *ret_claims) VLT_MUST_USE;
// A token of that time is about. Revocations by time then reach as far as gate_issued_until
// says: now, or later where the clock was set back.
void gate_note_issued(struct keeper *keeper, int64_t issued_at);
int64_t gate_issued_until(const struct keeper *keeper, int64_t now_s);
// A rule that ends tokens of until now is on its way into the store, which takes as long as
// the disks do; then it is there, or refused. gate_rule_reaches: it ends what was issued at
// that time or before. gate_issue_time: what a token that is signed now, and expires then,
// says about when it was issued. Times are whole seconds: where a rule that is there reaches
// into this one the token's is rounded up, so that it is not taken for one of before the
// rule. Only to the next second, and never while a rule is on its way: a token that two
// rules of one second stand before may so be ended with those of before.
void gate_rule_begins(struct keeper *keeper, int64_t now_s);
void gate_rule_reaches(struct keeper *keeper, int64_t until_s);
void gate_rule_ended(struct keeper *keeper);
int64_t gate_issue_time(const struct keeper *keeper, int64_t now_s, int64_t expires_at);
// Tenant enabled and nothing revoked, remembered until something changes.
vlt_result gate_authority(struct keeper *keeper, struct seen_token *token,
                          const struct token_claims *claims) VLT_MUST_USE;
// Is that version of the credential still one that opens?
vlt_result gate_credential(struct keeper *keeper, uint32_t tenant, struct bytes name, int64_t now_s,
                           uint32_t version) VLT_MUST_USE;

// Writes what the token says about who acts into the event.
void gate_describe(const struct token_claims *claims, struct audit_event *event);

#endif
