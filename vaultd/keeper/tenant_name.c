// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/tenant_name.h"

struct finding {
    uint32_t number;
    char *name;
};

static bool look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct finding *finding = context;
    struct record_tenant tenant;
    if (!vlt_is_ok(record_tenant_parse(value, NULL, &tenant)) || tenant.number != finding->number)
        return true;
    memcpy(finding->name, tenant.name, RECORD_NAME_MAX + 1);
    return false;
}

void tenant_name_find(struct store *store, uint32_t number, char ret_name[RECORD_NAME_MAX + 1]) {
    struct finding finding = {.number = number, .name = ret_name};
    ret_name[0] = 0;
    (void)vlt_is_ok(store_each(store, STORE_SYSTEM_TENANT, STORE_TENANT, bytes_of(NULL, 0),
                               bytes_of(NULL, 0), look, &finding));
}
