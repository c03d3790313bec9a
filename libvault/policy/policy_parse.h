// SPDX-License-Identifier: Apache-2.0
// The parser's inside: one token of look-ahead over one document. policy_parse.c
// reads policies, policy_parse_scope.c what stands in their parentheses,
// policy_parse_expression.c operators, policy_parse_primary.c what they join,
// policy_node.c makes the tree.
//
// Grammar: Cedar language guide, "Grammar specification for Cedar policies".
#ifndef VLT_POLICY_POLICY_PARSE_H
#define VLT_POLICY_POLICY_PARSE_H

#include "libvault/policy/policy_lex.h"
#include "libvault/policy/policy_literal.h"
#include "libvault/policy/policy_tree.h"

struct policy_parser {
    struct policy_lexer lexer;
    struct policy_token token; // the next one
    struct policy_arena *arena;
    struct bytes document;
    unsigned depth; // of nested expressions
    struct fault *fault;
};

// Parts or names collected until their number is known.
struct policy_parts {
    const struct policy_node **items;
    size_t count, capacity;
};

// Parses `document` and adds its policies to the set.
vlt_result policy_parse_document(struct policy_set *set, size_t document_index, struct bytes text,
                                 enum policy_ids ids, struct fault *fault) VLT_MUST_USE;

void policy_parse_next(struct policy_parser *parser);
// Whether the next token is this sign or keyword.
bool policy_parse_sees(const struct policy_parser *parser, const char *text);
// Takes it when it is there.
bool policy_parse_skips(struct policy_parser *parser, const char *text);
vlt_result policy_parse_expect(struct policy_parser *parser, const char *text) VLT_MUST_USE;
// "expected …, found …" at the next token.
vlt_result policy_parse_wrong(struct policy_parser *parser, const char *expected) VLT_MUST_USE;
vlt_result policy_parse_fail(struct policy_parser *parser, const struct policy_token *at,
                             enum vlt_class class, const char *format, ...) VLT_PRINTF(4, 5)
    VLT_MUST_USE;
vlt_result policy_parse_no_memory(struct policy_parser *parser) VLT_MUST_USE;

// The string that is the next token, unescaped.
vlt_result policy_parse_string(struct policy_parser *parser, struct bytes *ret_text) VLT_MUST_USE;
// An identifier that is not reserved.
vlt_result policy_parse_name(struct policy_parser *parser, struct bytes *ret_name) VLT_MUST_USE;
// A::B::C; with `ret_key` also A::B::"id": *ret_key is NULL when no id followed.
vlt_result policy_parse_path(struct policy_parser *parser, struct bytes *ret_path,
                             const struct policy_key **ret_key) VLT_MUST_USE;
vlt_result policy_parse_scopes(struct policy_parser *parser, struct policy *policy) VLT_MUST_USE;
vlt_result policy_parse_expression(struct policy_parser *parser,
                                   const struct policy_node **ret_node) VLT_MUST_USE;
// One side of a relation: sums, products, members.
vlt_result policy_parse_sum(struct policy_parser *parser,
                            const struct policy_node **ret_node) VLT_MUST_USE;
vlt_result policy_parse_member(struct policy_parser *parser,
                               const struct policy_node **ret_node) VLT_MUST_USE;
// .name, ["name"], .method(…) after `node`, any number.
vlt_result policy_parse_accesses(struct policy_parser *parser, const struct policy_node *node,
                                 const struct policy_node **ret_node) VLT_MUST_USE;
// A number literal; magnitude up to 2^63 when it is negative.
vlt_result policy_parse_number(struct policy_parser *parser, bool is_negative,
                               const struct policy_node **ret_node) VLT_MUST_USE;

vlt_result policy_parts_add(struct policy_parser *parser, struct policy_parts *parts,
                            const struct policy_node *node) VLT_MUST_USE;
// A node with these parts, at the place of `at`. Checks the height.
vlt_result policy_node_new(struct policy_parser *parser, enum policy_node_kind kind,
                           const struct policy_token *at, const struct policy_parts *parts,
                           struct policy_node **ret_node) VLT_MUST_USE;
// Shorthands: one or two parts, at the place of the first.
vlt_result policy_node_unary(struct policy_parser *parser, enum policy_node_kind kind,
                             const struct policy_node *part,
                             struct policy_node **ret_node) VLT_MUST_USE;
vlt_result policy_node_binary(struct policy_parser *parser, enum policy_node_kind kind,
                              const struct policy_node *left, const struct policy_node *right,
                              const struct policy_node **ret_node) VLT_MUST_USE;
vlt_result policy_node_literal(struct policy_parser *parser, const struct policy_token *at,
                               struct policy_value value,
                               const struct policy_node **ret_node) VLT_MUST_USE;
// Turns a set, record or constructor call over literals into a literal, when it
// has a value at all.
vlt_result policy_node_fold(struct policy_parser *parser, struct policy_node *node) VLT_MUST_USE;

#endif
