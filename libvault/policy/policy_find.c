// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_tree.h"

bool policy_set_find_index(const struct policy_set *set, struct bytes id, size_t *ret_index) {
    const struct policy *policy = policy_set_find(set, id);
    if (!policy)
        return false;
    *ret_index = (size_t)(policy - set->policies);
    return true;
}
