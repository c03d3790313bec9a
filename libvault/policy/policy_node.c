// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_parse.h"

vlt_result policy_parts_add(struct policy_parser *parser, struct policy_parts *parts,
                            const struct policy_node *node) {
    const struct policy_node **items = policy_arena_grow(parser->arena, parts->items, parts->count,
                                                         &parts->capacity, sizeof *parts->items);
    if (!items)
        return policy_parse_no_memory(parser);
    parts->items = items;
    parts->items[parts->count++] = node;
    return vlt_ok();
}

vlt_result policy_node_new(struct policy_parser *parser, enum policy_node_kind kind,
                           const struct policy_token *at, const struct policy_parts *parts,
                           struct policy_node **ret_node) {
    unsigned height = 0;
    for (size_t i = 0; parts && i < parts->count; i++)
        if (parts->items[i]->height > height)
            height = parts->items[i]->height;
    if (height >= POLICY_TREE_HEIGHT_MAX)
        return policy_parse_fail(parser, at, VLT_LIMIT, "expression nested too deeply");
    struct policy_node *node = policy_arena_take(parser->arena, sizeof *node);
    if (!node)
        return policy_parse_no_memory(parser);
    *node = (struct policy_node){.kind = (uint8_t)kind,
                                 .height = (uint16_t)(height + 1),
                                 .line = at->line,
                                 .column = at->column};
    if (parts) {
        node->parts = parts->items;
        node->part_count = (uint32_t)parts->count;
    }
    *ret_node = node;
    return vlt_ok();
}

static struct policy_token place_of(const struct policy_node *node) {
    return (struct policy_token){.line = node->line, .column = node->column};
}

vlt_result policy_node_unary(struct policy_parser *parser, enum policy_node_kind kind,
                             const struct policy_node *part, struct policy_node **ret_node) {
    struct policy_parts parts = {0};
    struct policy_token at = place_of(part);
    VLT_TRY(policy_parts_add(parser, &parts, part));
    return policy_node_new(parser, kind, &at, &parts, ret_node);
}

vlt_result policy_node_binary(struct policy_parser *parser, enum policy_node_kind kind,
                              const struct policy_node *left, const struct policy_node *right,
                              const struct policy_node **ret_node) {
    struct policy_parts parts = {0};
    struct policy_token at = place_of(left);
    struct policy_node *node;
    VLT_TRY(policy_parts_add(parser, &parts, left));
    VLT_TRY(policy_parts_add(parser, &parts, right));
    VLT_TRY(policy_node_new(parser, kind, &at, &parts, &node));
    *ret_node = node;
    return vlt_ok();
}

vlt_result policy_node_literal(struct policy_parser *parser, const struct policy_token *at,
                               struct policy_value value, const struct policy_node **ret_node) {
    struct policy_node *node;
    VLT_TRY(policy_node_new(parser, POLICY_NODE_LITERAL, at, NULL, &node));
    node->value = value;
    *ret_node = node;
    return vlt_ok();
}

static void become_literal(struct policy_node *node, struct policy_value value) {
    node->kind = POLICY_NODE_LITERAL;
    node->height = 1;
    node->part_count = node->name_count = 0;
    node->value = value;
}

static vlt_result fold_set(struct policy_parser *parser, struct policy_node *node) {
    struct policy_value *items =
        policy_arena_take_array(parser->arena, node->part_count, sizeof *items);
    if (!items)
        return policy_parse_no_memory(parser);
    for (uint32_t i = 0; i < node->part_count; i++)
        items[i] = node->parts[i]->value;
    become_literal(node, policy_value_set(items, node->part_count));
    return vlt_ok();
}

static vlt_result fold_record(struct policy_parser *parser, struct policy_node *node) {
    struct policy_fields *fields = policy_arena_take(parser->arena, sizeof *fields);
    struct policy_field *items =
        policy_arena_take_array(parser->arena, node->part_count, sizeof *items);
    if (!fields || !items)
        return policy_parse_no_memory(parser);
    for (uint32_t i = 0; i < node->part_count; i++)
        items[i] = (struct policy_field){node->names[i], node->parts[i]->value};
    *fields = (struct policy_fields){items, node->part_count};
    become_literal(node, (struct policy_value){.kind = POLICY_RECORD, .record = fields});
    return vlt_ok();
}

// A constructor whose text is wrong is an error of the evaluation, not of the
// parser, so such a call stays.
static void fold_call(struct policy_parser *parser, struct policy_node *node) {
    struct policy_value value;
    if (node->function->is_method || node->part_count != 1)
        return;
    if (vlt_is_ok(node->function->call(&node->parts[0]->value, parser->arena, &value)))
        become_literal(node, value);
}

vlt_result policy_node_fold(struct policy_parser *parser, struct policy_node *node) {
    for (uint32_t i = 0; i < node->part_count; i++)
        if (node->parts[i]->kind != POLICY_NODE_LITERAL)
            return vlt_ok();
    if (node->kind == POLICY_NODE_SET)
        return fold_set(parser, node);
    if (node->kind == POLICY_NODE_RECORD)
        return fold_record(parser, node);
    if (node->kind == POLICY_NODE_CALL)
        fold_call(parser, node);
    return vlt_ok();
}
