// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_forwarder.h"

#include "libvault/base/hex.h"
#include "libvault/store/record_json.h"

static void read_tenants(struct record_json *r, struct record_forwarder *forwarder) {
    const json_t *list = record_json_array(r, "tenants", RECORD_OPTIONAL, RECORD_FORWARDER_TENANTS);
    for (size_t i = 0; list && i < json_array_size(list); i++) {
        char *name = forwarder->tenants[i];
        record_json_item(r, "tenants", json_array_get(list, i), name, sizeof *forwarder->tenants);
        if (!record_json_failed(r) && !record_name_is_valid(bytes_of_text(name)))
            record_json_fail(r, "tenants", "names of tenants");
        forwarder->tenant_count = i + 1;
    }
}

static void read_identity(struct record_json *r, struct record_forwarder *forwarder) {
    int64_t uid = -1;
    record_json_number(r, "uid", RECORD_OPTIONAL, 0, UINT32_MAX - 1, &uid);
    forwarder->has_uid = uid >= 0;
    forwarder->uid = uid >= 0 ? (uint32_t)uid : 0;
    record_json_hash(r, "certificate_sha256", RECORD_OPTIONAL, forwarder->certificate,
                     &forwarder->has_certificate);
    // Exactly one: a forwarder with two identities could be taken over by either.
    if (!record_json_failed(r) && forwarder->has_uid == forwarder->has_certificate)
        record_json_fail(r, "uid", "given, or else \"certificate_sha256\", and not both");
}

vlt_result record_forwarder_parse(struct bytes json, struct fault *fault,
                                  struct record_forwarder *ret_forwarder) {
    static const char *const members[] = {
        "name", "uid", "certificate_sha256", "tenants", "disabled", "created_at", NULL};
    struct record_forwarder forwarder = {0};
    struct record_json r;
    json_t *root;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    record_json_name(&r, "name", RECORD_REQUIRED, forwarder.name, sizeof forwarder.name);
    read_identity(&r, &forwarder);
    read_tenants(&r, &forwarder);
    record_json_bool(&r, "disabled", &forwarder.disabled);
    record_json_number(&r, "created_at", RECORD_REQUIRED, 1, INT64_MAX, &forwarder.created_at);
    json_decref(root);
    VLT_TRY(r.result);
    *ret_forwarder = forwarder;
    return vlt_ok();
}

json_t *record_forwarder_json(const struct record_forwarder *forwarder) {
    json_t *object = json_object();
    record_json_put_text(&object, "name", forwarder->name);
    if (forwarder->has_uid)
        record_json_put(&object, "uid", json_integer(forwarder->uid));
    if (forwarder->has_certificate) {
        char hash[65];
        hex_encode(bytes_of(forwarder->certificate, 32), hash);
        record_json_put_text(&object, "certificate_sha256", hash);
    }
    if (forwarder->tenant_count > 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < forwarder->tenant_count; i++)
            json_array_append_new(list, json_string(forwarder->tenants[i]));
        record_json_put(&object, "tenants", list);
    }
    record_json_put_flag(&object, "disabled", forwarder->disabled);
    record_json_put_number(&object, "created_at", forwarder->created_at);
    return object;
}
