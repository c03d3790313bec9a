// SPDX-License-Identifier: Apache-2.0
#include "vaultd/broker/broker.h"

vlt_result broker_snapshot(struct broker *broker) {
    struct fault fault = {0};
    if (!broker->store)
        VLT_TRY(store_open(broker->store_path, STORE_READ, &fault, &broker->store));
    return store_snapshot_begin(broker->store);
}

vlt_result broker_tenant(struct broker *broker, struct bytes name,
                         struct record_tenant *ret_tenant) {
    struct record_tenant tenant;
    vlt_result result = tenant_view_find(&broker->tenants, broker->store, name, &tenant);
    if (result.class == VLT_NOT_FOUND || (vlt_is_ok(result) && tenant.disabled))
        return vlt_fail(VLT_DENIED, "no such tenant, or it is disabled");
    VLT_TRY(result);
    *ret_tenant = tenant;
    return vlt_ok();
}
