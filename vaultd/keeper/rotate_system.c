// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_system.h"

#include <inttypes.h>
#include <stdio.h>

#include "vaultd/keeper/datakey_make.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/system_reseal.h"
#include "vaultd/log/log.h"

static const char busy[] = "the system data key was rotated by somebody else just now";

// ---- For people ----

static json_t *describe(struct keeper *keeper) {
    struct rotate_datakeys keys;
    if (!keeper->keys || !vlt_is_ok(store_snapshot_begin(keeper->store)))
        return NULL;
    vlt_result result = rotate_datakeys_read(keeper, STORE_SYSTEM_TENANT, &keys);
    size_t remaining = vlt_is_ok(result) && keys.count > 1 ? system_reseal_count(keeper) : 0;
    store_snapshot_end(keeper->store);
    json_t *json = vlt_is_ok(result) ? rotate_datakeys_json(&keys, "system") : NULL;
    if (json && keys.count > 1) {
        json_object_set_new(json, "state",
                            json_string(remaining ? "re-encrypting" : "destroying"));
        json_object_set_new(json, "remaining", json_integer((json_int_t)remaining));
    }
    return json;
}

// ---- A new key ----

static vlt_result made(struct change *change, uint32_t tenant, uint32_t number,
                       const struct secret *key32) {
    change->number = number;
    // Not used before the commit is done: a record must not name a key that is not there.
    return system_keys_add_datakey(change->keeper->keys, number, key32, false);
}

static void begun(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    struct system_keys *keys = keeper->keys;
    keeper->wraps_in_flight--;
    keeper->rotations->is_making_system_key = false;
    if (keys && change->number && vlt_is_ok(result) && system_datakey(keys, change->number))
        system_keys_use_datakey(keys, change->number);
    else if (keys && change->number)
        system_keys_forget_datakey(keys, change->number);
    if (vlt_is_ok(result))
        slots_touch(keeper);
    if (!change->call)
        return;
    if (vlt_is_ok(result))
        rotation_reply(change->call, describe(keeper));
    else
        reply_failure(change->call,
                      result.class == VLT_CONFLICT ? vlt_fail(VLT_CONFLICT, busy) : result);
}

// SYSTEM_DATAKEYS_MAX keys can be loaded.
static vlt_result may_begin(const struct keeper *keeper, const struct rotate_datakeys *keys) {
    if (keeper->rotations->is_making_system_key || keys->count > 1)
        return vlt_fail(VLT_CONFLICT, busy);
    return vlt_ok();
}

static void begin(struct keeper *keeper, const struct rotate_datakeys *keys,
                  struct change *change) {
    keeper->rotations->is_making_system_key = true;
    datakey_make(keeper, STORE_SYSTEM_TENANT, keys, change, made);
}

void rotate_system_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                       struct audit_event *event) {
    struct rotate_datakeys keys;
    vlt_result result = rotate_datakeys_look(keeper, STORE_SYSTEM_TENANT, &keys);
    if (ask->mode == ROTATION_LOOK) {
        rotation_reply(call, describe(keeper));
        return;
    }
    bool is_under_way = vlt_is_ok(result) && keys.count > 1;
    if (vlt_is_ok(result) && ask->mode == ROTATION_EMERGENCY)
        result = vlt_fail(VLT_MALFORMED, ROTATION_NO_EMERGENCY);
    if (vlt_is_ok(result) && ask->expected_revision &&
        (is_under_way || ask->expected_revision != keys.active->revision))
        result = vlt_fail(VLT_CONFLICT, busy);
    if (vlt_is_ok(result) && is_under_way) { // goes on by itself
        rotation_reply(call, describe(keeper));
        return;
    }
    if (vlt_is_ok(result))
        result = may_begin(keeper, &keys);
    struct change *change = vlt_is_ok(result) ? change_new(keeper, call, event, begun) : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    if (change)
        begin(keeper, &keys, change);
    else
        audit_refuse(keeper, call, event, result);
}

// ---- On with it ----

static void stepped(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    keeper->rotations->is_ending_system_key = false;
    // A conflict is somebody's newer record, which names the new key: the next tick
    // looks again.
    if (!vlt_is_ok(result) || !change->number || !keeper->keys)
        return;
    system_keys_forget_datakey(keeper->keys, change->number);
    log_notice("the old system data key is destroyed");
}

// `old`: nothing names it any more, it goes. NULL: what names an old one is
// re-encrypted.
static vlt_result fill(struct keeper *keeper, const struct rotate_datakey *old,
                       struct change *change) {
    uint8_t room[4];
    VLT_TRY(store_snapshot_begin(keeper->store));
    // The record of the epoch is one that is written often: comparing it makes sure
    // that none comes that was encrypted before.
    vlt_result result = system_reseal_add(keeper, old != NULL, change);
    store_snapshot_end(keeper->store);
    if (old)
        change_add_removal(change, STORE_SYSTEM_TENANT, STORE_DATA_KEY,
                           record_datakey_name(old->number, room), old->revision);
    change->number = old ? old->number : 0;
    return result;
}

static void step(struct keeper *keeper, const struct rotate_datakey *old, const char *operation,
                 const char *subject) {
    struct audit_event event;
    rotation_event(&event, operation, subject);
    struct change *change = change_new(keeper, NULL, &event, stepped);
    if (!change)
        return;
    keeper->rotations->is_ending_system_key = true;
    vlt_result result = fill(keeper, old, change);
    if (vlt_is_ok(result)) {
        change_run(change);
        return;
    }
    log_error("a record of the vault can not be re-encrypted and keeps its key: %s", result.reason);
    change_refuse(change, result);
}

// Somebody has encrypted something that is not committed yet.
static bool has_writers(const struct keeper *keeper) {
    return keeper->rotations->is_changing_keys || epoch_is_moving(keeper);
}

void rotate_system_tick(struct keeper *keeper) {
    struct rotations *rotations = keeper->rotations;
    struct rotate_datakeys keys;
    if (rotations->is_making_system_key || rotations->is_ending_system_key || !keeper->keys ||
        !vlt_is_ok(rotate_datakeys_look(keeper, STORE_SYSTEM_TENANT, &keys)) || keys.count == 1)
        return;
    // Sealed and unsealed while the new key was committed: known after the next unsealing.
    if (keys.active->number != keeper->keys->active_datakey || has_writers(keeper) ||
        !vlt_is_ok(store_snapshot_begin(keeper->store)))
        return;
    size_t remaining = system_reseal_count(keeper);
    store_snapshot_end(keeper->store);
    const struct rotate_datakey *old =
        &keys.keys[0] == keys.active ? &keys.keys[1] : &keys.keys[0];
    char key[ROTATE_DATAKEY_TEXT_SIZE], subject[ROTATE_DATAKEY_TEXT_SIZE + 48];
    rotate_datakey_text(STORE_SYSTEM_TENANT, old, key);
    snprintf(subject, sizeof subject, "%s, %zu records to %" PRIu32, key, remaining,
             keys.active->number);
    step(keeper, remaining ? NULL : old,
         remaining ? "rotate.system.encrypt" : "rotate.system.destroy", remaining ? subject : key);
}

// ---- Destroyed by hand: the tick does it, as soon as nothing needs the key ----

void rotate_system_destroy(struct keeper *keeper, struct ipc_call *call,
                           const struct ask_key_destroy *ask, struct audit_event *event) {
    struct rotate_datakeys keys;
    vlt_result result = rotate_datakeys_look(keeper, STORE_SYSTEM_TENANT, &keys);
    const struct rotate_datakey *found = NULL;
    for (size_t i = 0; vlt_is_ok(result) && i < keys.count; i++) {
        char number[16];
        snprintf(number, sizeof number, "%" PRIu32, keys.keys[i].number);
        if (bytes_equal_text(ask->key, number))
            found = &keys.keys[i];
    }
    if (vlt_is_ok(result) && !found)
        result = vlt_fail(VLT_NOT_FOUND, "there is no such key");
    else if (vlt_is_ok(result) && found == keys.active)
        result = vlt_fail(VLT_CONFLICT, "the key is in use: rotate it first");
    else if (vlt_is_ok(result))
        result = vlt_fail(VLT_CONFLICT, "records of the vault are being re-encrypted: the key goes "
                                        "by itself when none needs it");
    audit_refuse(keeper, call, event, result);
}

// ---- By age ----

void rotate_system_schedule(struct keeper *keeper, uint32_t age_s) {
    struct rotate_datakeys keys;
    struct audit_event event;
    if (!vlt_is_ok(rotate_datakeys_look(keeper, STORE_SYSTEM_TENANT, &keys)) ||
        !vlt_is_ok(may_begin(keeper, &keys)) ||
        !key_age_is_due(keeper, ROTATION_SYSTEM, "vault", keys.active->created_at, age_s,
                        keys.active->number))
        return;
    rotation_event(&event, "rotate.system.begin", "vault");
    struct change *change = change_new(keeper, NULL, &event, begun);
    if (change)
        begin(keeper, &keys, change);
}
