// SPDX-License-Identifier: Apache-2.0
// The syntax tree of a policy set. Built by the parser, read by the evaluator,
// the index, the vocabulary check and explain; everything lives in the set's
// arena.
#ifndef VLT_POLICY_POLICY_TREE_H
#define VLT_POLICY_POLICY_TREE_H

#include "libvault/policy/policy.h"
#include "libvault/policy/policy_ext.h"

// Height of an expression's tree, which bounds the evaluator's recursion. One
// nested expression is several nodes high.
#define POLICY_TREE_HEIGHT_MAX 600

enum policy_variable { POLICY_PRINCIPAL, POLICY_ACTION, POLICY_RESOURCE, POLICY_CONTEXT };

enum policy_node_kind {
    POLICY_NODE_LITERAL,      // value
    POLICY_NODE_VARIABLE,     // variable
    POLICY_NODE_IF,           // parts: test, then, else
    POLICY_NODE_AND,          // parts: two or more
    POLICY_NODE_OR,           // parts: two or more
    POLICY_NODE_NOT,          // parts: one
    POLICY_NODE_NEGATE,       // parts: one
    POLICY_NODE_EQUAL,        // parts: two, as in all that follow until ARITHMETIC
    POLICY_NODE_NOT_EQUAL,
    POLICY_NODE_LESS,
    POLICY_NODE_LESS_EQUAL,
    POLICY_NODE_GREATER,
    POLICY_NODE_GREATER_EQUAL,
    POLICY_NODE_IN,
    POLICY_NODE_CONTAINS,
    POLICY_NODE_CONTAINS_ALL,
    POLICY_NODE_CONTAINS_ANY,
    POLICY_NODE_HAS_TAG,
    POLICY_NODE_GET_TAG,
    POLICY_NODE_ARITHMETIC,   // parts: two or more; operators between them
    POLICY_NODE_IS_EMPTY,     // parts: one
    POLICY_NODE_ATTRIBUTE,    // parts: one; names: one
    POLICY_NODE_HAS,          // parts: one; names: the path
    POLICY_NODE_LIKE,         // parts: one; pattern
    POLICY_NODE_IS,           // parts: one, or two with `in`; names: the type
    POLICY_NODE_SET,          // parts: any number
    POLICY_NODE_RECORD,       // parts with names, sorted by name
    POLICY_NODE_CALL,         // parts: arguments; function
};

// The text between the stars of a like pattern: "a*b" is {"a", "b"}, "*" is
// {"", ""}, a pattern without a star is one piece.
struct policy_pattern {
    const struct bytes *pieces;
    size_t piece_count;
};

struct policy_node {
    uint8_t kind; // enum policy_node_kind
    uint16_t height;
    uint32_t line, column;
    uint32_t part_count, name_count;
    const struct policy_node **parts;
    const struct bytes *names;
    union {
        struct policy_value value;
        enum policy_variable variable;
        struct policy_pattern pattern;
        const struct policy_ext *function;
        const char *operators; // '+', '-', '*' between the parts
    };
};

enum policy_scope_kind {
    POLICY_SCOPE_ANY,
    POLICY_SCOPE_EQUAL, // keys: one; or a slot
    POLICY_SCOPE_IN,    // keys: one, or any number for the action; or a slot
    POLICY_SCOPE_IS,    // type
    POLICY_SCOPE_IS_IN, // type, and keys: one; or a slot
};

struct policy_place {
    uint32_t line, column;
};

struct policy_scope {
    enum policy_scope_kind kind;
    bool has_slot;
    struct bytes type;
    const struct policy_key *keys;
    size_t key_count;
    struct policy_place place, type_place; // of the variable, of the type
    const struct policy_place *key_places;
};

struct policy_clause {
    bool is_unless;
    uint32_t line, column;
    const struct policy_node *condition;
};

struct policy_annotation {
    struct bytes name, value;
};

struct policy {
    struct bytes id;
    uint32_t document; // index into the set's documents
    uint32_t line, column;
    bool is_forbid;
    bool reads_moment;     // policy_reads_moment
    bool reads_max_tokens; // policy_reads_max_tokens
    struct policy_scope principal, action, resource;
    const struct policy_clause *clauses;
    size_t clause_count;
    const struct policy_annotation *annotations;
    size_t annotation_count;
};

struct policy_index;

struct policy_set {
    struct policy_arena arena;
    struct bytes *documents; // names
    size_t document_count;
    struct policy *policies;
    size_t count, capacity;
    uint32_t *id_slots; // hash table: index + 1 of a policy, or 0
    size_t id_slot_count;
    struct policy_index *index; // NULL while stale: then every policy is looked at
};

static inline bool policy_is_template(const struct policy *policy) {
    return policy->principal.has_slot || policy->resource.has_slot;
}

// Does a condition look at context.sourceIp, now or tokenAge?
bool policy_reads_moment(const struct policy *policy);
// At context.maxTokens?
bool policy_reads_max_tokens(const struct policy *policy);

// Appends a policy whose id must be new. VLT_CONFLICT, VLT_LIMIT.
vlt_result policy_set_add(struct policy_set *set, const struct policy *policy) VLT_MUST_USE;
// NULL when there is none.
const struct policy *policy_set_find(const struct policy_set *set, struct bytes id);

#endif
