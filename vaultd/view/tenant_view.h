// SPDX-License-Identifier: Apache-2.0
// The records of tenants as a role looks them up by name with each request: read
// and parsed once for each revision of the store. Broker and redeemer; one thread.
#ifndef VLT_VIEW_TENANT_VIEW_H
#define VLT_VIEW_TENANT_VIEW_H

#include "libvault/store/record_tenant.h"

#define TENANT_VIEW_KNOWN 64

struct tenant_view { // zeroed is empty; owns nothing
    struct record_tenant known[TENANT_VIEW_KNOWN]; // by number
    uint64_t revision;
};
// Within an open snapshot; as record_tenant_find. Whether the tenant is disabled is
// for the caller to look at.
vlt_result tenant_view_find(struct tenant_view *view, struct store *store, struct bytes name,
                            struct record_tenant *ret_tenant) VLT_MUST_USE;

#endif
