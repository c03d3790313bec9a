// SPDX-License-Identifier: Apache-2.0
// The decision that this project acts on: the authorizer's answer, failed
// closed. Cedar skips a policy that errors, which is right for a permit and
// wrong for us with a forbid: a forbid that could not be evaluated denies. So
// does a request that could not be evaluated at all.
#ifndef VLT_POLICY_POLICY_DECIDE_H
#define VLT_POLICY_POLICY_DECIDE_H

#include "libvault/base/buf.h"
#include "libvault/policy/policy.h"

enum policy_cause {
    POLICY_ALLOWED,        // by the permits in answer.reasons
    POLICY_NO_PERMIT,      // no permit matched
    POLICY_FORBIDDEN,      // by the forbids in answer.reasons
    POLICY_FORBID_ERRORED, // answer.errors says which
    POLICY_NOT_EVALUATED,  // limit or malformed request: `result` says why
};
const char *policy_cause_name(enum policy_cause cause); // "allowed", "no_permit", …

struct policy_decision {
    bool is_allowed;
    enum policy_cause cause;
    vlt_result result;           // of policy_authorize
    struct policy_answer answer; // empty when cause is POLICY_NOT_EVALUATED
};

// Never fails: what cannot be decided is denied. Memory as in policy_answer.
struct policy_decision policy_decide(const struct policy_set *set,
                                     struct policy_request *request);

// Appends one sentence for the log or a person: "allowed by main.ops", "denied:
// forbidden by x", "denied: no permit matched", "denied: a forbid could not be
// evaluated; forbid y errored: main:3:8: there is no such attribute (owner)".
void policy_decision_text(const struct policy_decision *decision, struct buf *out);

// How far one policy came with this request.
enum policy_stage {
    POLICY_STAGE_PRINCIPAL, // the scope's principal did not match
    POLICY_STAGE_ACTION,
    POLICY_STAGE_RESOURCE,
    POLICY_STAGE_CONDITION, // a when or unless said no: line and column
    POLICY_STAGE_ERRORED,   // while evaluating a condition: message
    POLICY_STAGE_SATISFIED,
};
struct policy_unmet {
    enum policy_stage stage;
    unsigned line, column; // of the scope's part, or of the innermost expression that decided
    bool is_true;          // of a condition: it is true, and must be false
};
struct policy_outcome {
    struct policy_view policy;
    enum policy_stage stage;
    unsigned line, column; // of the clause that stopped it
    struct bytes message;  // of an error
    // Everything of the scope that did not match, not only the first; when all of
    // it did, the condition that said no or erred. Empty when satisfied.
    size_t unmet_count;
    struct policy_unmet unmet[3];
};
// Every policy of the set in turn, without the index, for `vaultctl policy
// explain`. The callback returns false to stop. Results as policy_authorize.
typedef bool policy_explain_fn(void *context, const struct policy_outcome *outcome);
vlt_result policy_explain(const struct policy_set *set, struct policy_request *request,
                          policy_explain_fn *each, void *context) VLT_MUST_USE;

#endif
