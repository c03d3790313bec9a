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

static void unmet_add(struct policy_outcome *outcome, enum policy_stage stage, unsigned line,
                      unsigned column) {
    outcome->unmet[outcome->unmet_count++] =
        (struct policy_unmet){.stage = stage, .line = line, .column = column};
}

static void unmet_of_scope(struct policy_eval *eval, const struct policy *policy,
                           struct policy_outcome *outcome) {
    static const enum policy_stage stages[] = {POLICY_STAGE_PRINCIPAL, POLICY_STAGE_ACTION,
                                               POLICY_STAGE_RESOURCE};
    const struct policy_scope *const scopes[] = {&policy->principal, &policy->action,
                                                 &policy->resource};
    for (int i = 0; i < 3; i++)
        if (!policy_eval_scope(eval, scopes[i], &eval->request->party[i]))
            unmet_add(outcome, stages[i], scopes[i]->place.line, scopes[i]->place.column);
}

// Down to the part of `a && b` that is false, or of `a || b` that is true where a
// false one was wanted. What was evaluated once without an error is so again.
static const struct policy_node *decisive(struct policy_eval *eval, const struct policy_node *node,
                                          bool value, bool *ret_value) {
    *ret_value = value;
    bool is_decided_by_one = node->kind == (value ? POLICY_NODE_OR : POLICY_NODE_AND);
    if (node->kind == POLICY_NODE_NOT)
        return decisive(eval, node->parts[0], !value, ret_value);
    for (uint32_t i = 0; is_decided_by_one && i < node->part_count; i++) {
        struct policy_value part;
        if (!vlt_is_ok(policy_eval_expression(eval, node->parts[i], &part)))
            break;
        if (part.kind == POLICY_BOOL && part.boolean == value)
            return decisive(eval, node->parts[i], value, ret_value);
    }
    return node;
}

// Where the text of an expression begins: a method's node stands at its name.
static const struct policy_node *leftmost(const struct policy_node *node) {
    const struct policy_node *first = node;
    while (first->part_count &&
           (first->parts[0]->line < first->line ||
            (first->parts[0]->line == first->line && first->parts[0]->column <= first->column)))
        first = first->parts[0];
    return first;
}

static void find_unmet(struct policy_eval *eval, const struct policy *policy,
                       const struct policy_clause *clause, struct policy_outcome *outcome) {
    if (outcome->stage == POLICY_STAGE_CONDITION) {
        bool is_true = false;
        const struct policy_node *node =
            decisive(eval, clause->condition, clause->is_unless, &is_true);
        unmet_add(outcome, outcome->stage, leftmost(node)->line, leftmost(node)->column);
        outcome->unmet[0].is_true = is_true;
    } else if (outcome->stage == POLICY_STAGE_ERRORED) {
        const struct policy_node *where = eval->where ? eval->where : clause->condition;
        unmet_add(outcome, outcome->stage, where->line, where->column);
    } else if (outcome->stage != POLICY_STAGE_SATISFIED) {
        unmet_of_scope(eval, policy, outcome);
    }
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
        find_unmet(&eval, policy, clause, &outcome);
        if (!vlt_is_ok(result))
            outcome.message = policy_error_message(set, policy, &eval, result);
        if (request->arena.failed)
            return vlt_fail(VLT_LIMIT, "request too large");
        if (!each(context, &outcome))
            break;
    }
    return vlt_ok();
}
