// SPDX-License-Identifier: Apache-2.0
// The name of a tenant by its number, for what people read. Looks through all
// tenants: not for every request.
#ifndef VLT_KEEPER_TENANT_NAME_H
#define VLT_KEEPER_TENANT_NAME_H

#include "libvault/store/record_tenant.h"

// Within a snapshot, not within a store_each. "" when there is none.
void tenant_name_find(struct store *store, uint32_t number, char ret_name[RECORD_NAME_MAX + 1]);

#endif
