// SPDX-License-Identifier: Apache-2.0
// STORE_TENANT: who owns data keys, issuers, policies and credentials.
// JSON: schemas/tenant.schema.json. Parsers refuse unknown members.
#ifndef VLT_STORE_RECORD_TENANT_H
#define VLT_STORE_RECORD_TENANT_H

#include <jansson.h>

#include "libvault/store/store.h"

#define RECORD_NAME_MAX 64
// Names that people choose: 1–64 of a–z, 0–9, '-', '_', '.', first a letter or digit.
bool record_name_is_valid(struct bytes name);

struct record_tenant {
    char name[RECORD_NAME_MAX + 1];
    uint32_t number;
    bool disabled;
    char description[256];
    int64_t created_at;
};
vlt_result record_tenant_parse(struct bytes json, struct fault *fault,
                               struct record_tenant *ret_tenant) VLT_MUST_USE;
json_t *record_tenant_json(const struct record_tenant *tenant); // NULL: out of memory
// Within an open snapshot. VLT_NOT_FOUND.
vlt_result record_tenant_find(struct store *store, struct bytes name,
                              struct record_tenant *ret_tenant) VLT_MUST_USE;

#endif
