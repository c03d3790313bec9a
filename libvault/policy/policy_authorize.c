// SPDX-License-Identifier: Apache-2.0
// The authorizer: every policy that can match is evaluated; satisfied forbids
// win over satisfied permits; a policy that errs counts for nothing.
#include "libvault/policy/policy_authorize.h"

#include "libvault/policy/policy_index.h"

#include <stdio.h>

struct ids {
    struct bytes *items;
    size_t count, capacity;
};

struct verdict {
    const struct policy_set *set;
    struct policy_eval eval;
    struct ids permits, forbids;
    struct policy_error *errors;
    size_t error_count, error_capacity;
    bool is_momentary, reads_max_tokens;
};

struct bytes policy_error_message(const struct policy_set *set, const struct policy *policy,
                                  const struct policy_eval *eval, vlt_result result) {
    char text[320];
    struct bytes document = set->documents[policy->document], name = {0};
    const struct policy_node *where = eval->where;
    if (where && (where->kind == POLICY_NODE_ATTRIBUTE || where->kind == POLICY_NODE_IS))
        name = where->names[0];
    if (name.size > 80)
        name.size = 0;
    int size = snprintf(text, sizeof text, "%.*s:%u:%u: %s%s%.*s%s",
                        (int)(document.size < 120 ? document.size : 120), (const char *)document.at,
                        where ? where->line : policy->line, where ? where->column : policy->column,
                        result.reason, name.size ? " (" : "", (int)name.size, (const char *)name.at,
                        name.size ? ")" : "");
    if (size > (int)sizeof text - 1)
        size = (int)sizeof text - 1;
    return policy_arena_copy(&eval->request->arena, bytes_of(text, (size_t)size));
}

static vlt_result no_memory(void) {
    return vlt_fail(VLT_LIMIT, "request too large");
}

static vlt_result add_id(struct verdict *verdict, struct ids *ids, struct bytes id) {
    struct bytes *items = policy_arena_grow(&verdict->eval.request->arena, ids->items, ids->count,
                                            &ids->capacity, sizeof *items);
    if (!items)
        return no_memory();
    ids->items = items;
    ids->items[ids->count++] = id;
    return vlt_ok();
}

static vlt_result add_error(struct verdict *verdict, const struct policy *policy,
                            vlt_result result) {
    struct policy_error *errors =
        policy_arena_grow(&verdict->eval.request->arena, verdict->errors, verdict->error_count,
                          &verdict->error_capacity, sizeof *errors);
    if (!errors)
        return no_memory();
    verdict->errors = errors;
    verdict->errors[verdict->error_count++] = (struct policy_error){
        .id = policy->id,
        .is_forbid = policy->is_forbid,
        .message = policy_error_message(verdict->set, policy, &verdict->eval, result)};
    return vlt_ok();
}

static vlt_result try_policy(struct verdict *verdict, const struct policy *policy) {
    enum policy_match match = POLICY_MATCH_CLAUSE; // also of one that errs
    vlt_result result = policy_eval_policy(&verdict->eval, policy, &match, NULL);
    if (match >= POLICY_MATCH_CLAUSE) {
        verdict->is_momentary = verdict->is_momentary || policy->reads_moment;
        verdict->reads_max_tokens = verdict->reads_max_tokens || policy->reads_max_tokens;
    }
    if (result.class == VLT_MALFORMED)
        return add_error(verdict, policy, result);
    VLT_TRY(result);
    // Scopes count steps too, but do not look at the budget themselves.
    if (verdict->eval.work > POLICY_STEPS_MAX)
        return vlt_fail(VLT_LIMIT, "the policies took too many steps");
    if (match != POLICY_MATCH_ALL)
        return vlt_ok();
    return add_id(verdict, policy->is_forbid ? &verdict->forbids : &verdict->permits, policy->id);
}

static vlt_result try_all(struct verdict *verdict) {
    for (size_t i = 0; i < verdict->set->count; i++)
        if (!policy_is_template(&verdict->set->policies[i]))
            VLT_TRY(try_policy(verdict, &verdict->set->policies[i]));
    return vlt_ok();
}

static vlt_result try_candidates(struct verdict *verdict) {
    const uint32_t *candidates;
    size_t count;
    VLT_TRY(policy_index_find(verdict->set->index, verdict->eval.request, &candidates, &count));
    for (size_t i = 0; i < count; i++)
        VLT_TRY(try_policy(verdict, &verdict->set->policies[candidates[i]]));
    return vlt_ok();
}

vlt_result policy_authorize(const struct policy_set *set, struct policy_request *request,
                            struct policy_answer *ret_answer) {
    struct verdict verdict = {.set = set, .eval = {.request = request}};
    VLT_TRY(policy_request_ready(request));
    VLT_TRY(set->index ? try_candidates(&verdict) : try_all(&verdict));
    if (request->arena.failed)
        return no_memory();
    bool is_allowed = verdict.forbids.count == 0 && verdict.permits.count > 0;
    const struct ids *reasons = verdict.forbids.count ? &verdict.forbids : &verdict.permits;
    *ret_answer = (struct policy_answer){.is_allowed = is_allowed,
                                         .reason_count = reasons->count,
                                         .reasons = reasons->items,
                                         .error_count = verdict.error_count,
                                         .errors = verdict.errors,
                                         .is_momentary = verdict.is_momentary,
                                         .reads_max_tokens = verdict.reads_max_tokens};
    return vlt_ok();
}
