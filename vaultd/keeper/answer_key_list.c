// SPDX-License-Identifier: Apache-2.0
// Every key: its generation, age, state and what depends on it. Never a key.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/reencrypt.h"
#include "vaultd/keeper/rotate_key.h"
#include "vaultd/keeper/rotate_tenant.h"
#include "vaultd/keeper/rotate_wrapping.h"
#include "vaultd/keeper/system_keys.h"

#define KEYS_EACH_ANSWER 400     // of tenants; 250 bytes each
#define TENANTS_COUNTED_MAX 4096 // beyond that slots are not counted in one turn

static const char *wrapping_state_name(uint8_t state) {
    static const char *const names[] = {"", "active", "retired", "destroying", "leaving"};
    return state < sizeof names / sizeof *names ? names[state] : "";
}

static json_t *entry(const char *kind, const char *key, const char *state, int64_t created_at,
                     uint64_t revision, const char *needed_by) {
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "kind", kind, "key", key, "state",
                     state, "created_at", (json_int_t)created_at, "age_s",
                     (json_int_t)(clock_now_s() - created_at), "revision", (json_int_t)revision,
                     "needed_by", needed_by);
}

// ---- Signing, intake and checkpoint keys ----

static const char *key_needed_by(const struct record_key *record) {
    static const char *const now[] = {
        [RECORD_KEY_TOKEN] = "tokens that are issued now",
        [RECORD_KEY_CHECKPOINT] = "checkpoints of the audit log",
        [RECORD_KEY_INTAKE] = "values that are sealed now"};
    static const char *const before[] = {
        [RECORD_KEY_TOKEN] = "tokens that were issued before",
        [RECORD_KEY_CHECKPOINT] = "who verifies the audit log with it",
        [RECORD_KEY_INTAKE] = "values that were sealed before"};
    if (record->state == RECORD_KEY_NEXT)
        return "nothing yet: it is published before its first use";
    if (record->state == RECORD_KEY_ACTIVE)
        return now[record->use];
    return record->keep_until <= clock_now_s() ? "nothing" : before[record->use];
}

static void add_keys(struct keeper *keeper, enum record_key_use use, const char *kind,
                     json_t *list) {
    static const char *const states[] = {"", "next", "active", "retired"};
    struct rotate_key_set set;
    // A set without an active key is shown as far as it goes.
    (void)vlt_is_ok(rotate_key_set_read(keeper, use, &set));
    for (size_t i = 0; i < set.count; i++) {
        const struct record_key *record = &set.rows[i].record;
        json_t *json = entry(kind, record->kid, states[record->state], record->created_at,
                             set.rows[i].revision, key_needed_by(record));
        if (json && use == RECORD_KEY_TOKEN && keeper->keys)
            json_object_set_new(
                json, "kept_in",
                json_string(system_keys_signer(keeper->keys, record->kid) ? "device" : "memory"));
        if (json && record->state == RECORD_KEY_RETIRED)
            json_object_set_new(json, "needed_until", json_integer(record->keep_until));
        json_array_append_new(list, json);
    }
    rotate_key_set_done(&set);
}

// ---- Wrapping keys ----

struct counting {
    const uint8_t *id;
    uint64_t count;
};

static bool count_slot(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct counting *counting = context;
    struct record_datakey record;
    if (vlt_is_ok(record_datakey_get(value, &record)))
        for (size_t i = 0; i < record.slot_count; i++)
            counting->count += bytes_equal(bytes_of(record.slots[i].device, RECORD_DEVICE_ID_SIZE),
                                           bytes_of(counting->id, RECORD_DEVICE_ID_SIZE));
    return true;
}

static void add_device(struct keeper *keeper, const struct rotate_device *device, json_t *list) {
    char id[ROTATE_ID_TEXT_SIZE], needed_by[64] = "data keys";
    struct counting counting = {.id = device->id};
    bool is_counted = keeper->next_tenant <= TENANTS_COUNTED_MAX;
    for (uint32_t tenant = 0; is_counted && tenant < keeper->next_tenant; tenant++)
        is_counted = vlt_is_ok(store_each(keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0),
                                          bytes_of(NULL, 0), count_slot, &counting));
    if (is_counted)
        snprintf(needed_by, sizeof needed_by, "%" PRIu64 " data keys", counting.count);
    rotate_id_text(device->id, id);
    json_t *json = entry("wrapping", id, wrapping_state_name(device->state), device->created_at,
                         device->revision, needed_by);
    if (json)
        json_object_set_new(json, "generation", json_integer(device->generation));
    if (json)
        json_object_set_new(json, "device", json_string(device->device));
    json_array_append_new(list, json);
}

static void add_devices(struct keeper *keeper, json_t *list) {
    struct rotate_devices devices;
    (void)vlt_is_ok(rotate_devices_read(keeper, &devices));
    for (size_t i = 0; i < devices.count; i++)
        add_device(keeper, &devices.keys[i], list);
}

// ---- Data keys ----

static void add_system_datakeys(struct keeper *keeper, json_t *list) {
    struct rotate_datakeys keys;
    (void)vlt_is_ok(rotate_datakeys_read(keeper, STORE_SYSTEM_TENANT, &keys));
    for (size_t i = 0; i < keys.count; i++) {
        const struct rotate_datakey *key = &keys.keys[i];
        bool is_active = key->state == RECORD_WRAPPING_ACTIVE;
        char number[16];
        snprintf(number, sizeof number, "%" PRIu32, key->number);
        json_t *json = entry("system", number, wrapping_state_name(key->state), key->created_at,
                             key->revision,
                             is_active ? "keys and records of the vault"
                                       : "records that wait for re-encryption");
        if (json)
            json_object_set_new(json, "generation", json_integer(key->number));
        json_array_append_new(list, json);
    }
}

static void add_datakey(struct keeper *keeper, uint32_t tenant, const struct rotate_datakey *key,
                        json_t *list) {
    char number[16], needed_by[80] = "credentials that are stored now";
    struct reencrypt_progress progress;
    bool is_active = key->state == RECORD_WRAPPING_ACTIVE;
    snprintf(number, sizeof number, "%" PRIu32, key->number);
    if (!is_active && reencrypt_look(keeper, tenant, &progress))
        snprintf(needed_by, sizeof needed_by, "%" PRIu64 " records that are re-encrypted",
                 progress.remaining);
    else if (!is_active)
        snprintf(needed_by, sizeof needed_by, "records that wait for re-encryption");
    json_t *json = entry("tenant", number, wrapping_state_name(key->state), key->created_at,
                         key->revision, needed_by);
    if (json)
        json_object_set_new(json, "tenant_number", json_integer(tenant));
    if (json)
        json_object_set_new(json, "generation", json_integer(key->number));
    json_array_append_new(list, json);
}

static void add_tenant(struct keeper *keeper, uint32_t tenant, json_t *list) {
    struct rotate_datakeys keys;
    (void)vlt_is_ok(rotate_datakeys_read(keeper, tenant, &keys));
    for (size_t i = 0; i < keys.count; i++)
        add_datakey(keeper, tenant, &keys.keys[i], list);
}

// ---- One page ----

static uint32_t add_page(struct keeper *keeper, const struct ask_key_list *ask, json_t *list) {
    uint32_t tenant = ask->tenant;
    if (tenant == STORE_SYSTEM_TENANT) {
        add_keys(keeper, RECORD_KEY_TOKEN, "signing", list);
        add_keys(keeper, RECORD_KEY_INTAKE, "intake", list);
        add_keys(keeper, RECORD_KEY_CHECKPOINT, "checkpoint", list);
        add_devices(keeper, list);
        add_system_datakeys(keeper, list);
        return ask->only ? 0 : 1;
    }
    do
        add_tenant(keeper, tenant++, list);
    while (!ask->only && tenant < keeper->next_tenant && json_array_size(list) < KEYS_EACH_ANSWER);
    return !ask->only && tenant < keeper->next_tenant ? tenant : 0;
}

void answer_key_list(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_key_list ask;
    if (!vlt_is_ok(ask_key_list_decode(frame, &ask)) || ask.only > 1) {
        ipc_call_refuse(call, "a malformed ask_key_list");
        return;
    }
    struct answer_key_list answer = {.next_tenant = 0};
    json_t *list = json_array();
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        answer.next_tenant = add_page(keeper, &ask, list);
        store_snapshot_end(keeper->store);
    }
    char *text = vlt_is_ok(result) ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (vlt_is_ok(result) && !text)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    answer.keys = bytes_of_text(text);
    reply_key_list(call, result, text ? &answer : NULL);
    free(text);
}
