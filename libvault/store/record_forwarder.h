// SPDX-License-Identifier: Apache-2.0
// STORE_FORWARDER: a forwarder that may redeem. It is known by the uid of its
// unix-socket peer or by the SHA-256 of its client certificate.
// JSON: schemas/forwarder.schema.json.
#ifndef VLT_STORE_RECORD_FORWARDER_H
#define VLT_STORE_RECORD_FORWARDER_H

#include "libvault/store/record_tenant.h"

#define RECORD_FORWARDER_TENANTS 32
struct record_forwarder {
    char name[RECORD_NAME_MAX + 1];
    bool has_uid;
    uint32_t uid;
    bool has_certificate;
    uint8_t certificate[32]; // SHA-256 of the DER
    size_t tenant_count;     // 0: every tenant
    char tenants[RECORD_FORWARDER_TENANTS][RECORD_NAME_MAX + 1];
    bool disabled;
    int64_t created_at;
};
vlt_result record_forwarder_parse(struct bytes json, struct fault *fault,
                                  struct record_forwarder *ret_forwarder) VLT_MUST_USE;
json_t *record_forwarder_json(const struct record_forwarder *forwarder);

#endif
