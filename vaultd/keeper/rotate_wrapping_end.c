// SPDX-License-Identifier: Apache-2.0
// The end of wrapping keys that no slot names: first recorded, then done by the
// device, then forgotten.
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/rotate_wrapping.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/log/log.h"

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
    scrub_want(keeper, change, &id, 1);
    change_run(change);
}

// One whose device is away waits for it.
static bool destroy_in_device(struct keeper *keeper, const struct rotate_device *key) {
    const struct device *device = devices_of_name(keeper, bytes_of_text(key->device));
    struct device_call *call = device && device->state == DEVICE_WORKS
                                   ? device_call_new(DEVICE_DESTROY, destroyed, keeper->rotations)
                                   : NULL;
    if (!call)
        return false;
    call->keys[0] = key->key;
    keeper->rotations->is_generating = true;
    keeper->in_flight++;
    device_submit(device->thread, call);
    return true;
}

static void ending_recorded(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    keeper->rotations->is_generating = false;
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED) {
        struct device *device = devices_of_id(keeper, change->changes[0].name.at);
        if (device)
            device_forget_id(device, change->changes[0].name.at);
        rotate_wrapping_tick(keeper);
    }
    if (!change->call)
        return;
    struct answer_key_destroy answer = {.revision = revision};
    reply_key_destroy(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

void rotate_wrapping_end_old(struct keeper *keeper, const struct rotate_devices *devices) {
    const struct rotate_device *old = NULL;
    struct audit_event event;
    char id[ROTATE_ID_TEXT_SIZE];
    for (size_t i = 0; i < devices->count && !old; i++)
        if (devices->keys[i].state == RECORD_WRAPPING_RETIRED && !devices->keys[i].is_named)
            old = &devices->keys[i];
    if (!old || keeper->rotations->is_generating)
        return;
    rotate_id_text(old->id, id);
    rotation_event(&event, "rotate.wrapping.destroy", id);
    struct change *change = change_new(keeper, NULL, &event, ending_recorded);
    if (!change)
        return;
    keeper->rotations->is_generating = true;
    rotate_devices_add(change, old, RECORD_WRAPPING_ENDING);
    change_run(change);
}

void rotate_wrapping_tick(struct keeper *keeper) {
    struct rotate_devices devices;
    if (keeper->rotations->is_generating || keeper->rotations->slots)
        return;
    (void)vlt_is_ok(rotate_devices_look(keeper, &devices)); // as far as it goes
    for (size_t i = 0; i < devices.count; i++)
        if (devices.keys[i].state == RECORD_WRAPPING_ENDING &&
            destroy_in_device(keeper, &devices.keys[i]))
            return;
    bool is_leaving = rotate_devices_in(&devices, RECORD_WRAPPING_LEAVING) &&
                      !keeper->rotations->is_removing;
    if (is_leaving || rotate_devices_in(&devices, RECORD_WRAPPING_RETIRED))
        slots_touch(keeper);
}

void rotate_wrapping_destroy(struct keeper *keeper, struct ipc_call *call,
                             const struct ask_key_destroy *ask, struct audit_event *event) {
    struct rotate_devices devices;
    char id[ROTATE_ID_TEXT_SIZE];
    vlt_result result = rotate_devices_look(keeper, &devices);
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
