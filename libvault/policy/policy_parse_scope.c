// SPDX-License-Identifier: Apache-2.0
// (principal …, action …, resource …): what a policy applies to.
#include "libvault/policy/policy_parse.h"

static struct policy_place place_of(const struct policy_token *token) {
    return (struct policy_place){token->line, token->column};
}

// `== E` may stand in any number of parentheses, and so may a list.
static vlt_result open_parentheses(struct policy_parser *parser, unsigned *ret_count) {
    unsigned count = 0;
    while (policy_parse_skips(parser, "("))
        if (++count > POLICY_DEPTH_MAX)
            return policy_parse_fail(parser, &parser->token, VLT_LIMIT,
                                     "expression nested too deeply");
    *ret_count = count;
    return vlt_ok();
}

static vlt_result close_parentheses(struct policy_parser *parser, unsigned count) {
    while (count-- > 0)
        VLT_TRY(policy_parse_expect(parser, ")"));
    return vlt_ok();
}

static vlt_result parse_key(struct policy_parser *parser, struct policy_scope *scope) {
    const struct policy_key *key = NULL;
    struct bytes path;
    struct policy_place *place = policy_arena_take(parser->arena, sizeof *place);
    if (!place)
        return policy_parse_no_memory(parser);
    *place = place_of(&parser->token);
    if (parser->token.kind != POLICY_TOKEN_NAME)
        return policy_parse_wrong(parser, "an entity like Type::\"id\"");
    VLT_TRY(policy_parse_path(parser, &path, &key));
    if (!key)
        return policy_parse_wrong(parser, "'::' and the id of an entity");
    scope->keys = key;
    scope->key_places = place;
    scope->key_count = 1;
    return vlt_ok();
}

static vlt_result parse_slot(struct policy_parser *parser, const char *slot) {
    if (!bytes_equal_text(parser->token.text, slot))
        return policy_parse_wrong(parser, slot);
    policy_parse_next(parser);
    return vlt_ok();
}

// One entity, or the slot of this variable (NULL when it has none).
static vlt_result parse_entity(struct policy_parser *parser, const char *slot,
                               struct policy_scope *scope) {
    unsigned parentheses;
    VLT_TRY(open_parentheses(parser, &parentheses));
    if (slot && parser->token.kind == POLICY_TOKEN_SLOT) {
        VLT_TRY(parse_slot(parser, slot));
        scope->has_slot = true;
    } else {
        VLT_TRY(parse_key(parser, scope));
    }
    return close_parentheses(parser, parentheses);
}

static vlt_result parse_list(struct policy_parser *parser, struct policy_scope *scope) {
    struct policy_key *keys = NULL;
    struct policy_place *places = NULL;
    size_t count = 0, capacity = 0, place_capacity = 0;
    VLT_TRY(policy_parse_expect(parser, "["));
    while (!policy_parse_sees(parser, "]")) {
        struct policy_scope one = {0};
        VLT_TRY(parse_entity(parser, NULL, &one));
        keys = policy_arena_grow(parser->arena, keys, count, &capacity, sizeof *keys);
        places = policy_arena_grow(parser->arena, places, count, &place_capacity, sizeof *places);
        if (!keys || !places)
            return policy_parse_no_memory(parser);
        places[count] = *one.key_places;
        keys[count++] = *one.keys;
        if (!policy_parse_skips(parser, ","))
            break;
    }
    VLT_TRY(policy_parse_expect(parser, "]"));
    scope->keys = keys;
    scope->key_places = places;
    scope->key_count = count;
    return vlt_ok();
}

static vlt_result parse_variable(struct policy_parser *parser, const char *variable,
                                 struct policy_scope *scope) {
    scope->place = place_of(&parser->token);
    if (!policy_parse_skips(parser, variable))
        return policy_parse_wrong(parser, variable);
    if (policy_parse_sees(parser, ":"))
        return policy_parse_fail(parser, &parser->token, VLT_MALFORMED,
                                 "types are written `%s is Type`", variable);
    if (policy_parse_sees(parser, "="))
        return policy_parse_fail(parser, &parser->token, VLT_MALFORMED, "equality is written ==");
    return vlt_ok();
}

static vlt_result parse_party(struct policy_parser *parser, const char *variable, const char *slot,
                              struct policy_scope *scope) {
    VLT_TRY(parse_variable(parser, variable, scope));
    if (policy_parse_skips(parser, "==")) {
        scope->kind = POLICY_SCOPE_EQUAL;
        return parse_entity(parser, slot, scope);
    }
    bool has_type = policy_parse_skips(parser, "is");
    scope->type_place = place_of(&parser->token);
    if (has_type)
        VLT_TRY(policy_parse_path(parser, &scope->type, NULL));
    if (policy_parse_skips(parser, "in")) {
        scope->kind = has_type ? POLICY_SCOPE_IS_IN : POLICY_SCOPE_IN;
        return parse_entity(parser, slot, scope);
    }
    scope->kind = has_type ? POLICY_SCOPE_IS : POLICY_SCOPE_ANY;
    return vlt_ok();
}

static bool is_action_type(struct bytes type) {
    static const char last[] = "Action";
    size_t size = sizeof last - 1;
    if (bytes_equal_text(type, last))
        return true;
    return type.size > size + 2 && bytes_equal_text(bytes_from(type, type.size - size), last) &&
           type.at[type.size - size - 1] == ':';
}

static vlt_result check_action_types(struct policy_parser *parser,
                                     const struct policy_scope *scope) {
    for (size_t i = 0; i < scope->key_count; i++) {
        struct policy_token at = {.line = scope->key_places[i].line,
                                  .column = scope->key_places[i].column};
        if (!is_action_type(scope->keys[i].uid.type))
            return policy_parse_fail(
                parser, &at, VLT_MALFORMED, "an action has the type Action, not %.*s",
                (int)scope->keys[i].uid.type.size, (const char *)scope->keys[i].uid.type.at);
    }
    return vlt_ok();
}

static vlt_result parse_action(struct policy_parser *parser, struct policy_scope *scope) {
    VLT_TRY(parse_variable(parser, "action", scope));
    if (policy_parse_skips(parser, "==")) {
        scope->kind = POLICY_SCOPE_EQUAL;
        VLT_TRY(parse_entity(parser, NULL, scope));
    } else if (policy_parse_skips(parser, "in")) {
        unsigned parentheses;
        scope->kind = POLICY_SCOPE_IN;
        VLT_TRY(open_parentheses(parser, &parentheses));
        if (policy_parse_sees(parser, "["))
            VLT_TRY(parse_list(parser, scope));
        else
            VLT_TRY(parse_entity(parser, NULL, scope));
        VLT_TRY(close_parentheses(parser, parentheses));
    }
    return check_action_types(parser, scope);
}

vlt_result policy_parse_scopes(struct policy_parser *parser, struct policy *policy) {
    VLT_TRY(parse_party(parser, "principal", "?principal", &policy->principal));
    VLT_TRY(policy_parse_expect(parser, ","));
    VLT_TRY(parse_action(parser, &policy->action));
    VLT_TRY(policy_parse_expect(parser, ","));
    VLT_TRY(parse_party(parser, "resource", "?resource", &policy->resource));
    (void)policy_parse_skips(parser, ",");
    return vlt_ok();
}
