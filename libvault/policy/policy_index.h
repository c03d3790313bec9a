// SPDX-License-Identifier: Apache-2.0
// Which policies of a large set can match a request at all. Every policy is
// filed once, under the rarest thing that its scope names: a principal, a
// resource, an action, or the type of the principal or resource. A request looks
// under its own uids, their ancestors and types. What names nothing is looked at
// always. The index only leaves out policies whose scope cannot match; the scope
// itself is still evaluated.
#ifndef VLT_POLICY_POLICY_INDEX_H
#define VLT_POLICY_POLICY_INDEX_H

#include "libvault/policy/policy_entity.h"
#include "libvault/policy/policy_tree.h"

// Smaller sets are walked: that is faster than looking up.
#define POLICY_INDEX_LEAST 24

// VLT_UNAVAILABLE when memory is short.
vlt_result policy_index_new(const struct policy_set *set, struct policy_index **ret_index)
    VLT_MUST_USE;
void policy_index_free(struct policy_index *index); // NULL is fine

// The candidates in the order of the set, in the request's arena. VLT_LIMIT.
vlt_result policy_index_find(const struct policy_index *index, struct policy_request *request,
                             const uint32_t **ret_candidates, size_t *ret_count) VLT_MUST_USE;

#endif
