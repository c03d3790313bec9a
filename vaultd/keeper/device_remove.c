// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/device_remove.h"

#include <stdlib.h>

#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/log/log.h"

struct removal {
    struct keeper *keeper;
    char name[RECORD_DEVICE_NAME_MAX + 1];
    struct rotate_device keys[HSM_KEYS_MAX];
    size_t count, next; // next to be destroyed in the device
    bool is_destroyed;
};

vlt_result device_remove_check(struct keeper *keeper, const struct rotate_devices *devices,
                               const char *name) {
    bool is_there = false, is_other = false;
    for (size_t i = 0; i < devices->count; i++) {
        const struct rotate_device *key = &devices->keys[i];
        bool is_it = strcmp(key->device, name) == 0;
        const struct device *device = devices_of_id(keeper, key->id);
        is_there |= is_it;
        is_other |= !is_it && key->state == RECORD_WRAPPING_ACTIVE && device &&
                    !device->is_leaving;
    }
    if (!is_there)
        return vlt_fail(VLT_NOT_FOUND, "the vault has no such device");
    return is_other ? vlt_ok()
                    : vlt_fail(VLT_CONFLICT, "no other device works: add one first, or the vault "
                                             "could not be unsealed any more");
}

// ---- The end ----

static void forgotten(struct change *change, vlt_result result, uint64_t revision) {
    struct removal *removal = change->context;
    struct keeper *keeper = removal->keeper;
    struct device *device = devices_of_name(keeper, bytes_of_text(removal->name));
    keeper->rotations->is_removing = false;
    if (vlt_is_ok(result)) {
        log_notice("device %s is not part of the vault any more%s", removal->name,
                   removal->is_destroyed ? "" : "; its wrapping key is still in it");
        if (keeper->state == KEEPER_UNSEALED)
            epoch_leave(keeper, removal->name);
        if (device)
            device_left(device);
    }
    free(removal);
}

static void forget(struct removal *removal) {
    struct keeper *keeper = removal->keeper;
    uint8_t ids[HSM_KEYS_MAX][RECORD_DEVICE_ID_SIZE];
    struct audit_event event;
    rotation_event(&event, "device.removed", removal->name);
    if (!removal->is_destroyed)
        event.reason = BYTES_LITERAL("the device did not answer: its wrapping key is still in it");
    struct change *change = change_new(keeper, NULL, &event, forgotten);
    if (!change) {
        keeper->rotations->is_removing = false;
        free(removal);
        return;
    }
    change->context = removal;
    for (size_t i = 0; i < removal->count; i++) {
        memcpy(ids[i], removal->keys[i].id, sizeof ids[i]);
        change_add_removal(change, STORE_SYSTEM_TENANT, STORE_DEVICE,
                           bytes_of(ids[i], sizeof ids[i]), STORE_ANY_REVISION);
    }
    scrub_want(keeper, change, (const uint8_t(*)[RECORD_DEVICE_ID_SIZE])ids, removal->count);
    change_run(change);
}

// ---- In the device, as far as it answers ----

static void destroy_next(struct removal *removal);

static void destroyed(struct device_call *call) {
    struct removal *removal = call->context;
    removal->keeper->in_flight--;
    if (!vlt_is_ok(call->result)) {
        log_warning("a wrapping key stays in device %s: %s", removal->name,
                    fault_or_reason(&call->fault, call->result));
        removal->is_destroyed = false;
    }
    destroy_next(removal);
}

static void destroy_next(struct removal *removal) {
    struct keeper *keeper = removal->keeper;
    const struct device *device = devices_of_name(keeper, bytes_of_text(removal->name));
    bool works = device && device->state == DEVICE_WORKS;
    struct device_call *call = works && removal->next < removal->count
                                   ? device_call_new(DEVICE_DESTROY, destroyed, removal)
                                   : NULL;
    removal->is_destroyed &= works;
    if (!call) {
        forget(removal);
        return;
    }
    call->keys[0] = removal->keys[removal->next++].key;
    keeper->in_flight++;
    device_submit(device->thread, call);
}

void device_remove_go_on(struct keeper *keeper, const struct rotate_devices *devices) {
    const struct rotate_device *first = rotate_devices_in(devices, RECORD_WRAPPING_LEAVING);
    if (!first || keeper->rotations->is_removing || keeper->state != KEEPER_UNSEALED)
        return;
    struct removal *removal = calloc(1, sizeof *removal);
    if (!removal)
        return;
    removal->keeper = keeper;
    removal->is_destroyed = true;
    memcpy(removal->name, first->device, sizeof removal->name);
    bool is_named = false;
    for (size_t i = 0; i < devices->count; i++)
        if (strcmp(devices->keys[i].device, removal->name) == 0 && removal->count < HSM_KEYS_MAX) {
            is_named |= devices->keys[i].is_named;
            removal->keys[removal->count++] = devices->keys[i];
        }
    if (is_named) { // no other device can open some data key at the moment
        free(removal);
        return;
    }
    keeper->rotations->is_removing = true;
    destroy_next(removal);
}
