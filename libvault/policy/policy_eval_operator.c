// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_eval.h"

vlt_result policy_eval_want(const struct policy_value *value, enum policy_kind kind) {
    static const char *const reasons[] = {
        "expected a bool",     "expected a long",   "expected a string",  "expected an entity",
        "expected a set",      "expected a record", "expected a decimal", "expected a datetime",
        "expected a duration", "expected an ipaddr"};
    if (value->kind != kind)
        return vlt_fail(VLT_MALFORMED, reasons[kind]);
    return vlt_ok();
}

// Numbers, and the two extension types that have an order: both sides of one
// type.
static vlt_result compare_ordered(enum policy_node_kind kind, const struct policy_value *left,
                                  const struct policy_value *right,
                                  struct policy_value *ret_value) {
    if (left->kind != right->kind || (left->kind != POLICY_LONG && left->kind != POLICY_DATETIME &&
                                      left->kind != POLICY_DURATION))
        return vlt_fail(VLT_MALFORMED, "only two longs, datetimes or durations have an order");
    int64_t a = left->number, b = right->number;
    bool holds = kind == POLICY_NODE_LESS         ? a < b
                 : kind == POLICY_NODE_LESS_EQUAL ? a <= b
                 : kind == POLICY_NODE_GREATER    ? a > b
                                                  : a >= b;
    *ret_value = policy_value_bool(holds);
    return vlt_ok();
}

static vlt_result is_in(struct policy_eval *eval, const struct policy_value *left,
                        const struct policy_value *right, struct policy_value *ret_value) {
    VLT_TRY(policy_eval_want(left, POLICY_ENTITY));
    if (right->kind == POLICY_ENTITY) {
        *ret_value = policy_value_bool(policy_eval_is_in(eval, left->entity, right->entity));
        return vlt_ok();
    }
    if (right->kind != POLICY_SET)
        return vlt_fail(VLT_MALFORMED, "expected an entity or a set of entities");
    // A set with anything else in it is an error, also when an entity matches.
    for (size_t i = 0; i < right->set.count; i++)
        VLT_TRY(policy_eval_want(&right->set.items[i], POLICY_ENTITY));
    bool holds = false;
    eval->work += right->set.count;
    for (size_t i = 0; i < right->set.count && !holds; i++)
        holds = policy_eval_is_in(eval, left->entity, right->set.items[i].entity);
    *ret_value = policy_value_bool(holds);
    return vlt_ok();
}

static vlt_result contains_all(struct policy_eval *eval, const struct policy_value *left,
                               const struct policy_value *right, struct policy_value *ret_value) {
    VLT_TRY(policy_eval_want(left, POLICY_SET));
    VLT_TRY(policy_eval_want(right, POLICY_SET));
    bool holds = true;
    for (size_t i = 0; i < right->set.count && holds; i++)
        holds = policy_list_has(&left->set, &right->set.items[i], &eval->work);
    *ret_value = policy_value_bool(holds);
    return vlt_ok();
}

static vlt_result contains_any(struct policy_eval *eval, const struct policy_value *left,
                               const struct policy_value *right, struct policy_value *ret_value) {
    VLT_TRY(policy_eval_want(left, POLICY_SET));
    VLT_TRY(policy_eval_want(right, POLICY_SET));
    bool holds = false;
    for (size_t i = 0; i < right->set.count && !holds; i++)
        holds = policy_list_has(&left->set, &right->set.items[i], &eval->work);
    *ret_value = policy_value_bool(holds);
    return vlt_ok();
}

// A tag of an entity that is not there: has says no, get errs.
static vlt_result tag(struct policy_eval *eval, enum policy_node_kind kind,
                      const struct policy_value *left, const struct policy_value *right,
                      struct policy_value *ret_value) {
    VLT_TRY(policy_eval_want(left, POLICY_ENTITY));
    VLT_TRY(policy_eval_want(right, POLICY_STRING));
    const struct policy_entity *entity = policy_request_entity(eval->request, left->entity);
    const struct policy_value *found =
        entity ? policy_fields_get(&entity->tags.fields, right->string) : NULL;
    if (kind == POLICY_NODE_HAS_TAG) {
        *ret_value = policy_value_bool(found != NULL);
        return vlt_ok();
    }
    if (!found)
        return vlt_fail(VLT_MALFORMED,
                        entity ? "the entity has no such tag" : "there is no such entity");
    *ret_value = *found;
    return vlt_ok();
}

vlt_result policy_eval_relation(struct policy_eval *eval, enum policy_node_kind kind,
                                const struct policy_value *left, const struct policy_value *right,
                                struct policy_value *ret_value) {
    switch (kind) {
    case POLICY_NODE_EQUAL:
    case POLICY_NODE_NOT_EQUAL: {
        bool equal = policy_value_compare(left, right, &eval->work) == 0;
        *ret_value = policy_value_bool(equal == (kind == POLICY_NODE_EQUAL));
        return vlt_ok();
    }
    case POLICY_NODE_IN:
        return is_in(eval, left, right, ret_value);
    case POLICY_NODE_CONTAINS:
        VLT_TRY(policy_eval_want(left, POLICY_SET));
        *ret_value = policy_value_bool(policy_list_has(&left->set, right, &eval->work));
        return vlt_ok();
    case POLICY_NODE_CONTAINS_ALL:
        return contains_all(eval, left, right, ret_value);
    case POLICY_NODE_CONTAINS_ANY:
        return contains_any(eval, left, right, ret_value);
    case POLICY_NODE_HAS_TAG:
    case POLICY_NODE_GET_TAG:
        return tag(eval, kind, left, right, ret_value);
    default:
        return compare_ordered(kind, left, right, ret_value);
    }
}

vlt_result policy_eval_arithmetic(char sign, const struct policy_value *left,
                                  const struct policy_value *right,
                                  struct policy_value *ret_value) {
    VLT_TRY(policy_eval_want(left, POLICY_LONG));
    VLT_TRY(policy_eval_want(right, POLICY_LONG));
    int64_t a = left->number, b = right->number, value;
    bool overflows = sign == '+'   ? __builtin_add_overflow(a, b, &value)
                     : sign == '-' ? __builtin_sub_overflow(a, b, &value)
                                   : __builtin_mul_overflow(a, b, &value);
    if (overflows)
        return vlt_fail(VLT_MALFORMED, "number beyond 64 bits");
    *ret_value = policy_value_number(POLICY_LONG, value);
    return vlt_ok();
}
