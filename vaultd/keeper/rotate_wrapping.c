// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_wrapping.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/log/log.h"

static const char busy[] = "the wrapping key is being rotated already";

void rotate_id_text(const uint8_t id[RECORD_DEVICE_ID_SIZE], char text[ROTATE_ID_TEXT_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < RECORD_DEVICE_ID_SIZE; i++) {
        text[2 * i] = digits[id[i] >> 4];
        text[2 * i + 1] = digits[id[i] & 15];
    }
    text[ROTATE_ID_TEXT_SIZE - 1] = 0;
}

// ---- What there is ----

struct reading {
    struct keeper *keeper;
    struct rotate_devices *devices;
    vlt_result result;
};

static bool is_open_here(const struct keeper *keeper, const uint8_t *id) {
    for (size_t i = 0; i < keeper->device_id_count; i++)
        if (bytes_equal(bytes_of(keeper->device_ids[i], HSM_KEY_ID_BYTES),
                        bytes_of(id, RECORD_DEVICE_ID_SIZE)))
            return true;
    return false;
}

static bool read_device(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct reading *reading = context;
    struct rotate_devices *devices = reading->devices;
    struct record_device record;
    reading->result = record_device_get(value, &record);
    if (vlt_is_ok(reading->result) && record.kind == RECORD_DEVICE_RECOVERY)
        return true; // no device; its slots stay as they are
    if (vlt_is_ok(reading->result) &&
        (name.size != RECORD_DEVICE_ID_SIZE || record.key.size > HSM_KEY_MAX_BYTES ||
         devices->count == sizeof devices->keys / sizeof *devices->keys))
        reading->result = vlt_fail(VLT_MALFORMED, "the records of wrapping keys are damaged");
    if (!vlt_is_ok(reading->result))
        return false;
    struct rotate_device *device = &devices->keys[devices->count++];
    *device = (struct rotate_device){.state = record.state,
                                     .kind = record.kind,
                                     .generation = record.generation,
                                     .created_at = (int64_t)record.created_at,
                                     .revision = revision,
                                     .key = {.size = record.key.size}};
    memcpy(device->id, name.at, sizeof device->id);
    memcpy(device->key.at, record.key.at, record.key.size);
    if (record.state == RECORD_WRAPPING_ACTIVE && is_open_here(reading->keeper, device->id) &&
        (!devices->active || devices->active->generation < record.generation))
        devices->active = device;
    return true;
}

vlt_result rotate_devices_read(struct keeper *keeper, struct rotate_devices *ret_devices) {
    *ret_devices = (struct rotate_devices){.count = 0};
    struct reading reading = {.keeper = keeper, .devices = ret_devices, .result = vlt_ok()};
    VLT_TRY(store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_DEVICE, bytes_of(NULL, 0),
                       bytes_of(NULL, 0), read_device, &reading));
    VLT_TRY(reading.result);
    return ret_devices->active ? vlt_ok()
                               : vlt_fail(VLT_NOT_FOUND, "no wrapping key is active here");
}

static vlt_result read_devices(struct keeper *keeper, struct rotate_devices *devices) {
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_devices_read(keeper, devices);
    store_snapshot_end(keeper->store);
    return result;
}

static const struct rotate_device *find_state(const struct rotate_devices *devices, uint8_t state) {
    for (size_t i = 0; i < devices->count; i++)
        if (devices->keys[i].state == state)
            return &devices->keys[i];
    return NULL;
}

static bool is_under_way(const struct rotate_devices *devices) {
    return find_state(devices, RECORD_WRAPPING_RETIRED) ||
           find_state(devices, RECORD_WRAPPING_ENDING);
}

// ---- For people ----

static json_t *device_json(const struct rotate_device *device) {
    char id[ROTATE_ID_TEXT_SIZE];
    rotate_id_text(device->id, id);
    return json_pack("{s:s, s:i, s:I, s:I}", "key", id, "generation", (int)device->generation,
                     "created_at", (json_int_t)device->created_at, "revision",
                     (json_int_t)device->revision);
}

static json_t *describe(struct keeper *keeper) {
    struct rotate_devices devices;
    struct rewrap_progress p;
    if (!vlt_is_ok(read_devices(keeper, &devices)))
        return NULL;
    json_t *retired = json_array();
    for (size_t i = 0; i < devices.count; i++)
        if (devices.keys[i].state != RECORD_WRAPPING_ACTIVE)
            json_array_append_new(retired, device_json(&devices.keys[i]));
    bool is_busy = is_under_way(&devices);
    json_t *json =
        json_pack("{s:s, s:b, s:s, s:o, s:o}", "kind", "wrapping", "is_under_way", is_busy, "state",
                  !is_busy                                       ? "steady"
                  : find_state(&devices, RECORD_WRAPPING_ENDING) ? "destroying"
                  : keeper->rotations->rewrap                    ? "rewrapping"
                                                                 : "waiting",
                  "active", device_json(devices.active), "retired", retired);
    if (json && rewrap_look(keeper, &p)) {
        uint64_t elapsed_ms = (uint64_t)(clock_elapsed_ms() - p.started_ms) + 1;
        uint64_t rate = p.done * 1000 / elapsed_ms;
        json_object_set_new(json, "records", json_integer((json_int_t)p.data_keys));
        json_object_set_new(json, "remaining", json_integer((json_int_t)p.remaining));
        json_object_set_new(json, "done", json_integer((json_int_t)p.done));
        json_object_set_new(json, "records_per_s", json_integer((json_int_t)rate));
        json_object_set_new(json, "left_s",
                            json_integer(rate ? (json_int_t)(p.remaining / rate) : 0));
    }
    return json;
}

// ---- A new generation ----

struct generating {
    struct keeper *keeper;
    struct change *change;
    struct rotate_devices devices;
    struct hsm_key made;
    uint8_t id[HSM_KEY_ID_BYTES];
    struct hsm_description description;
};

static void add_device(struct change *change, const struct rotate_device *device, uint8_t state) {
    uint8_t room[RECORD_DEVICE_KEY_MAX + 64];
    struct record_device record = {.kind = device->kind,
                                   .state = state,
                                   .generation = device->generation,
                                   .created_at = (uint64_t)device->created_at,
                                   .key = bytes_of(device->key.at, device->key.size)};
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_device_put(&w, &record);
    change->has_failed |= w.failed;
    change_add(change, STORE_SYSTEM_TENANT, STORE_DEVICE,
               bytes_of(device->id, RECORD_DEVICE_ID_SIZE), bytes_of(w.at, w.size),
               device->revision);
}

static void forgotten(struct device_call *call) {
    if (!vlt_is_ok(call->result))
        log_warning("a wrapping key that is not used stays in the device: %s",
                    fault_or_reason(&call->fault, call->result));
}

// Nothing was wrapped by it: datakey_wrapped_by_known saw to that.
static void destroy_unused(struct keeper *keeper, const struct hsm_key *key) {
    struct device_call *call = device_call_new(DEVICE_DESTROY, forgotten, NULL);
    if (!call)
        return;
    call->keys[0] = *key;
    device_submit(keeper->device, call);
}

static void generation_committed(struct change *change, vlt_result result, uint64_t revision) {
    struct generating *generating = change->context;
    struct keeper *keeper = change->keeper;
    keeper->rotations->is_generating = false;
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED &&
        keeper->device_id_count < HSM_KEYS_MAX) {
        memcpy(keeper->device_ids[keeper->device_id_count++], generating->id, HSM_KEY_ID_BYTES);
        keeper->device_description = generating->description;
        rewrap_begin(keeper);
    } else if (!vlt_is_ok(result) && generating && generating->made.size) {
        destroy_unused(keeper, &generating->made);
    }
    if (change->call && vlt_is_ok(result))
        rotation_reply(change->call, describe(keeper));
    else if (change->call)
        reply_failure(change->call, result);
    free(generating);
}

static vlt_result fill(struct generating *generating, const struct device_call *call) {
    struct rotate_device made = {.state = RECORD_WRAPPING_ACTIVE, .created_at = clock_now_s()};
    enum hsm_kind kind;
    made.key = generating->made = call->keys[0];
    VLT_TRY(hsm_key_facts(&made.key, &kind, &made.generation, made.id));
    made.kind = (uint8_t)kind;
    memcpy(generating->id, made.id, sizeof made.id);
    generating->description = call->description;
    add_device(generating->change, &made, RECORD_WRAPPING_ACTIVE);
    add_device(generating->change, generating->devices.active, RECORD_WRAPPING_RETIRED);
    return vlt_ok();
}

static void generated(struct device_call *call) {
    struct generating *generating = call->context;
    generating->keeper->in_flight--;
    vlt_result result = call->result;
    if (vlt_is_ok(result))
        result = fill(generating, call);
    if (vlt_is_ok(result)) {
        change_run(generating->change);
        return;
    }
    log_error("the device makes no wrapping key: %s", fault_or_reason(&call->fault, result));
    change_refuse(generating->change, result);
}

// Takes the change.
static void generate(struct keeper *keeper, const struct rotate_devices *devices,
                     struct change *change) {
    struct generating *generating = calloc(1, sizeof *generating);
    struct device_call *call =
        generating ? device_call_new(DEVICE_GENERATE, generated, generating) : NULL;
    if (!call) {
        free(generating);
        change_refuse(change, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
        return;
    }
    change->context = generating;
    *generating = (struct generating){.keeper = keeper, .change = change, .devices = *devices};
    generating->devices.active = &generating->devices.keys[devices->active - devices->keys];
    call->settings = keeper->settings.device;
    call->generation = 1;
    for (size_t i = 0; i < devices->count; i++)
        if (devices->keys[i].generation >= call->generation)
            call->generation = devices->keys[i].generation + 1;
    keeper->rotations->is_generating = true;
    keeper->in_flight++;
    device_submit(keeper->device, call);
}

static vlt_result may_begin(const struct keeper *keeper, const struct ask_rotate *ask,
                            const struct rotate_devices *devices) {
    bool is_busy = is_under_way(devices);
    if (ask->mode == ROTATION_EMERGENCY)
        return vlt_fail(VLT_MALFORMED, "only signing and intake keys have an emergency");
    if (keeper->rotations->is_generating)
        return vlt_fail(VLT_CONFLICT, busy);
    if (ask->expected_revision && (is_busy || ask->expected_revision != devices->active->revision))
        return vlt_fail(VLT_CONFLICT, busy);
    return vlt_ok();
}

void rotate_wrapping_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                         struct audit_event *event) {
    struct rotate_devices devices;
    if (ask->mode == ROTATION_LOOK) {
        rotation_reply(call, describe(keeper));
        return;
    }
    vlt_result result = read_devices(keeper, &devices);
    if (vlt_is_ok(result))
        result = may_begin(keeper, ask, &devices);
    if (vlt_is_ok(result) && is_under_way(&devices)) {
        rewrap_begin(keeper);
        rotation_reply(call, describe(keeper));
        return;
    }
    struct change *change =
        vlt_is_ok(result) ? change_new(keeper, call, event, generation_committed) : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    if (change)
        generate(keeper, &devices, change);
    else
        audit_refuse(keeper, call, event, result);
}

void rotate_wrapping_schedule(struct keeper *keeper, uint32_t age_s) {
    struct rotate_devices devices;
    char id[ROTATE_ID_TEXT_SIZE];
    struct audit_event event;
    if (age_s == 0 || keeper->rotations->is_generating ||
        !vlt_is_ok(read_devices(keeper, &devices)) || is_under_way(&devices))
        return;
    rotate_id_text(devices.active->id, id);
    if (!key_age_is_due(keeper, ROTATION_WRAPPING, id, devices.active->created_at, age_s,
                        devices.active->generation))
        return;
    rotation_event(&event, "rotate.wrapping.begin", id);
    struct change *change = change_new(keeper, NULL, &event, generation_committed);
    if (change)
        generate(keeper, &devices, change);
}

// ---- The old one goes: first recorded, then done, then forgotten ----

static void removed(struct change *change, vlt_result result, uint64_t revision) {
    change->keeper->rotations->is_generating = false;
    if (vlt_is_ok(result))
        log_notice("the old wrapping key is destroyed");
}

static void destroyed(struct device_call *call) {
    struct rotations *rotations = call->context;
    struct keeper *keeper = rotations->keeper;
    enum hsm_kind kind;
    uint32_t generation;
    uint8_t id[HSM_KEY_ID_BYTES];
    char text[ROTATE_ID_TEXT_SIZE];
    struct audit_event event;
    keeper->in_flight--;
    vlt_result result = call->result;
    if (vlt_is_ok(result))
        result = hsm_key_facts(&call->keys[0], &kind, &generation, id);
    if (vlt_is_ok(result))
        rotate_id_text(id, text);
    if (vlt_is_ok(result))
        rotation_event(&event, "rotate.wrapping.destroyed", text);
    struct change *change = vlt_is_ok(result) ? change_new(keeper, NULL, &event, removed) : NULL;
    if (!change) {
        rotations->is_generating = false; // the tick tries again
        log_error("the old wrapping key can not be destroyed: %s",
                  fault_or_reason(&call->fault, result));
        return;
    }
    change_add_removal(change, STORE_SYSTEM_TENANT, STORE_DEVICE, bytes_of(id, sizeof id),
                       STORE_ANY_REVISION);
    change_run(change);
}

static void destroy_in_device(struct keeper *keeper, const struct rotate_device *device) {
    struct device_call *call = device_call_new(DEVICE_DESTROY, destroyed, keeper->rotations);
    if (!call)
        return;
    call->keys[0] = device->key;
    keeper->rotations->is_generating = true;
    keeper->in_flight++;
    device_submit(keeper->device, call);
}

static void forget_id(struct keeper *keeper, const uint8_t *id) {
    for (size_t i = 0; i < keeper->device_id_count; i++)
        if (bytes_equal(bytes_of(keeper->device_ids[i], HSM_KEY_ID_BYTES),
                        bytes_of(id, HSM_KEY_ID_BYTES))) {
            memmove(keeper->device_ids[i], keeper->device_ids[--keeper->device_id_count],
                    HSM_KEY_ID_BYTES);
            return;
        }
}

static void ending_recorded(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    keeper->rotations->is_generating = false;
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED) {
        forget_id(keeper, change->changes[0].name.at);
        rotate_wrapping_tick(keeper);
    }
    if (!change->call)
        return;
    struct answer_key_destroy answer = {.revision = revision};
    reply_key_destroy(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

void rotate_wrapping_end_old(struct keeper *keeper) {
    struct rotate_devices devices;
    struct audit_event event;
    char id[ROTATE_ID_TEXT_SIZE];
    if (!vlt_is_ok(read_devices(keeper, &devices)) || keeper->rotations->is_generating)
        return;
    const struct rotate_device *old = find_state(&devices, RECORD_WRAPPING_RETIRED);
    if (!old)
        return;
    rotate_id_text(old->id, id);
    rotation_event(&event, "rotate.wrapping.destroy", id);
    struct change *change = change_new(keeper, NULL, &event, ending_recorded);
    if (!change)
        return;
    keeper->rotations->is_generating = true;
    add_device(change, old, RECORD_WRAPPING_ENDING);
    change_run(change);
}

void rotate_wrapping_tick(struct keeper *keeper) {
    struct rotate_devices devices;
    if (keeper->rotations->is_generating || keeper->rotations->rewrap ||
        !vlt_is_ok(read_devices(keeper, &devices)))
        return;
    const struct rotate_device *ending = find_state(&devices, RECORD_WRAPPING_ENDING);
    if (ending)
        destroy_in_device(keeper, ending);
    else if (find_state(&devices, RECORD_WRAPPING_RETIRED))
        rewrap_begin(keeper);
}

void rotate_wrapping_destroy(struct keeper *keeper, struct ipc_call *call,
                             const struct ask_key_destroy *ask, struct audit_event *event) {
    struct rotate_devices devices;
    char id[ROTATE_ID_TEXT_SIZE];
    vlt_result result = read_devices(keeper, &devices);
    const struct rotate_device *found = NULL;
    for (size_t i = 0; i < devices.count; i++) {
        rotate_id_text(devices.keys[i].id, id);
        if (bytes_equal_text(ask->key, id))
            found = &devices.keys[i];
    }
    if (vlt_is_ok(result) && !found)
        result = vlt_fail(VLT_NOT_FOUND, "there is no such key");
    else if (vlt_is_ok(result) && found->state == RECORD_WRAPPING_ACTIVE)
        result = vlt_fail(VLT_CONFLICT, "the key is in use: rotate it first");
    else if (vlt_is_ok(result)) // a whole look at the slots decides, not a person
        result = vlt_fail(VLT_CONFLICT, "data keys are being wrapped again: the key goes by itself "
                                        "when none needs it");
    audit_refuse(keeper, call, event, result);
}
