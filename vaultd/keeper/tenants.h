// SPDX-License-Identifier: Apache-2.0
// Tenants that were looked up lately: a token names its tenant, and parsing its
// record for each request would cost more than the signature.
#ifndef VLT_KEEPER_TENANTS_H
#define VLT_KEEPER_TENANTS_H

#include "libvault/store/record_tenant.h"

struct tenants;
struct tenants *tenants_new(void); // NULL: out of memory
void tenants_free(struct tenants *tenants);
// Within an open snapshot of `store`. `authority_count` is keeper.authority_count:
// what was read at another count is read again. VLT_NOT_FOUND: no such tenant;
// VLT_DENIED: disabled.
vlt_result tenants_check(struct tenants *tenants, struct store *store, uint64_t authority_count,
                         struct bytes name, uint32_t *ret_number) VLT_MUST_USE;
// Number that the next new tenant gets; within a snapshot. STORE_META
// "next_tenant".
#define TENANTS_NEXT_NAME "next_tenant"
vlt_result tenants_next(struct store *store, uint32_t *ret_number) VLT_MUST_USE;

#endif
