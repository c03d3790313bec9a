// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_tenant.h"

#include "libvault/store/record_json.h"

bool record_name_is_valid(struct bytes name) {
    if (name.size == 0 || name.size > RECORD_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.at[i];
        bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_alphanumeric && (i == 0 || (c != '-' && c != '_' && c != '.')))
            return false;
    }
    return true;
}

vlt_result record_tenant_parse(struct bytes json, struct fault *fault,
                               struct record_tenant *ret_tenant) {
    static const char *const members[] = {"name",        "number",     "disabled",
                                          "description", "created_at", NULL};
    struct record_tenant tenant = {0};
    struct record_json r;
    json_t *root;
    int64_t number = 0;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    record_json_name(&r, "name", RECORD_REQUIRED, tenant.name, sizeof tenant.name);
    record_json_number(&r, "number", RECORD_REQUIRED, 1, UINT32_MAX, &number);
    record_json_bool(&r, "disabled", &tenant.disabled);
    record_json_text(&r, "description", RECORD_OPTIONAL, tenant.description,
                     sizeof tenant.description);
    record_json_number(&r, "created_at", RECORD_REQUIRED, 1, INT64_MAX, &tenant.created_at);
    tenant.number = (uint32_t)number;
    json_decref(root);
    VLT_TRY(r.result);
    *ret_tenant = tenant;
    return vlt_ok();
}

json_t *record_tenant_json(const struct record_tenant *tenant) {
    json_t *object = json_object();
    record_json_put_text(&object, "name", tenant->name);
    record_json_put_number(&object, "number", tenant->number);
    record_json_put_flag(&object, "disabled", tenant->disabled);
    record_json_put_text(&object, "description", tenant->description);
    record_json_put_number(&object, "created_at", tenant->created_at);
    return object;
}

vlt_result record_tenant_find(struct store *store, struct bytes name,
                              struct record_tenant *ret_tenant) {
    struct bytes value;
    VLT_TRY(store_get(store, STORE_SYSTEM_TENANT, STORE_TENANT, name, &value, NULL));
    return record_tenant_parse(value, NULL, ret_tenant);
}
