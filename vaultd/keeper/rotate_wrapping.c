// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_wrapping.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/log/log.h"

static const vlt_result no_device = {VLT_UNAVAILABLE,
                                     "no device works: see `vaultctl device list`"};
static const char busy[] = "the wrapping key is being rotated already";

// ---- What there is ----

struct reading {
    struct keeper *keeper;
    struct rotate_devices *devices;
    vlt_result result;
};

static bool is_open_here(struct keeper *keeper, const uint8_t *id) {
    const struct device *device = devices_of_id(keeper, id);
    return device && device->thread == keeper->device;
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
    if (record.device.size)
        memcpy(device->device, record.device.at, record.device.size);
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

vlt_result rotate_devices_look(struct keeper *keeper, struct rotate_devices *devices) {
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_devices_read(keeper, devices);
    store_snapshot_end(keeper->store);
    return result;
}

const struct rotate_device *rotate_devices_in(const struct rotate_devices *devices, uint8_t state) {
    for (size_t i = 0; i < devices->count; i++)
        if (devices->keys[i].state == state)
            return &devices->keys[i];
    return NULL;
}

static bool is_under_way(const struct rotate_devices *devices) {
    return rotate_devices_in(devices, RECORD_WRAPPING_RETIRED) ||
           rotate_devices_in(devices, RECORD_WRAPPING_ENDING);
}

// ---- For people ----

static json_t *device_json(const struct rotate_device *device) {
    char id[ROTATE_ID_TEXT_SIZE];
    rotate_id_text(device->id, id);
    return json_pack("{s:s, s:s, s:i, s:I, s:I}", "key", id, "device", device->device, "generation",
                     (int)device->generation, "created_at", (json_int_t)device->created_at,
                     "revision", (json_int_t)device->revision);
}

static json_t *describe(struct keeper *keeper, const struct rotate_devices *devices) {
    struct slots_progress p;
    json_t *retired = json_array();
    for (size_t i = 0; i < devices->count; i++)
        if (devices->keys[i].state == RECORD_WRAPPING_RETIRED ||
            devices->keys[i].state == RECORD_WRAPPING_ENDING)
            json_array_append_new(retired, device_json(&devices->keys[i]));
    bool is_busy = is_under_way(devices);
    json_t *json =
        json_pack("{s:s, s:b, s:s, s:o, s:o}", "kind", "wrapping", "is_under_way", is_busy, "state",
                  !is_busy                                       ? "steady"
                  : rotate_devices_in(devices, RECORD_WRAPPING_ENDING) ? "destroying"
                  : keeper->rotations->slots                     ? "rewrapping"
                                                                 : "waiting",
                  "active", device_json(devices->active), "retired", retired);
    if (json && slots_look(keeper, &p)) {
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

static void reply_described(struct keeper *keeper, struct ipc_call *call) {
    struct rotate_devices devices;
    vlt_result result = rotate_devices_look(keeper, &devices);
    if (vlt_is_ok(result))
        rotation_reply(call, describe(keeper, &devices));
    else
        reply_failure(call, result.class == VLT_NOT_FOUND ? no_device : result);
}

// ---- A new generation ----

struct generating {
    struct keeper *keeper;
    struct change *change;
    struct device *device;
    unsigned others; // set of devices that follow
    struct rotate_devices devices;
    struct hsm_key made;
    uint8_t id[HSM_KEY_ID_BYTES];
    struct hsm_description description;
};

void rotate_devices_add(struct change *change, const struct rotate_device *device, uint8_t state) {
    uint8_t room[RECORD_DEVICE_KEY_MAX + 128];
    struct record_device record = {.kind = device->kind,
                                   .state = state,
                                   .generation = device->generation,
                                   .created_at = (uint64_t)device->created_at,
                                   .key = bytes_of(device->key.at, device->key.size),
                                   .device = bytes_of_text(device->device)};
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_device_put(&w, &record);
    change->has_failed |= w.failed;
    change_add(change, STORE_SYSTEM_TENANT, STORE_DEVICE,
               bytes_of(device->id, RECORD_DEVICE_ID_SIZE), bytes_of(w.at, w.size),
               device->revision);
}

static void generate_next(struct keeper *keeper, unsigned wanted);

static void generation_committed(struct change *change, vlt_result result, uint64_t revision) {
    struct generating *generating = change->context;
    struct keeper *keeper = change->keeper;
    keeper->rotations->is_generating = false;
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED) {
        device_add_id(generating->device, generating->id, &generating->description);
        generate_next(keeper, generating->others);
    } else if (!vlt_is_ok(result) && generating && generating->made.size) {
        // Nothing was wrapped by it: datakey_wrapped_by_known saw to that.
        device_destroy_unused(generating->device, &generating->made);
    }
    if (change->call && vlt_is_ok(result))
        reply_described(keeper, change->call);
    else if (change->call)
        reply_failure(change->call, result);
    free(generating);
}

// The newest active key of a device; NULL when it has none.
static const struct rotate_device *active_of(const struct rotate_devices *devices,
                                             const char *name) {
    const struct rotate_device *active = NULL;
    for (size_t i = 0; i < devices->count; i++)
        if (devices->keys[i].state == RECORD_WRAPPING_ACTIVE &&
            strcmp(devices->keys[i].device, name) == 0 &&
            (!active || active->generation < devices->keys[i].generation))
            active = &devices->keys[i];
    return active;
}

static vlt_result fill(struct generating *generating, const struct device_call *call) {
    const char *name = generating->device->name;
    const struct rotate_device *old = active_of(&generating->devices, name);
    struct rotate_device made = {.state = RECORD_WRAPPING_ACTIVE, .created_at = clock_now_s()};
    enum hsm_kind kind;
    made.key = generating->made = call->keys[0];
    VLT_TRY(hsm_key_facts(&made.key, &kind, &made.generation, made.id));
    made.kind = (uint8_t)kind;
    memcpy(made.device, old->device, sizeof made.device);
    memcpy(generating->id, made.id, sizeof made.id);
    generating->description = call->description;
    rotate_wrapping_subject(generating->change, old, &made);
    rotate_devices_add(generating->change, &made, RECORD_WRAPPING_ACTIVE);
    rotate_devices_add(generating->change, old, RECORD_WRAPPING_RETIRED);
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
    log_error("device %s makes no wrapping key: %s", generating->device->name,
              fault_or_reason(&call->fault, result));
    change_refuse(generating->change, result);
}

// Takes the change. The device has an active key.
static void generate(struct keeper *keeper, const struct rotate_devices *devices,
                     struct device *device, unsigned others, struct change *change) {
    struct generating *generating = calloc(1, sizeof *generating);
    struct device_call *call =
        generating ? device_call_new(DEVICE_GENERATE, generated, generating) : NULL;
    if (!call) {
        free(generating);
        change_refuse(change, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
        return;
    }
    change->context = generating;
    rotate_wrapping_subject(change, active_of(devices, device->name), NULL);
    *generating = (struct generating){.keeper = keeper,
                                      .change = change,
                                      .device = device,
                                      .others = others,
                                      .devices = *devices};
    call->settings = keeper->settings.devices[device->number].hsm;
    call->generation = 1;
    for (size_t i = 0; i < devices->count; i++)
        if (strcmp(devices->keys[i].device, device->name) == 0 &&
            devices->keys[i].generation >= call->generation)
            call->generation = devices->keys[i].generation + 1;
    keeper->rotations->is_generating = true;
    keeper->in_flight++;
    device_submit(device->thread, call);
}

// Those that work and have a key to replace.
static unsigned devices_to_rotate(struct keeper *keeper, const struct rotate_devices *keys) {
    unsigned set = 0;
    for (size_t i = 0; i < keeper->devices->count; i++) {
        const struct device *device = &keeper->devices->at[i];
        if (device->state == DEVICE_WORKS && !device->is_leaving && active_of(keys, device->name))
            set |= 1u << i;
    }
    return set;
}

static struct device *take_first(struct keeper *keeper, unsigned *set) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        if (*set >> i & 1) {
            *set &= ~(1u << i);
            return &keeper->devices->at[i];
        }
    return NULL;
}

// One device after the other; then every data key.
static void generate_next(struct keeper *keeper, unsigned wanted) {
    struct rotate_devices devices;
    struct audit_event event;
    char id[ROTATE_ID_TEXT_SIZE];
    vlt_result result = rotate_devices_look(keeper, &devices);
    unsigned set = vlt_is_ok(result) ? wanted & devices_to_rotate(keeper, &devices) : 0;
    struct device *device = take_first(keeper, &set);
    if (!device) {
        slots_touch(keeper);
        return;
    }
    rotate_id_text(active_of(&devices, device->name)->id, id);
    rotation_event(&event, "rotate.wrapping.begin", id);
    struct change *change = change_new(keeper, NULL, &event, generation_committed);
    if (change)
        generate(keeper, &devices, device, set, change);
}

static vlt_result may_begin(const struct keeper *keeper, const struct ask_rotate *ask,
                            const struct rotate_devices *devices) {
    bool is_busy = is_under_way(devices);
    if (ask->mode == ROTATION_EMERGENCY)
        return vlt_fail(VLT_MALFORMED, ROTATION_NO_EMERGENCY);
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
        reply_described(keeper, call);
        return;
    }
    vlt_result result = rotate_devices_look(keeper, &devices);
    if (result.class == VLT_NOT_FOUND)
        result = no_device;
    if (vlt_is_ok(result))
        result = may_begin(keeper, ask, &devices);
    if (vlt_is_ok(result) && is_under_way(&devices)) {
        slots_touch(keeper);
        reply_described(keeper, call);
        return;
    }
    struct change *change =
        vlt_is_ok(result) ? change_new(keeper, call, event, generation_committed) : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    if (!change) {
        audit_refuse(keeper, call, event, result);
        return;
    }
    unsigned set = devices_to_rotate(keeper, &devices);
    struct device *device = take_first(keeper, &set);
    if (device)
        generate(keeper, &devices, device, set, change);
    else
        change_refuse(change, no_device);
}

// Keys whose device is away wait with it.
void rotate_wrapping_schedule(struct keeper *keeper, uint32_t age_s) {
    struct rotate_devices devices;
    char id[ROTATE_ID_TEXT_SIZE];
    if (age_s == 0 || keeper->rotations->is_generating ||
        !vlt_is_ok(rotate_devices_look(keeper, &devices)) || is_under_way(&devices))
        return;
    unsigned set = devices_to_rotate(keeper, &devices), due = 0;
    for (size_t i = 0; i < keeper->devices->count; i++) {
        const struct rotate_device *active =
            set >> i & 1 ? active_of(&devices, keeper->devices->at[i].name) : NULL;
        if (!active)
            continue;
        rotate_id_text(active->id, id);
        if (key_age_is_due(keeper, ROTATION_WRAPPING, id, active->created_at, age_s,
                           active->generation))
            due |= 1u << i;
    }
    if (due)
        generate_next(keeper, due);
}
