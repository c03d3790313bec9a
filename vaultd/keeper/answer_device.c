// SPDX-License-Identifier: Apache-2.0
// Devices of the vault: what there is, one more, one less.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/device_remove.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/log/log.h"

#define TENANTS_COUNTED_MAX 4096 // beyond that slots are not counted in one turn
#define NAMES_MAX (2 * KEEPER_DEVICES_MAX)

// ---- List ----

struct listed {
    const char *name;
    uint64_t slots; // data keys that it can open
    bool has_keys, is_leaving;
};
struct listing {
    struct rotate_devices keys;
    struct listed rows[NAMES_MAX];
    size_t count;
    uint64_t data_keys;
};

static struct listed *row_of(struct listing *listing, const char *name) {
    for (size_t i = 0; i < listing->count; i++)
        if (strcmp(listing->rows[i].name, name) == 0)
            return &listing->rows[i];
    if (listing->count == NAMES_MAX)
        return NULL;
    struct listed *row = &listing->rows[listing->count++];
    *row = (struct listed){.name = name};
    return row;
}

static const struct rotate_device *key_of(const struct listing *listing, const uint8_t *id) {
    for (size_t i = 0; i < listing->keys.count; i++)
        if (bytes_equal(bytes_of(listing->keys.keys[i].id, RECORD_DEVICE_ID_SIZE),
                        bytes_of(id, RECORD_DEVICE_ID_SIZE)))
            return &listing->keys.keys[i];
    return NULL;
}

// A data key may have two slots of a device while its wrapping key is rotated.
static bool count_slots(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct listing *listing = context;
    struct record_datakey record;
    unsigned seen = 0;
    if (!vlt_is_ok(record_datakey_get(value, &record)))
        return true;
    listing->data_keys++;
    for (size_t i = 0; i < record.slot_count; i++) {
        const struct rotate_device *key = key_of(listing, record.slots[i].device);
        struct listed *row = key ? row_of(listing, key->device) : NULL;
        if (row && !(seen >> (row - listing->rows) & 1))
            row->slots++;
        if (row)
            seen |= 1u << (row - listing->rows);
    }
    return true;
}

static json_t *row_json(struct keeper *keeper, const struct listing *listing,
                        const struct listed *row, bool is_counted) {
    const struct device *device = devices_of_name(keeper, bytes_of_text(row->name));
    json_t *json = device ? devices_entry_json(device)
                          : json_pack("{s:s, s:s}", "name", row->name, "state", "not configured");
    if (!json)
        return NULL;
    json_object_set_new(json, "belongs", json_boolean(row->has_keys));
    json_object_set_new(json, "leaving", json_boolean(row->is_leaving));
    if (is_counted && row->has_keys) {
        json_object_set_new(json, "slots", json_integer((json_int_t)row->slots));
        json_object_set_new(json, "missing",
                            json_integer((json_int_t)(listing->data_keys - row->slots)));
    }
    return json;
}

static vlt_result list_devices(struct keeper *keeper, struct listing *listing, bool *ret_counted) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        (void)row_of(listing, keeper->devices->at[i].name);
    *ret_counted = false;
    if (!keeper->store)
        return vlt_ok();
    VLT_TRY(store_snapshot_begin(keeper->store));
    (void)vlt_is_ok(rotate_devices_read(keeper, &listing->keys)); // as far as it goes
    for (size_t i = 0; i < listing->keys.count; i++) {
        struct listed *row = row_of(listing, listing->keys.keys[i].device);
        if (!row)
            continue;
        row->has_keys = true;
        row->is_leaving |= listing->keys.keys[i].state == RECORD_WRAPPING_LEAVING;
    }
    *ret_counted = keeper->next_tenant <= TENANTS_COUNTED_MAX;
    vlt_result result = vlt_ok();
    for (uint32_t tenant = 0; *ret_counted && vlt_is_ok(result) && tenant < keeper->next_tenant;
         tenant++)
        result = store_each(keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0),
                            bytes_of(NULL, 0), count_slots, listing);
    store_snapshot_end(keeper->store);
    return result;
}

static json_t *listing_json(struct keeper *keeper, const struct listing *listing, bool is_counted) {
    json_t *list = json_array();
    for (size_t i = 0; i < listing->count; i++)
        json_array_append_new(list, row_json(keeper, listing, &listing->rows[i], is_counted));
    bool is_busy =
        keeper->rotations && (keeper->rotations->slots || keeper->rotations->is_removing);
    json_t *json = json_pack("{s:o, s:b, s:b}", "devices", list, "is_under_way", is_busy,
                             "is_scrubbing", keeper->store && scrub_is_wanted_by_device(keeper));
    if (json && is_counted)
        json_object_set_new(json, "data_keys", json_integer((json_int_t)listing->data_keys));
    return json;
}

void answer_device_list(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_device_list ask;
    struct listing listing = {.count = 0};
    bool is_counted;
    if (!vlt_is_ok(ask_device_list_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_device_list");
        return;
    }
    vlt_result result = list_devices(keeper, &listing, &is_counted);
    json_t *json = vlt_is_ok(result) ? listing_json(keeper, &listing, is_counted) : NULL;
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (vlt_is_ok(result) && !text)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    const struct answer_device_list answer = {.description = bytes_of_text(text)};
    reply_device_list(call, result, vlt_is_ok(result) ? &answer : NULL);
    free(text);
}

// ---- One more ----

struct adding {
    struct device *device;
    struct hsm_key key;
    uint8_t id[HSM_KEY_ID_BYTES];
    struct hsm_description description;
    char why[480]; // the device can not be added; "" otherwise
};

static void reply_changed(struct change *change, vlt_result result, uint64_t revision) {
    const struct answer_device_change answer = {.revision = revision};
    reply_device_change(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void added(struct change *change, vlt_result result, uint64_t revision) {
    struct adding *adding = change->context;
    struct keeper *keeper = change->keeper;
    keeper->rotations->is_generating = false;
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED) {
        struct device *device = adding->device;
        device->id_count = 0;
        device->session++;
        device->is_opening = device->is_checking = device->is_overdue = false;
        device_add_id(device, adding->id, &adding->description);
        epoch_leave(keeper, device->name); // of an earlier time in this vault
        epoch_join(keeper, device->name);
        slots_touch(keeper);
    } else if (!vlt_is_ok(result) && adding && adding->key.size) {
        device_destroy_unused(adding->device, &adding->key);
    }
    if (adding && adding->why[0]) { // a reason fits through the channel, this text does not
        const struct answer_device_change answer = {.note = bytes_of_text(adding->why)};
        reply_device_change(change->call, vlt_ok(), &answer);
    } else {
        reply_changed(change, result, revision);
    }
    free(adding);
}

static vlt_result add_record(struct change *change, struct adding *adding,
                             const struct device_call *call) {
    struct rotate_device made = {.state = RECORD_WRAPPING_ACTIVE, .created_at = clock_now_s()};
    enum hsm_kind kind;
    made.key = adding->key = call->keys[0];
    VLT_TRY(hsm_key_facts(&made.key, &kind, &made.generation, made.id));
    made.kind = (uint8_t)kind;
    memcpy(made.device, adding->device->name, strlen(adding->device->name));
    memcpy(adding->id, made.id, sizeof made.id);
    adding->description = call->description;
    rotate_devices_add(change, &made, RECORD_WRAPPING_ACTIVE);
    return vlt_ok();
}

static void key_created(struct device_call *call) {
    struct change *change = call->context;
    struct adding *adding = change->context;
    vlt_result result = call->result;
    change->keeper->in_flight--;
    if (vlt_is_ok(result))
        result = add_record(change, adding, call);
    if (vlt_is_ok(result)) {
        change_run(change);
        return;
    }
    snprintf(adding->why, sizeof adding->why, "%s", fault_or_reason(&call->fault, result));
    log_error("device %s can not be added: %s", adding->device->name, adding->why);
    change_refuse(change, vlt_fail(VLT_UNAVAILABLE, "the device makes no wrapping key"));
}

static vlt_result find_new(struct keeper *keeper, struct bytes name, struct device **ret_device) {
    struct rotate_devices keys;
    struct device *device = devices_of_name(keeper, name);
    if (!device)
        return vlt_fail(VLT_NOT_FOUND, "the configuration has no device of this name: add it to "
                                       "more_devices and reload");
    VLT_TRY(rotate_devices_look(keeper, &keys));
    for (size_t i = 0; i < keys.count; i++)
        if (strcmp(keys.keys[i].device, device->name) == 0)
            return vlt_fail(VLT_CONFLICT, "the device belongs to the vault already");
    if (keeper->rotations->is_generating)
        return vlt_fail(VLT_CONFLICT, "wrapping keys are being changed: try again");
    *ret_device = device;
    return vlt_ok();
}

static vlt_result add(struct keeper *keeper, struct device *device, struct change *change) {
    struct adding *adding = calloc(1, sizeof *adding);
    struct device_call *call =
        adding ? device_call_new(DEVICE_CREATE, key_created, change) : NULL;
    if (!call) {
        free(adding);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    adding->device = device;
    change->context = adding;
    call->settings = keeper->settings.devices[device->number].hsm;
    keeper->rotations->is_generating = true;
    keeper->in_flight++;
    device_submit(device->thread, call);
    return vlt_ok();
}

static void refused(struct change *change, vlt_result result, uint64_t revision) {
    reply_changed(change, result, revision);
}

// ---- One less ----

static void leaving(struct change *change, vlt_result result, uint64_t revision) {
    struct device *device = change->context;
    struct keeper *keeper = change->keeper;
    if (vlt_is_ok(result) && device)
        device_leaves(device);
    if (vlt_is_ok(result))
        slots_touch(keeper);
    reply_changed(change, result, revision);
}

static vlt_result begin_leaving(struct keeper *keeper, struct bytes name, struct change *change) {
    struct rotate_devices keys;
    char text[RECORD_DEVICE_NAME_MAX + 1];
    if (!bytes_to_text(name, text, sizeof text))
        return vlt_fail(VLT_NOT_FOUND, "the vault has no such device");
    struct device *device = devices_of_name(keeper, name);
    VLT_TRY(rotate_devices_look(keeper, &keys));
    VLT_TRY(device_remove_check(keeper, &keys, text));
    if (keeper->rotations->is_generating)
        return vlt_fail(VLT_CONFLICT, "wrapping keys are being changed: try again");
    if (device && system_keys_signer(keeper->keys, keeper->keys->signing->kid) &&
        device->thread == keeper->device)
        return vlt_fail(VLT_CONFLICT, "the token signing key lives in this device: set "
                                      "tokens.signing_key to memory and rotate it first");
    for (size_t i = 0; i < keys.count; i++)
        if (strcmp(keys.keys[i].device, text) == 0)
            rotate_devices_add(change, &keys.keys[i], RECORD_WRAPPING_LEAVING);
    change->context = device;
    change->answer = leaving;
    return vlt_ok();
}

// ---- Asked for ----

void answer_device_change(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_device_change ask;
    struct audit_event event;
    struct device *device = NULL;
    if (!vlt_is_ok(ask_device_change_decode(frame, &ask)) || ask.removes > 1 ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_VAULT, &event))) {
        ipc_call_refuse(call, "a malformed ask_device_change");
        return;
    }
    struct change *change = change_new(keeper, call, &event, refused);
    if (!change) {
        audit_refuse(keeper, call, &event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    vlt_result result = ask.removes ? begin_leaving(keeper, ask.name, change)
                                    : find_new(keeper, ask.name, &device);
    if (vlt_is_ok(result) && device) {
        change->answer = added;
        result = add(keeper, device, change);
        if (vlt_is_ok(result))
            return;
        change->answer = refused;
    }
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}
