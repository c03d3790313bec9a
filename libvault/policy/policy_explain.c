// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_decide.h"

#include "libvault/policy/policy_authorize.h"

static enum policy_stage stage_of(enum policy_match match) {
    static const enum policy_stage stages[] = {
        [POLICY_MATCH_PRINCIPAL] = POLICY_STAGE_PRINCIPAL,
        [POLICY_MATCH_ACTION] = POLICY_STAGE_ACTION,
        [POLICY_MATCH_RESOURCE] = POLICY_STAGE_RESOURCE,
        [POLICY_MATCH_CLAUSE] = POLICY_STAGE_CONDITION,
        [POLICY_MATCH_ALL] = POLICY_STAGE_SATISFIED,
    };
    return stages[match];
}

static void place(struct policy_outcome *outcome, const struct policy *policy,
                  const struct policy_clause *clause) {
    const struct policy_scope *scope = outcome->stage == POLICY_STAGE_PRINCIPAL ? &policy->principal
                                       : outcome->stage == POLICY_STAGE_ACTION  ? &policy->action
                                                                                : &policy->resource;
    bool in_clause = clause && (outcome->stage == POLICY_STAGE_CONDITION ||
                                outcome->stage == POLICY_STAGE_ERRORED);
    bool is_satisfied = outcome->stage == POLICY_STAGE_SATISFIED;
    outcome->line = in_clause ? clause->line : is_satisfied ? policy->line : scope->place.line;
    outcome->column = in_clause      ? clause->column
                      : is_satisfied ? policy->column
                                     : scope->place.column;
}

vlt_result policy_explain(const struct policy_set *set, struct policy_request *request,
                          policy_explain_fn *each, void *context) {
    struct policy_eval eval = {.request = request};
    VLT_TRY(policy_request_ready(request));
    for (size_t i = 0; i < set->count; i++) {
        const struct policy *policy = &set->policies[i];
        const struct policy_clause *clause = NULL;
        enum policy_match match = POLICY_MATCH_ALL;
        if (policy_is_template(policy))
            continue;
        vlt_result result = policy_eval_policy(&eval, policy, &match, &clause);
        if (!vlt_is_ok(result) && result.class != VLT_MALFORMED)
            return result;
        struct policy_outcome outcome = {.policy = policy_set_view(set, i)};
        outcome.stage = vlt_is_ok(result) ? stage_of(match) : POLICY_STAGE_ERRORED;
        place(&outcome, policy, clause);
        if (!vlt_is_ok(result))
            outcome.message = policy_error_message(set, policy, &eval, result);
        if (request->arena.failed)
            return vlt_fail(VLT_LIMIT, "request too large");
        if (!each(context, &outcome))
            break;
    }
    return vlt_ok();
}
