// SPDX-License-Identifier: Apache-2.0
// Literals, variables, entities, sets, records, calls, and what follows them:
// attributes and methods.
#include "libvault/policy/policy_parse.h"

vlt_result policy_parse_name(struct policy_parser *parser, struct bytes *ret_name) {
    if (parser->token.kind != POLICY_TOKEN_NAME)
        return policy_parse_wrong(parser, "a name");
    if (!policy_name_is_free(parser->token.text))
        return policy_parse_fail(parser, &parser->token, VLT_MALFORMED, "%.*s is a reserved word",
                                 (int)parser->token.text.size, (const char *)parser->token.text.at);
    struct bytes name = policy_arena_copy(parser->arena, parser->token.text);
    if (!name.at)
        return policy_parse_no_memory(parser);
    policy_parse_next(parser);
    *ret_name = name;
    return vlt_ok();
}

static vlt_result join_path(struct policy_parser *parser, struct bytes *path, struct bytes name) {
    uint8_t *at = policy_arena_take(parser->arena, path->size + 2 + name.size);
    if (!at)
        return policy_parse_no_memory(parser);
    memcpy(at, path->at, path->size);
    at[path->size] = at[path->size + 1] = ':';
    memcpy(at + path->size + 2, name.at, name.size);
    *path = bytes_of(at, path->size + 2 + name.size);
    if (path->size > POLICY_LITERAL_MAX_BYTES)
        return policy_parse_fail(parser, &parser->token, VLT_LIMIT, "name too long");
    return vlt_ok();
}

vlt_result policy_parse_path(struct policy_parser *parser, struct bytes *ret_path,
                             const struct policy_key **ret_key) {
    struct bytes path = {0}, name = {0};
    VLT_TRY(policy_parse_name(parser, &path));
    while (policy_parse_skips(parser, "::")) {
        if (ret_key && parser->token.kind == POLICY_TOKEN_STRING) {
            struct policy_key *key = policy_arena_take(parser->arena, sizeof *key);
            if (!key)
                return policy_parse_no_memory(parser);
            VLT_TRY(policy_parse_string(parser, &name));
            *key = policy_key_of((struct policy_uid){path, name});
            *ret_key = key;
            break;
        }
        VLT_TRY(policy_parse_name(parser, &name));
        VLT_TRY(join_path(parser, &path, name));
    }
    *ret_path = path;
    return vlt_ok();
}

vlt_result policy_parse_number(struct policy_parser *parser, bool is_negative,
                               const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    int64_t value = 0;
    int sign = is_negative ? -1 : 1;
    for (size_t i = 0; i < at.text.size; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, sign * (at.text.at[i] - '0'), &value))
            return policy_parse_fail(parser, &at, VLT_MALFORMED, "number beyond 64 bits");
    policy_parse_next(parser);
    return policy_node_literal(parser, &at, policy_value_number(POLICY_LONG, value), ret_node);
}

// Expressions with commas between them, one more allowed at the end.
static vlt_result parse_list(struct policy_parser *parser, const char *end,
                             struct policy_parts *parts) {
    while (!policy_parse_sees(parser, end)) {
        const struct policy_node *part = NULL;
        VLT_TRY(policy_parse_expression(parser, &part));
        VLT_TRY(policy_parts_add(parser, parts, part));
        if (!policy_parse_skips(parser, ","))
            break;
    }
    return policy_parse_expect(parser, end);
}

static vlt_result parse_set(struct policy_parser *parser, const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    struct policy_parts parts = {0};
    struct policy_node *node = NULL;
    VLT_TRY(policy_parse_expect(parser, "["));
    VLT_TRY(parse_list(parser, "]", &parts));
    VLT_TRY(policy_node_new(parser, POLICY_NODE_SET, &at, &parts, &node));
    VLT_TRY(policy_node_fold(parser, node));
    *ret_node = node;
    return vlt_ok();
}

// One entry of a record literal, before they are sorted by name.
struct entry {
    struct bytes name;
    const struct policy_node *value;
};

static int order_entries(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return policy_name_compare(x->name, y->name);
}

static vlt_result parse_entries(struct policy_parser *parser, struct entry **ret_entries,
                                size_t *ret_count) {
    struct entry *entries = NULL;
    size_t count = 0, capacity = 0;
    while (!policy_parse_sees(parser, "}")) {
        entries = policy_arena_grow(parser->arena, entries, count, &capacity, sizeof *entries);
        if (!entries)
            return policy_parse_no_memory(parser);
        struct entry *entry = &entries[count++];
        VLT_TRY(parser->token.kind == POLICY_TOKEN_STRING
                    ? policy_parse_string(parser, &entry->name)
                    : policy_parse_name(parser, &entry->name));
        VLT_TRY(policy_parse_expect(parser, ":"));
        VLT_TRY(policy_parse_expression(parser, &entry->value));
        if (!policy_parse_skips(parser, ","))
            break;
    }
    *ret_entries = entries;
    *ret_count = count;
    return policy_parse_expect(parser, "}");
}

static vlt_result parse_record(struct policy_parser *parser, const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    struct policy_parts parts = {0};
    struct policy_node *node = NULL;
    struct entry *entries = NULL;
    size_t count = 0;
    VLT_TRY(policy_parse_expect(parser, "{"));
    VLT_TRY(parse_entries(parser, &entries, &count));
    policy_sort(entries, count, sizeof *entries, order_entries);
    struct bytes *names = policy_arena_take_array(parser->arena, count, sizeof *names);
    if (!names)
        return policy_parse_no_memory(parser);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && order_entries(&entries[i - 1], &entries[i]) == 0)
            return policy_parse_fail(parser, &at, VLT_MALFORMED, "this record has one name twice");
        names[i] = entries[i].name;
        VLT_TRY(policy_parts_add(parser, &parts, entries[i].value));
    }
    VLT_TRY(policy_node_new(parser, POLICY_NODE_RECORD, &at, &parts, &node));
    node->names = names;
    node->name_count = (uint32_t)count;
    VLT_TRY(policy_node_fold(parser, node));
    *ret_node = node;
    return vlt_ok();
}

static vlt_result parse_call(struct policy_parser *parser, const struct policy_token *at,
                             const struct policy_ext *function, struct policy_parts *parts,
                             const struct policy_node **ret_node) {
    struct policy_node *node = NULL;
    VLT_TRY(policy_parse_expect(parser, "("));
    VLT_TRY(parse_list(parser, ")", parts));
    VLT_TRY(policy_node_new(parser, POLICY_NODE_CALL, at, parts, &node));
    node->function = function;
    VLT_TRY(policy_node_fold(parser, node));
    *ret_node = node;
    return vlt_ok();
}

static bool find_variable(struct bytes name, enum policy_variable *ret_variable) {
    static const char *const names[] = {"principal", "action", "resource", "context"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bytes_equal_text(name, names[i])) {
            *ret_variable = (enum policy_variable)i;
            return true;
        }
    return false;
}

// A name begins a variable, an entity or the call of a function.
static vlt_result parse_named(struct policy_parser *parser, const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    const struct policy_key *key = NULL;
    enum policy_variable variable;
    struct policy_parts none = {0};
    struct bytes path = {0};
    VLT_TRY(policy_parse_path(parser, &path, &key));
    if (key)
        return policy_node_literal(parser, &at, policy_value_entity(key), ret_node);
    if (find_variable(path, &variable)) {
        struct policy_node *node = NULL;
        VLT_TRY(policy_node_new(parser, POLICY_NODE_VARIABLE, &at, NULL, &node));
        node->variable = variable;
        *ret_node = node;
        return vlt_ok();
    }
    const struct policy_ext *function = policy_ext_find(path);
    if (policy_parse_sees(parser, "(") && function && !function->is_method)
        return parse_call(parser, &at, function, &none, ret_node);
    return policy_parse_fail(parser, &at, VLT_MALFORMED,
                             "%.*s is not a variable, an entity or a function", (int)path.size,
                             (const char *)path.at);
}

static vlt_result parse_truth(struct policy_parser *parser, const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    bool value = policy_parse_sees(parser, "true");
    policy_parse_next(parser);
    return policy_node_literal(parser, &at, policy_value_bool(value), ret_node);
}

static vlt_result parse_text(struct policy_parser *parser, const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    struct bytes text = {0};
    VLT_TRY(policy_parse_string(parser, &text));
    return policy_node_literal(parser, &at, policy_value_string(text), ret_node);
}

static vlt_result parse_primary(struct policy_parser *parser, const struct policy_node **ret_node) {
    switch (parser->token.kind) {
    case POLICY_TOKEN_STRING:
        return parse_text(parser, ret_node);
    case POLICY_TOKEN_NUMBER:
        return policy_parse_number(parser, false, ret_node);
    case POLICY_TOKEN_NAME:
        if (policy_parse_sees(parser, "true") || policy_parse_sees(parser, "false"))
            return parse_truth(parser, ret_node);
        return parse_named(parser, ret_node);
    case POLICY_TOKEN_SLOT:
        return policy_parse_fail(parser, &parser->token, VLT_MALFORMED,
                                 "a slot may stand only in the scope of a template");
    default:
        break;
    }
    if (policy_parse_sees(parser, "["))
        return parse_set(parser, ret_node);
    if (policy_parse_sees(parser, "{"))
        return parse_record(parser, ret_node);
    if (!policy_parse_skips(parser, "("))
        return policy_parse_wrong(parser, "an expression");
    VLT_TRY(policy_parse_expression(parser, ret_node));
    return policy_parse_expect(parser, ")");
}

static vlt_result parse_attribute(struct policy_parser *parser, const struct policy_node *node,
                                  struct bytes name, const struct policy_node **ret_node) {
    struct policy_node *outer = NULL;
    struct bytes *names = policy_arena_take(parser->arena, sizeof *names);
    if (!names)
        return policy_parse_no_memory(parser);
    *names = name;
    VLT_TRY(policy_node_unary(parser, POLICY_NODE_ATTRIBUTE, node, &outer));
    outer->names = names;
    outer->name_count = 1;
    *ret_node = outer;
    return vlt_ok();
}

// Methods of the language itself; the others are extensions.
static bool find_method(struct bytes name, enum policy_node_kind *ret_kind) {
    static const struct {
        const char *name;
        enum policy_node_kind kind;
    } methods[] = {
        {"contains", POLICY_NODE_CONTAINS},        {"containsAll", POLICY_NODE_CONTAINS_ALL},
        {"containsAny", POLICY_NODE_CONTAINS_ANY}, {"isEmpty", POLICY_NODE_IS_EMPTY},
        {"hasTag", POLICY_NODE_HAS_TAG},           {"getTag", POLICY_NODE_GET_TAG},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (bytes_equal_text(name, methods[i].name)) {
            *ret_kind = methods[i].kind;
            return true;
        }
    return false;
}

static vlt_result parse_method(struct policy_parser *parser, const struct policy_token *at,
                               const struct policy_node *node, struct bytes name,
                               const struct policy_node **ret_node) {
    struct policy_parts parts = {0};
    enum policy_node_kind kind;
    VLT_TRY(policy_parts_add(parser, &parts, node));
    const struct policy_ext *function = policy_ext_find(name);
    if (function && function->is_method)
        return parse_call(parser, at, function, &parts, ret_node);
    if (!find_method(name, &kind))
        return policy_parse_fail(parser, at, VLT_MALFORMED, "there is no method %.*s",
                                 (int)name.size, (const char *)name.at);
    size_t wanted = kind == POLICY_NODE_IS_EMPTY ? 1 : 2;
    VLT_TRY(policy_parse_expect(parser, "("));
    VLT_TRY(parse_list(parser, ")", &parts));
    if (parts.count != wanted)
        return policy_parse_fail(parser, at, VLT_MALFORMED, "%.*s takes %s", (int)name.size,
                                 (const char *)name.at, wanted == 1 ? "nothing" : "one argument");
    struct policy_node *outer = NULL;
    VLT_TRY(policy_node_new(parser, kind, at, &parts, &outer));
    *ret_node = outer;
    return vlt_ok();
}

vlt_result policy_parse_accesses(struct policy_parser *parser, const struct policy_node *node,
                                 const struct policy_node **ret_node) {
    struct bytes name = {0};
    for (;;) {
        if (policy_parse_skips(parser, ".")) {
            struct policy_token at = parser->token;
            VLT_TRY(policy_parse_name(parser, &name));
            if (policy_parse_sees(parser, "("))
                VLT_TRY(parse_method(parser, &at, node, name, &node));
            else
                VLT_TRY(parse_attribute(parser, node, name, &node));
        } else if (policy_parse_skips(parser, "[")) {
            VLT_TRY(policy_parse_string(parser, &name));
            VLT_TRY(policy_parse_expect(parser, "]"));
            VLT_TRY(parse_attribute(parser, node, name, &node));
        } else if (policy_parse_sees(parser, "(")) {
            return policy_parse_fail(parser, &parser->token, VLT_MALFORMED,
                                     "only functions and methods can be called");
        } else {
            *ret_node = node;
            return vlt_ok();
        }
    }
}

vlt_result policy_parse_member(struct policy_parser *parser, const struct policy_node **ret_node) {
    const struct policy_node *node = NULL;
    VLT_TRY(parse_primary(parser, &node));
    return policy_parse_accesses(parser, node, ret_node);
}
