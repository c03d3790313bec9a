// SPDX-License-Identifier: Apache-2.0
// The policies in force of each tenant, compiled once and kept until the set
// changes. Used by the broker (issue, evaluate), the redeemer (redeem) and the
// admin role (remote administrators), each with its own cache.
#ifndef VLT_ROLE_POLICY_CACHE_H
#define VLT_ROLE_POLICY_CACHE_H

#include "libvault/policy/policy.h"
#include "libvault/store/record_policy.h"

#define POLICY_HASH_TEXT_SIZE 44 // base64url of 32 bytes and a NUL

struct policy_active {
    const struct policy_set *set;
    uint64_t version;
    uint8_t hash[32];
    char hash_text[POLICY_HASH_TEXT_SIZE];
};

struct policy_cache;
struct policy_cache *policy_cache_new(void); // NULL: out of memory
void policy_cache_free(struct policy_cache *cache);

// Within an open snapshot of the store. Looks at the revision of the active set
// each time, so a newly activated set decides from the next request on. Borrowed
// until the next call. VLT_NOT_FOUND: the tenant has no policies (deny).
// VLT_UNAVAILABLE: they can not be read or compiled (deny; the fault says why).
vlt_result policy_cache_get(struct policy_cache *cache, struct store *store, uint32_t tenant,
                            struct fault *fault, struct policy_active *ret_active) VLT_MUST_USE;

#endif
