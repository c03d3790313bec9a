// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/tenants.h"

#include <stdlib.h>

#define PLACES 1024 // a power of two; two names of one place take turns

struct known {
    uint64_t authority_count;
    uint32_t number; // 0: empty place
    bool is_disabled;
    uint8_t name_bytes;
    char name[RECORD_NAME_MAX];
};

struct tenants {
    struct known places[PLACES];
};

struct tenants *tenants_new(void) {
    return calloc(1, sizeof(struct tenants));
}
void tenants_free(struct tenants *tenants) {
    free(tenants);
}

// FNV-1a: names come from tokens that we signed, so nobody floods a place.
static struct known *place_of(struct tenants *tenants, struct bytes name) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.at[i]) * 16777619u;
    return &tenants->places[hash & (PLACES - 1)];
}

static vlt_result verdict(const struct known *known, uint32_t *ret_number) {
    if (known->is_disabled)
        return vlt_fail(VLT_DENIED, "the tenant is disabled");
    *ret_number = known->number;
    return vlt_ok();
}

vlt_result tenants_check(struct tenants *tenants, struct store *store, uint64_t authority_count,
                         struct bytes name, uint32_t *ret_number) {
    if (!record_name_is_valid(name))
        return vlt_fail(VLT_NOT_FOUND, "there is no such tenant");
    struct known *known = place_of(tenants, name);
    if (known->number != 0 && known->authority_count == authority_count &&
        bytes_equal(bytes_of(known->name, known->name_bytes), name))
        return verdict(known, ret_number);
    struct record_tenant record;
    vlt_result result = record_tenant_find(store, name, &record);
    if (result.class == VLT_NOT_FOUND)
        return vlt_fail(VLT_NOT_FOUND, "there is no such tenant");
    VLT_TRY(result);
    known->authority_count = authority_count;
    known->number = record.number;
    known->is_disabled = record.disabled;
    known->name_bytes = (uint8_t)name.size;
    memcpy(known->name, name.at, name.size);
    return verdict(known, ret_number);
}

vlt_result tenants_next(struct store *store, uint32_t *ret_number) {
    struct bytes value;
    struct wire_reader r;
    VLT_TRY(store_get(store, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(TENANTS_NEXT_NAME),
                      &value, NULL));
    wire_reader_init(&r, value);
    uint32_t number = wire_get_u32(&r);
    VLT_TRY(wire_reader_end(&r));
    if (number == 0)
        return vlt_fail(VLT_MALFORMED, "the number of the next tenant is damaged");
    *ret_number = number;
    return vlt_ok();
}
