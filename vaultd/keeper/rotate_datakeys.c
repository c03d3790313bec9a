// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_datakeys.h"

#include <inttypes.h>
#include <stdio.h>

struct reading {
    struct rotate_datakeys *keys;
    vlt_result result;
};

static bool read_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct reading *reading = context;
    struct rotate_datakeys *keys = reading->keys;
    struct record_datakey record;
    struct wire_reader r;
    reading->result = record_datakey_get(value, &record);
    if (vlt_is_ok(reading->result) && keys->count == ROTATE_DATAKEYS_MAX)
        reading->result = vlt_fail(VLT_LIMIT, "the tenant has too many data keys");
    if (!vlt_is_ok(reading->result))
        return false;
    wire_reader_init(&r, name);
    struct rotate_datakey *key = &keys->keys[keys->count++];
    *key = (struct rotate_datakey){.number = wire_get_u32(&r),
                                   .state = record.state,
                                   .created_at = (int64_t)record.created_at,
                                   .revision = revision};
    if (record.state == RECORD_WRAPPING_ACTIVE)
        keys->active = key; // names sort by number
    return true;
}

vlt_result rotate_datakeys_read(struct keeper *keeper, uint32_t tenant,
                                struct rotate_datakeys *ret_keys) {
    *ret_keys = (struct rotate_datakeys){.count = 0};
    struct reading reading = {.keys = ret_keys, .result = vlt_ok()};
    VLT_TRY(store_each(keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0), bytes_of(NULL, 0),
                       read_key, &reading));
    VLT_TRY(reading.result);
    return ret_keys->active ? vlt_ok() : vlt_fail(VLT_NOT_FOUND, "there is no such tenant");
}

vlt_result rotate_datakeys_look(struct keeper *keeper, uint32_t tenant,
                                struct rotate_datakeys *keys) {
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_datakeys_read(keeper, tenant, keys);
    store_snapshot_end(keeper->store);
    return result;
}

// ---- For people ----

static json_t *key_json(const struct rotate_datakey *key) {
    char number[16];
    snprintf(number, sizeof number, "%" PRIu32, key->number);
    return json_pack("{s:s, s:I, s:I}", "key", number, "created_at", (json_int_t)key->created_at,
                     "revision", (json_int_t)key->revision);
}

json_t *rotate_datakeys_json(const struct rotate_datakeys *keys, const char *kind) {
    json_t *retired = json_array();
    for (size_t i = 0; i < keys->count; i++)
        if (&keys->keys[i] != keys->active)
            json_array_append_new(retired, key_json(&keys->keys[i]));
    bool is_under_way = keys->count > 1;
    return json_pack("{s:s, s:b, s:s, s:o, s:o}", "kind", kind, "is_under_way", is_under_way,
                     "state", is_under_way ? "waiting" : "steady", "active",
                     key_json(keys->active), "retired", retired);
}

void rotate_datakey_text(uint32_t tenant, const struct rotate_datakey *key,
                         char text[ROTATE_DATAKEY_TEXT_SIZE]) {
    char whose[24] = "system";
    if (tenant != STORE_SYSTEM_TENANT)
        snprintf(whose, sizeof whose, "tenant %" PRIu32, tenant);
    snprintf(text, ROTATE_DATAKEY_TEXT_SIZE, "%s: data key %" PRIu32 " (revision %" PRIu64 ")",
             whose, key->number, key->revision);
}
