// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/devices.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/device_probe.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

const char *device_state_name(enum device_state state) {
    static const char *const names[] = {"closed", "works", "lost", "tampered", "not added"};
    return state < sizeof names / sizeof *names ? names[state] : "";
}

// ---- What the keeper sees of them ----

static bool wraps(const struct device *device) {
    return device->state == DEVICE_WORKS && !device->is_leaving;
}

static struct device *first_that_works(struct devices *devices) {
    for (size_t i = 0; i < devices->count; i++)
        if (wraps(&devices->at[i]))
            return &devices->at[i];
    return NULL;
}

// keeper->device and what is beside it follow the devices' states.
static void note_serving(struct keeper *keeper) {
    struct devices *devices = keeper->devices;
    struct device *serving = first_that_works(devices);
    keeper->device_id_count = 0;
    for (size_t i = 0; i < devices->count; i++)
        for (size_t j = 0; wraps(&devices->at[i]) && j < devices->at[i].id_count; j++)
            memcpy(keeper->device_ids[keeper->device_id_count++], devices->at[i].ids[j],
                   HSM_KEY_ID_BYTES);
    if (!serving) {
        keeper->device = devices->at[0].thread;
        if (devices->none_since_ms == 0)
            devices->none_since_ms = clock_elapsed_ms();
        return;
    }
    devices->none_since_ms = 0;
    keeper->device = serving->thread;
    keeper->device_description = serving->description;
    keeper->is_device_known = true;
}

struct device *devices_of_id(struct keeper *keeper, const uint8_t id[HSM_KEY_ID_BYTES]) {
    struct devices *devices = keeper->devices;
    for (size_t i = 0; i < devices->count; i++)
        for (size_t j = 0; devices->at[i].state == DEVICE_WORKS && j < devices->at[i].id_count; j++)
            if (bytes_equal(bytes_of(devices->at[i].ids[j], HSM_KEY_ID_BYTES),
                            bytes_of(id, HSM_KEY_ID_BYTES)))
                return &devices->at[i];
    return NULL;
}

struct device *devices_of_name(struct keeper *keeper, struct bytes name) {
    struct devices *devices = keeper->devices;
    for (size_t i = 0; i < devices->count; i++)
        if (bytes_equal_text(name, devices->at[i].name))
            return &devices->at[i];
    return NULL;
}

vlt_result devices_slot(struct keeper *keeper, const struct record_datakey *record,
                        unsigned avoid, const struct record_slot **ret_slot,
                        struct device **ret_device) {
    struct device *best = NULL;
    for (size_t i = 0; i < record->slot_count; i++) {
        struct device *device = devices_of_id(keeper, record->slots[i].device);
        if (!device || avoid >> device->number & 1 || (best && best->number < device->number))
            continue;
        best = device;
        *ret_slot = &record->slots[i];
        *ret_device = device;
    }
    if (best)
        return vlt_ok();
    return first_that_works(keeper->devices) && !avoid
               ? vlt_fail(VLT_NOT_FOUND, "a data key has no slot for a device that works")
               : vlt_fail(VLT_UNAVAILABLE, "no device that can open the data key answers");
}

// ---- States ----

// The one word of an operation for each state; an administrator searches for it.
static void record_state(struct device *device, enum device_state before) {
    static const char *const operations[] = {NULL, "device.back", "device.lost", "device.tampered",
                                             NULL};
    if (!operations[device->state] || (device->state == DEVICE_WORKS && before == DEVICE_CLOSED))
        return;
    struct audit_event event = {
        .kind = AUDIT_DEVICE,
        .outcome = device->state == DEVICE_WORKS ? AUDIT_ALLOW : AUDIT_ERROR,
        .operation = bytes_of_text(operations[device->state]),
        .subject = bytes_of_text(device->name),
        .reason = bytes_of_text(device->why)};
    audit_later(device->keeper, &event);
    if (device->state == DEVICE_WORKS)
        log_notice("device %s is back", device->name);
    else
        log_error("device %s is %s: %s", device->name, device_state_name(device->state),
                  device->why);
}

static void set_state(struct device *device, enum device_state state, const char *why) {
    enum device_state before = device->state;
    struct fault text = {0};
    vlt_result cut = fault_set(&text, VLT_UNAVAILABLE, "", "%s", why); // only cut to fit
    (void)cut;
    bool is_news = before != state;
    memcpy(device->why, text.text, sizeof device->why);
    device->state = state;
    device->has_worked |= state == DEVICE_WORKS;
    if (is_news) {
        device->since_s = clock_now_s();
        record_state(device, before);
    }
    note_serving(device->keeper);
}

vlt_result device_opened(struct device *device, const struct device_call *call) {
    enum hsm_kind kind;
    uint32_t generation;
    for (size_t i = 0; i < call->key_count; i++)
        VLT_TRY(hsm_key_facts(&call->keys[i], &kind, &generation, device->ids[i]));
    device->id_count = call->key_count;
    device->description = call->description;
    device->is_described = true;
    set_state(device, DEVICE_WORKS, "");
    return vlt_ok();
}

void device_add_id(struct device *device, const uint8_t id[HSM_KEY_ID_BYTES],
                   const struct hsm_description *description) {
    if (device->id_count == HSM_KEYS_MAX)
        return;
    memcpy(device->ids[device->id_count++], id, HSM_KEY_ID_BYTES);
    device->description = *description;
    device->is_described = true;
    set_state(device, DEVICE_WORKS, "");
}

void device_forget_id(struct device *device, const uint8_t id[HSM_KEY_ID_BYTES]) {
    for (size_t i = 0; i < device->id_count; i++)
        if (bytes_equal(bytes_of(device->ids[i], HSM_KEY_ID_BYTES),
                        bytes_of(id, HSM_KEY_ID_BYTES))) {
            memmove(device->ids[i], device->ids[--device->id_count], HSM_KEY_ID_BYTES);
            break;
        }
    note_serving(device->keeper);
}

void device_works(struct device *device) {
    set_state(device, DEVICE_WORKS, "");
}

void device_failed(struct device *device, enum vlt_class class, const char *why) {
    bool is_tampered = class == VLT_CRYPTO || class == VLT_CONFLICT || class == VLT_MALFORMED;
    set_state(device, is_tampered ? DEVICE_TAMPERED : DEVICE_LOST, why);
}

void device_is_foreign(struct device *device) {
    set_state(device, DEVICE_FOREIGN, "");
}

void device_leaves(struct device *device) {
    device->is_leaving = true;
    note_serving(device->keeper);
}

void device_left(struct device *device) {
    device->id_count = 0;
    device->session++;
    device->is_leaving = device->is_opening = device->is_checking = device->is_overdue = false;
    device_is_foreign(device);
    device_close(device);
}

static void unused_destroyed(struct device_call *call) {
    if (!vlt_is_ok(call->result))
        log_warning("a wrapping key that is not used stays in the device: %s",
                    fault_or_reason(&call->fault, call->result));
}

void device_destroy_unused(struct device *device, const struct hsm_key *key) {
    struct device_call *call = device_call_new(DEVICE_DESTROY, unused_destroyed, NULL);
    if (!call)
        return;
    call->keys[0] = *key;
    device_submit(device->thread, call);
}

// ---- Sealing ----

void devices_close(struct keeper *keeper) {
    struct devices *devices = keeper->devices;
    for (size_t i = 0; i < devices->count; i++) {
        struct device *device = &devices->at[i];
        device->id_count = 0;
        device->session++;
        device->is_opening = device->is_checking = device->is_overdue = false;
        device->state = DEVICE_CLOSED;
        device->why[0] = 0;
        device_close(device);
    }
    note_serving(keeper);
    devices->none_since_ms = 0;
}

// ---- Life ----

static void call_failed(void *context) {
    struct device *device = context;
    if (device->state == DEVICE_WORKS)
        device_check(device);
}

static void call_is_stuck(void *context) {
    struct device *device = context;
    char why[120];
    snprintf(why, sizeof why, "it hangs: a call has not returned for %lld s",
             (long long)(device_thread_stuck_ms(device->thread) / 1000));
    if (device->state != DEVICE_FOREIGN)
        device_failed(device, VLT_UNAVAILABLE, why);
    else
        log_error("device %s: %s", device->name, why);
}

// Closed by now: opened anew with the next look at it, or try to unseal.
static void call_returned(void *context) {
    struct device *device = context;
    log_notice("device %s: the call that hung has returned", device->name);
    device->id_count = 0;
    device->session++;
    device->is_opening = device->is_checking = device->is_overdue = false;
    device->asked_ms = 0;
    note_serving(device->keeper);
    if (device->keeper->state == KEEPER_SEALED && !device->keeper->is_sealed_by_hand)
        unseal_begin(device->keeper);
}

static const struct device_thread_events thread_events = {
    .failed = call_failed, .stuck = call_is_stuck, .returned = call_returned};

vlt_result devices_reconfigure(struct keeper *keeper) {
    struct devices *devices = keeper->devices;
    while (devices->count < keeper->settings.device_count) {
        struct device *device = &devices->at[devices->count];
        *device = (struct device){.keeper = keeper,
                                  .number = (unsigned)devices->count,
                                  .name = keeper->settings.devices[devices->count].name,
                                  .since_s = clock_now_s()};
        VLT_TRY(device_thread_new(keeper->base, device->name, &device->thread));
        device_thread_on(device->thread, &thread_events, device);
        devices->count++;
    }
    note_serving(keeper);
    if (keeper->state != KEEPER_UNSEALED)
        devices->none_since_ms = 0;
    return vlt_ok();
}

vlt_result devices_new(struct keeper *keeper) {
    struct devices *devices = calloc(1, sizeof *devices);
    if (!devices)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    keeper->devices = devices;
    VLT_TRY(devices_reconfigure(keeper));
    return device_probe_new(keeper);
}

bool devices_free(struct keeper *keeper) {
    struct devices *devices = keeper->devices;
    if (!devices)
        return true;
    device_probe_done(keeper);
    int64_t until_ms = clock_elapsed_ms() + DEVICES_END_MS;
    bool have_ended[KEEPER_DEVICES_MAX], have_all = true;
    for (size_t i = 0; i < devices->count; i++) {
        int64_t left_ms = until_ms - clock_elapsed_ms();
        have_ended[i] =
            device_thread_end(devices->at[i].thread, left_ms > 0 ? (unsigned)left_ms : 0);
        if (!have_ended[i])
            log_warning("device %s: a call does not return, it is left behind",
                        devices->at[i].name);
        have_all &= have_ended[i];
    }
    for (size_t i = 0; i < devices->count; i++)
        if (have_ended[i])
            device_thread_free(devices->at[i].thread);
    keeper->devices = NULL;
    if (have_all)
        free(devices);
    return have_all;
}

// ---- For people ----

json_t *devices_entry_json(const struct device *device) {
    const struct hsm_description *d = &device->description;
    json_t *json = json_pack("{s:s, s:s, s:I, s:b}", "name", device->name, "state",
                             device_state_name(device->state), "since",
                             (json_int_t)device->since_s, "serves",
                             device->state == DEVICE_WORKS &&
                                 device->keeper->device == device->thread);
    if (json && device->why[0])
        json_object_set_new(json, "reason", json_string(device->why));
    if (json && device->is_described)
        json_object_update_new(
            json, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "kind", d->kind_text, "label",
                            d->label, "model", d->model, "serial", d->serial, "mechanism",
                            d->mechanism, "generation", (int)d->generation));
    return json;
}

json_t *devices_json(const struct keeper *keeper) {
    json_t *list = json_array();
    for (size_t i = 0; i < keeper->devices->count; i++)
        json_array_append_new(list, devices_entry_json(&keeper->devices->at[i]));
    return list;
}
