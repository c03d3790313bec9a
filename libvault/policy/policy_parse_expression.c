// SPDX-License-Identifier: Apache-2.0
// Operators, from the loosest to the tightest: if, ||, &&, relations, + -, *.
#include "libvault/policy/policy_parse.h"

static vlt_result parse_if(struct policy_parser *parser, const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    struct policy_parts parts = {0};
    static const char *const words[] = {"if", "then", "else"};
    for (size_t i = 0; i < 3; i++) {
        const struct policy_node *part = NULL;
        VLT_TRY(policy_parse_expect(parser, words[i]));
        VLT_TRY(policy_parse_expression(parser, &part));
        VLT_TRY(policy_parts_add(parser, &parts, part));
    }
    struct policy_node *node = NULL;
    VLT_TRY(policy_node_new(parser, POLICY_NODE_IF, &at, &parts, &node));
    *ret_node = node;
    return vlt_ok();
}

static vlt_result parse_path_of_has(struct policy_parser *parser, struct policy_node *node) {
    struct bytes *names = NULL;
    size_t count = 0, capacity = 0;
    bool is_string = parser->token.kind == POLICY_TOKEN_STRING;
    do {
        names = policy_arena_grow(parser->arena, names, count, &capacity, sizeof *names);
        if (!names)
            return policy_parse_no_memory(parser);
        VLT_TRY(is_string ? policy_parse_string(parser, &names[count])
                          : policy_parse_name(parser, &names[count]));
        count++;
    } while (!is_string && policy_parse_skips(parser, "."));
    if (count > POLICY_DEPTH_MAX)
        return policy_parse_fail(parser, &parser->token, VLT_LIMIT, "path too long");
    node->names = names;
    node->name_count = (uint32_t)count;
    return vlt_ok();
}

static vlt_result parse_has(struct policy_parser *parser, const struct policy_node *left,
                            const struct policy_node **ret_node) {
    struct policy_node *node = NULL;
    VLT_TRY(policy_node_unary(parser, POLICY_NODE_HAS, left, &node));
    VLT_TRY(parse_path_of_has(parser, node));
    *ret_node = node;
    return vlt_ok();
}

static vlt_result parse_like(struct policy_parser *parser, const struct policy_node *left,
                             const struct policy_node **ret_node) {
    struct policy_node *node = NULL;
    VLT_TRY(policy_node_unary(parser, POLICY_NODE_LIKE, left, &node));
    if (parser->token.kind != POLICY_TOKEN_STRING)
        return policy_parse_wrong(parser, "a pattern in quotes");
    vlt_result result =
        policy_literal_pattern(parser->arena, parser->token.text, NULL, &node->pattern);
    if (!vlt_is_ok(result))
        return policy_parse_fail(parser, &parser->token, result.class, "%s in this pattern",
                                 result.reason);
    policy_parse_next(parser);
    *ret_node = node;
    return vlt_ok();
}

static vlt_result parse_is(struct policy_parser *parser, const struct policy_node *left,
                           const struct policy_node **ret_node) {
    struct policy_parts parts = {0};
    struct policy_token at = {.line = left->line, .column = left->column};
    struct bytes *type = policy_arena_take(parser->arena, sizeof *type);
    struct policy_node *node = NULL;
    if (!type)
        return policy_parse_no_memory(parser);
    VLT_TRY(policy_parts_add(parser, &parts, left));
    VLT_TRY(policy_parse_path(parser, type, NULL));
    if (policy_parse_skips(parser, "in")) {
        const struct policy_node *group = NULL;
        VLT_TRY(policy_parse_sum(parser, &group));
        VLT_TRY(policy_parts_add(parser, &parts, group));
    }
    VLT_TRY(policy_node_new(parser, POLICY_NODE_IS, &at, &parts, &node));
    node->names = type;
    node->name_count = 1;
    *ret_node = node;
    return vlt_ok();
}

static vlt_result parse_relation(struct policy_parser *parser,
                                 const struct policy_node **ret_node) {
    static const struct {
        const char *sign;
        enum policy_node_kind kind;
    } operators[] = {
        {"==", POLICY_NODE_EQUAL},  {"!=", POLICY_NODE_NOT_EQUAL},
        {"<", POLICY_NODE_LESS},    {"<=", POLICY_NODE_LESS_EQUAL},
        {">", POLICY_NODE_GREATER}, {">=", POLICY_NODE_GREATER_EQUAL},
        {"in", POLICY_NODE_IN},
    };
    const struct policy_node *left = NULL, *right = NULL;
    VLT_TRY(policy_parse_sum(parser, &left));
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (policy_parse_skips(parser, operators[i].sign)) {
            VLT_TRY(policy_parse_sum(parser, &right));
            return policy_node_binary(parser, operators[i].kind, left, right, ret_node);
        }
    if (policy_parse_skips(parser, "has"))
        return parse_has(parser, left, ret_node);
    if (policy_parse_skips(parser, "like"))
        return parse_like(parser, left, ret_node);
    if (policy_parse_skips(parser, "is"))
        return parse_is(parser, left, ret_node);
    if (policy_parse_sees(parser, "="))
        return policy_parse_fail(parser, &parser->token, VLT_MALFORMED, "equality is written ==");
    *ret_node = left;
    return vlt_ok();
}

// a sign b sign c … as one node, so that a long chain is not a deep tree.
static vlt_result
parse_chain(struct policy_parser *parser, const char *sign, enum policy_node_kind kind,
            vlt_result (*parse)(struct policy_parser *, const struct policy_node **),
            const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    struct policy_parts parts = {0};
    const struct policy_node *part = NULL;
    VLT_TRY(parse(parser, &part));
    if (!policy_parse_sees(parser, sign)) {
        *ret_node = part;
        return vlt_ok();
    }
    VLT_TRY(policy_parts_add(parser, &parts, part));
    while (policy_parse_skips(parser, sign)) {
        VLT_TRY(parse(parser, &part));
        VLT_TRY(policy_parts_add(parser, &parts, part));
    }
    struct policy_node *node = NULL;
    VLT_TRY(policy_node_new(parser, kind, &at, &parts, &node));
    *ret_node = node;
    return vlt_ok();
}

static vlt_result parse_and(struct policy_parser *parser, const struct policy_node **ret_node) {
    return parse_chain(parser, "&&", POLICY_NODE_AND, parse_relation, ret_node);
}

vlt_result policy_parse_expression(struct policy_parser *parser,
                                   const struct policy_node **ret_node) {
    if (parser->depth == POLICY_DEPTH_MAX)
        return policy_parse_fail(parser, &parser->token, VLT_LIMIT, "expression nested too deeply");
    parser->depth++;
    vlt_result result = policy_parse_sees(parser, "if")
                            ? parse_if(parser, ret_node)
                            : parse_chain(parser, "||", POLICY_NODE_OR, parse_and, ret_node);
    parser->depth--;
    return result;
}

// ! and - may stand up to four times before a member, never mixed.
static vlt_result parse_unary(struct policy_parser *parser, const struct policy_node **ret_node) {
    bool negates = policy_parse_sees(parser, "-");
    unsigned count = 0;
    while (policy_parse_skips(parser, negates ? "-" : "!"))
        if (++count > 4)
            return policy_parse_fail(parser, &parser->token, VLT_MALFORMED,
                                     "more than four %s in a row", negates ? "-" : "!");
    const struct policy_node *node = NULL;
    // The minimum has no positive twin, so the sign belongs to the literal.
    if (negates && parser->token.kind == POLICY_TOKEN_NUMBER) {
        struct policy_lexer ahead = parser->lexer;
        struct policy_token after = policy_lexer_next(&ahead);
        bool is_literal = after.kind != POLICY_TOKEN_SIGN ||
                          !(bytes_equal_text(after.text, ".") ||
                            bytes_equal_text(after.text, "[") || bytes_equal_text(after.text, "("));
        VLT_TRY(policy_parse_number(parser, is_literal, &node));
        count -= is_literal;
        VLT_TRY(policy_parse_accesses(parser, node, &node));
    } else {
        VLT_TRY(policy_parse_member(parser, &node));
    }
    for (; count > 0; count--) {
        struct policy_node *outer = NULL;
        VLT_TRY(policy_node_unary(parser, negates ? POLICY_NODE_NEGATE : POLICY_NODE_NOT, node,
                                  &outer));
        node = outer;
    }
    *ret_node = node;
    return vlt_ok();
}

static bool sees_one_of(const struct policy_parser *parser, const char *signs) {
    return parser->token.kind == POLICY_TOKEN_SIGN && parser->token.text.size == 1 &&
           strchr(signs, parser->token.text.at[0]);
}

// first (sign next)*, signs kept in order.
static vlt_result parse_arithmetic(struct policy_parser *parser, const char *signs,
                                   vlt_result (*parse)(struct policy_parser *,
                                                       const struct policy_node **),
                                   const struct policy_node **ret_node) {
    struct policy_token at = parser->token;
    struct policy_parts parts = {0};
    const struct policy_node *part = NULL;
    char *operators = NULL;
    size_t count = 0, capacity = 0;
    VLT_TRY(parse(parser, &part));
    VLT_TRY(policy_parts_add(parser, &parts, part));
    while (sees_one_of(parser, signs)) {
        operators = policy_arena_grow(parser->arena, operators, count, &capacity, 1);
        if (!operators)
            return policy_parse_no_memory(parser);
        operators[count++] = (char)parser->token.text.at[0];
        policy_parse_next(parser);
        VLT_TRY(parse(parser, &part));
        VLT_TRY(policy_parts_add(parser, &parts, part));
    }
    if (count == 0) {
        *ret_node = part;
        return vlt_ok();
    }
    struct policy_node *node = NULL;
    VLT_TRY(policy_node_new(parser, POLICY_NODE_ARITHMETIC, &at, &parts, &node));
    node->operators = operators;
    *ret_node = node;
    return vlt_ok();
}

static vlt_result parse_product(struct policy_parser *parser, const struct policy_node **ret_node) {
    return parse_arithmetic(parser, "*", parse_unary, ret_node);
}

vlt_result policy_parse_sum(struct policy_parser *parser, const struct policy_node **ret_node) {
    return parse_arithmetic(parser, "+-", parse_product, ret_node);
}
