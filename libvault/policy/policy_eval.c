// SPDX-License-Identifier: Apache-2.0
// Beside the specification: one function for each kind of expression. A
// function that fails leaves in `where` the innermost expression that did.
#include "libvault/policy/policy_eval.h"

#include "libvault/policy/policy_literal.h"

static vlt_result eval_bool(struct policy_eval *eval, const struct policy_node *node,
                            bool *ret_holds) {
    struct policy_value value;
    VLT_TRY(policy_eval_expression(eval, node, &value));
    if (value.kind != POLICY_BOOL) {
        eval->where = node;
        return vlt_fail(VLT_MALFORMED, "expected a bool");
    }
    *ret_holds = value.boolean;
    return vlt_ok();
}

bool policy_eval_is_in(struct policy_eval *eval, const struct policy_key *key,
                       const struct policy_key *target) {
    if (policy_key_equal(key, target))
        return true;
    struct policy_entity *entity = policy_request_entity(eval->request, key);
    return entity && policy_entity_is_below(eval->request, entity, target, &eval->work);
}

static vlt_result eval_variable(struct policy_eval *eval, const struct policy_node *node,
                                struct policy_value *ret_value) {
    struct policy_request *request = eval->request;
    if (node->variable == POLICY_CONTEXT)
        *ret_value =
            (struct policy_value){.kind = POLICY_RECORD, .record = &request->context.fields};
    else
        *ret_value = policy_value_entity(&request->party[node->variable]);
    return vlt_ok();
}

static vlt_result eval_if(struct policy_eval *eval, const struct policy_node *node,
                          struct policy_value *ret_value) {
    bool holds;
    VLT_TRY(eval_bool(eval, node->parts[0], &holds));
    return policy_eval_expression(eval, node->parts[holds ? 1 : 2], ret_value);
}

// && and ||: the first part that decides ends it; every part that is looked at
// must be a bool.
static vlt_result eval_junction(struct policy_eval *eval, const struct policy_node *node,
                                struct policy_value *ret_value) {
    bool decides = node->kind == POLICY_NODE_OR, holds = !decides;
    for (uint32_t i = 0; i < node->part_count && holds != decides; i++)
        VLT_TRY(eval_bool(eval, node->parts[i], &holds));
    *ret_value = policy_value_bool(holds);
    return vlt_ok();
}

static vlt_result eval_not(struct policy_eval *eval, const struct policy_node *node,
                           struct policy_value *ret_value) {
    bool holds;
    VLT_TRY(eval_bool(eval, node->parts[0], &holds));
    *ret_value = policy_value_bool(!holds);
    return vlt_ok();
}

static vlt_result eval_negate(struct policy_eval *eval, const struct policy_node *node,
                              struct policy_value *ret_value) {
    struct policy_value zero = policy_value_number(POLICY_LONG, 0), value;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &value));
    return policy_eval_arithmetic('-', &zero, &value, ret_value);
}

static vlt_result eval_relation(struct policy_eval *eval, const struct policy_node *node,
                                struct policy_value *ret_value) {
    struct policy_value left, right;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &left));
    VLT_TRY(policy_eval_expression(eval, node->parts[1], &right));
    return policy_eval_relation(eval, (enum policy_node_kind)node->kind, &left, &right, ret_value);
}

static vlt_result eval_arithmetic(struct policy_eval *eval, const struct policy_node *node,
                                  struct policy_value *ret_value) {
    struct policy_value total, next;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &total));
    for (uint32_t i = 1; i < node->part_count; i++) {
        VLT_TRY(policy_eval_expression(eval, node->parts[i], &next));
        VLT_TRY(policy_eval_arithmetic(node->operators[i - 1], &total, &next, &total));
    }
    *ret_value = total;
    return vlt_ok();
}

static vlt_result eval_is_empty(struct policy_eval *eval, const struct policy_node *node,
                                struct policy_value *ret_value) {
    struct policy_value value;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &value));
    VLT_TRY(policy_eval_want(&value, POLICY_SET));
    *ret_value = policy_value_bool(value.set.count == 0);
    return vlt_ok();
}

// The attribute of a record or entity, *ret_found NULL when it has none of that
// name. *ret_entity tells that there is an entity (or that it is a record).
static vlt_result look_up(struct policy_eval *eval, const struct policy_value *value,
                          struct bytes name, const struct policy_value **ret_found,
                          bool *ret_exists) {
    const struct policy_fields *fields = NULL;
    if (value->kind == POLICY_RECORD) {
        fields = value->record;
    } else if (value->kind == POLICY_ENTITY) {
        const struct policy_entity *entity = policy_request_entity(eval->request, value->entity);
        fields = entity ? &entity->attributes.fields : NULL;
    } else {
        return vlt_fail(VLT_MALFORMED, "only entities and records have attributes");
    }
    *ret_exists = fields != NULL;
    *ret_found = fields ? policy_fields_get(fields, name) : NULL;
    return vlt_ok();
}

static vlt_result eval_attribute(struct policy_eval *eval, const struct policy_node *node,
                                 struct policy_value *ret_value) {
    struct policy_value value;
    const struct policy_value *found;
    bool exists;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &value));
    VLT_TRY(look_up(eval, &value, node->names[0], &found, &exists));
    if (!exists)
        return vlt_fail(VLT_MALFORMED, "there is no such entity");
    if (!found)
        return vlt_fail(VLT_MALFORMED, "there is no such attribute");
    *ret_value = *found;
    return vlt_ok();
}

// `e has a.b.c` is `e has a && e.a has b && e.a.b has c`.
static vlt_result eval_has(struct policy_eval *eval, const struct policy_node *node,
                           struct policy_value *ret_value) {
    struct policy_value value;
    const struct policy_value *found = &value;
    bool exists;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &value));
    for (uint32_t i = 0; i < node->name_count && found; i++)
        VLT_TRY(look_up(eval, found, node->names[i], &found, &exists));
    *ret_value = policy_value_bool(found != NULL);
    return vlt_ok();
}

static vlt_result eval_like(struct policy_eval *eval, const struct policy_node *node,
                            struct policy_value *ret_value) {
    struct policy_value value;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &value));
    VLT_TRY(policy_eval_want(&value, POLICY_STRING));
    *ret_value =
        policy_value_bool(policy_pattern_matches(&node->pattern, value.string, &eval->work));
    return vlt_ok();
}

// `e is T in x` is `e is T && e in x`: x is not looked at when the type differs.
static vlt_result eval_is(struct policy_eval *eval, const struct policy_node *node,
                          struct policy_value *ret_value) {
    struct policy_value value, group;
    VLT_TRY(policy_eval_expression(eval, node->parts[0], &value));
    VLT_TRY(policy_eval_want(&value, POLICY_ENTITY));
    bool holds = policy_name_compare(value.entity->uid.type, node->names[0]) == 0;
    *ret_value = policy_value_bool(holds);
    if (!holds || node->part_count == 1)
        return vlt_ok();
    VLT_TRY(policy_eval_expression(eval, node->parts[1], &group));
    return policy_eval_relation(eval, POLICY_NODE_IN, &value, &group, ret_value);
}

static vlt_result no_memory(void) {
    return vlt_fail(VLT_LIMIT, "no memory left for the evaluation");
}

static vlt_result eval_set(struct policy_eval *eval, const struct policy_node *node,
                           struct policy_value *ret_value) {
    struct policy_value *items =
        policy_arena_take_array(&eval->request->arena, node->part_count, sizeof *items);
    if (!items)
        return no_memory();
    for (uint32_t i = 0; i < node->part_count; i++)
        VLT_TRY(policy_eval_expression(eval, node->parts[i], &items[i]));
    eval->work += node->part_count;
    *ret_value = policy_value_set(items, node->part_count);
    return vlt_ok();
}

static vlt_result eval_record(struct policy_eval *eval, const struct policy_node *node,
                              struct policy_value *ret_value) {
    struct policy_arena *arena = &eval->request->arena;
    struct policy_fields *fields = policy_arena_take(arena, sizeof *fields);
    struct policy_field *items = policy_arena_take_array(arena, node->part_count, sizeof *items);
    if (!fields || !items)
        return no_memory();
    for (uint32_t i = 0; i < node->part_count; i++) {
        items[i].name = node->names[i]; // sorted by the parser
        VLT_TRY(policy_eval_expression(eval, node->parts[i], &items[i].value));
    }
    *fields = (struct policy_fields){items, node->part_count};
    *ret_value = (struct policy_value){.kind = POLICY_RECORD, .record = fields};
    return vlt_ok();
}

// Arguments first, then their number: a wrong number is an error of the
// evaluation, as in the reference implementation.
static vlt_result eval_call(struct policy_eval *eval, const struct policy_node *node,
                            struct policy_value *ret_value) {
    struct policy_value arguments[POLICY_EXT_ARGUMENTS_MAX], ignored;
    for (uint32_t i = 0; i < node->part_count; i++)
        VLT_TRY(policy_eval_expression(eval, node->parts[i],
                                       i < POLICY_EXT_ARGUMENTS_MAX ? &arguments[i] : &ignored));
    if (node->part_count != node->function->arguments)
        return vlt_fail(VLT_MALFORMED, "wrong number of arguments");
    return node->function->call(arguments, &eval->request->arena, ret_value);
}

static vlt_result dispatch(struct policy_eval *eval, const struct policy_node *node,
                           struct policy_value *ret_value) {
    switch ((enum policy_node_kind)node->kind) {
    case POLICY_NODE_LITERAL:
        *ret_value = node->value;
        return vlt_ok();
    case POLICY_NODE_VARIABLE:
        return eval_variable(eval, node, ret_value);
    case POLICY_NODE_IF:
        return eval_if(eval, node, ret_value);
    case POLICY_NODE_AND:
    case POLICY_NODE_OR:
        return eval_junction(eval, node, ret_value);
    case POLICY_NODE_NOT:
        return eval_not(eval, node, ret_value);
    case POLICY_NODE_NEGATE:
        return eval_negate(eval, node, ret_value);
    case POLICY_NODE_ARITHMETIC:
        return eval_arithmetic(eval, node, ret_value);
    case POLICY_NODE_IS_EMPTY:
        return eval_is_empty(eval, node, ret_value);
    case POLICY_NODE_ATTRIBUTE:
        return eval_attribute(eval, node, ret_value);
    case POLICY_NODE_HAS:
        return eval_has(eval, node, ret_value);
    case POLICY_NODE_LIKE:
        return eval_like(eval, node, ret_value);
    case POLICY_NODE_IS:
        return eval_is(eval, node, ret_value);
    case POLICY_NODE_SET:
        return eval_set(eval, node, ret_value);
    case POLICY_NODE_RECORD:
        return eval_record(eval, node, ret_value);
    case POLICY_NODE_CALL:
        return eval_call(eval, node, ret_value);
    default:
        return eval_relation(eval, node, ret_value);
    }
}

vlt_result policy_eval_expression(struct policy_eval *eval, const struct policy_node *node,
                                  struct policy_value *ret_value) {
    if (++eval->work > POLICY_STEPS_MAX)
        return vlt_fail(VLT_LIMIT, "the policies took too many steps");
    vlt_result result = dispatch(eval, node, ret_value);
    if (!vlt_is_ok(result) && !eval->where)
        eval->where = node;
    return result;
}

bool policy_eval_scope(struct policy_eval *eval, const struct policy_scope *scope,
                       const struct policy_key *key) {
    switch (scope->kind) {
    case POLICY_SCOPE_ANY:
        return true;
    case POLICY_SCOPE_EQUAL:
        return policy_key_equal(key, scope->keys);
    case POLICY_SCOPE_IS:
        return policy_name_compare(key->uid.type, scope->type) == 0;
    case POLICY_SCOPE_IS_IN:
        if (policy_name_compare(key->uid.type, scope->type) != 0)
            return false;
        break;
    case POLICY_SCOPE_IN:
        break;
    }
    for (size_t i = 0; i < scope->key_count; i++)
        if (policy_eval_is_in(eval, key, &scope->keys[i]))
            return true;
    return false;
}

vlt_result policy_eval_policy(struct policy_eval *eval, const struct policy *policy,
                              enum policy_match *ret_match,
                              const struct policy_clause **ret_clause) {
    const struct policy_key *party = eval->request->party;
    const struct policy_scope *scopes[] = {&policy->principal, &policy->action, &policy->resource};
    static const enum policy_match stopped[] = {POLICY_MATCH_PRINCIPAL, POLICY_MATCH_ACTION,
                                                POLICY_MATCH_RESOURCE};
    eval->where = NULL;
    eval->work++;
    for (int i = 0; i < 3; i++)
        if (!policy_eval_scope(eval, scopes[i], &party[i])) {
            *ret_match = stopped[i];
            return vlt_ok();
        }
    for (size_t i = 0; i < policy->clause_count; i++) {
        bool holds;
        if (ret_clause)
            *ret_clause = &policy->clauses[i];
        VLT_TRY(eval_bool(eval, policy->clauses[i].condition, &holds));
        if (holds == policy->clauses[i].is_unless) {
            *ret_match = POLICY_MATCH_CLAUSE;
            return vlt_ok();
        }
    }
    *ret_match = POLICY_MATCH_ALL;
    return vlt_ok();
}
