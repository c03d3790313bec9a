// SPDX-License-Identifier: Apache-2.0
#include "vaultd/view/tenant_view.h"

vlt_result tenant_view_find(struct tenant_view *view, struct store *store, struct bytes name,
                            struct record_tenant *ret_tenant) {
    uint64_t revision = store_snapshot_revision(store);
    if (view->revision != revision || !revision)
        memset(view, 0, sizeof *view);
    view->revision = revision;
    for (size_t i = 0; name.size && i < TENANT_VIEW_KNOWN; i++)
        if (view->known[i].number && bytes_equal_text(name, view->known[i].name)) {
            *ret_tenant = view->known[i];
            return vlt_ok();
        }
    VLT_TRY(record_tenant_find(store, name, ret_tenant));
    view->known[ret_tenant->number % TENANT_VIEW_KNOWN] = *ret_tenant;
    return vlt_ok();
}
