// SPDX-License-Identifier: Apache-2.0
// The evaluator: one expression of a policy over one request. Total and
// bounded: no loops in the language, a tree of bounded height, a budget of
// steps, and the request's arena.
#ifndef VLT_POLICY_POLICY_EVAL_H
#define VLT_POLICY_POLICY_EVAL_H

#include "libvault/policy/policy_entity.h"
#include "libvault/policy/policy_tree.h"

struct policy_eval {
    struct policy_request *request;
    size_t work;                     // steps done so far
    const struct policy_node *where; // the expression that failed
};

// VLT_MALFORMED: the policy errs, as the specification says. VLT_LIMIT: steps or
// memory ran out, which is no answer to anything.
vlt_result policy_eval_expression(struct policy_eval *eval, const struct policy_node *node,
                                  struct policy_value *ret_value) VLT_MUST_USE;

// `key in target`: is it the same or an ancestor.
bool policy_eval_is_in(struct policy_eval *eval, const struct policy_key *key,
                       const struct policy_key *target);

// Operators over values that are there already, in policy_eval_operator.c.
vlt_result policy_eval_relation(struct policy_eval *eval, enum policy_node_kind kind,
                                const struct policy_value *left, const struct policy_value *right,
                                struct policy_value *ret_value) VLT_MUST_USE;
vlt_result policy_eval_arithmetic(char sign, const struct policy_value *left,
                                  const struct policy_value *right,
                                  struct policy_value *ret_value) VLT_MUST_USE;
vlt_result policy_eval_want(const struct policy_value *value, enum policy_kind kind) VLT_MUST_USE;

// How far a policy came; POLICY_STAGE_… in policy_decide.h.
enum policy_match {
    POLICY_MATCH_PRINCIPAL, // stopped there
    POLICY_MATCH_ACTION,
    POLICY_MATCH_RESOURCE,
    POLICY_MATCH_CLAUSE,
    POLICY_MATCH_ALL,
};
bool policy_eval_scope(struct policy_eval *eval, const struct policy_scope *scope,
                       const struct policy_key *key);
// The whole policy: scope, then clauses in order. *ret_clause (may be NULL) is
// the clause that stopped it or erred.
vlt_result policy_eval_policy(struct policy_eval *eval, const struct policy *policy,
                              enum policy_match *ret_match,
                              const struct policy_clause **ret_clause) VLT_MUST_USE;

#endif
