// SPDX-License-Identifier: Apache-2.0
// Which policies look at what may be different at the next request of the same
// kind: an answer that they decided must not be used again.
#include "libvault/policy/policy_tree.h"

// Of the context. What else is in there is the token's, or is the request's own
// and part of what a forwarder remembers an answer by; but for the number, by
// which it remembers only where it matters.
typedef bool concern_fn(struct bytes name);

static bool is_momentary(struct bytes name) {
    return bytes_equal_text(name, "sourceIp") || bytes_equal_text(name, "now") ||
           bytes_equal_text(name, "tokenAge");
}

static bool is_number(struct bytes name) { return bytes_equal_text(name, "maxTokens"); }

static bool is_context(const struct policy_node *node) {
    return node->kind == POLICY_NODE_VARIABLE && node->variable == POLICY_CONTEXT;
}

static bool reads(const struct policy_node *node, concern_fn *concerns) {
    bool names_member = node->kind == POLICY_NODE_ATTRIBUTE || node->kind == POLICY_NODE_HAS;
    if (names_member && is_context(node->parts[0]))
        return concerns(node->names[0]);
    if (is_context(node)) // as a whole: compared, say
        return true;
    for (uint32_t i = 0; i < node->part_count; i++)
        if (reads(node->parts[i], concerns))
            return true;
    return false;
}

static bool policy_reads(const struct policy *policy, concern_fn *concerns) {
    for (size_t i = 0; i < policy->clause_count; i++)
        if (reads(policy->clauses[i].condition, concerns))
            return true;
    return false;
}

bool policy_reads_moment(const struct policy *policy) { return policy_reads(policy, is_momentary); }

bool policy_reads_max_tokens(const struct policy *policy) {
    return policy_reads(policy, is_number);
}
