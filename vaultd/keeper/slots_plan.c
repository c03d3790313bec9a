// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/slots_plan.h"

#include "vaultd/keeper/recovery.h"
#include "vaultd/keeper/system_keys.h"

struct rotate_device *slots_plan_key(struct slots_plan *plan,
                                     const uint8_t id[RECORD_DEVICE_ID_SIZE]) {
    for (size_t i = 0; i < plan->devices.count; i++)
        if (bytes_equal(bytes_of(plan->devices.keys[i].id, RECORD_DEVICE_ID_SIZE),
                        bytes_of(id, RECORD_DEVICE_ID_SIZE)))
            return &plan->devices.keys[i];
    return NULL;
}

bool slots_plan_is_active(const struct rotate_device *key) {
    return key && key->state == RECORD_WRAPPING_ACTIVE;
}

static bool has_slot(const struct record_datakey *record, const uint8_t *id) {
    for (size_t i = 0; i < record->slot_count; i++)
        if (bytes_equal(bytes_of(record->slots[i].device, RECORD_DEVICE_ID_SIZE),
                        bytes_of(id, RECORD_DEVICE_ID_SIZE)))
            return true;
    return false;
}

struct device *slots_plan_missing(struct slots_plan *plan, const struct record_datakey *record) {
    for (size_t i = 0; i < plan->devices.count; i++) {
        const struct rotate_device *key = &plan->devices.keys[i];
        struct device *device =
            slots_plan_is_active(key) ? devices_of_id(plan->keeper, key->id) : NULL;
        if (device && !(plan->failed >> device->number & 1) && !has_slot(record, key->id))
            return device;
    }
    return NULL;
}

// Is there an active slot, of this device or (NULL) of any?
static bool has_active(struct slots_plan *plan, const struct record_datakey *record,
                       const char *device) {
    for (size_t i = 0; i < record->slot_count; i++) {
        const struct rotate_device *key = slots_plan_key(plan, record->slots[i].device);
        if (slots_plan_is_active(key) && (!device || strcmp(key->device, device) == 0))
            return true;
    }
    return false;
}

static bool is_droppable(struct slots_plan *plan, const struct record_datakey *record,
                         const struct record_slot *slot) {
    const struct recovery *recovery = plan->keeper->keys->recovery;
    const struct rotate_device *key = slots_plan_key(plan, slot->device);
    if (slots_plan_is_active(key) ||
        (recovery && bytes_equal(bytes_of(slot->device, sizeof slot->device),
                                 bytes_of(recovery->id, sizeof recovery->id))))
        return false;
    if (key && key->state == RECORD_WRAPPING_RETIRED)
        return has_active(plan, record, key->device);
    return has_active(plan, record, NULL);
}

size_t slots_plan_drop(struct slots_plan *plan, struct record_datakey *record) {
    struct record_datakey kept = *record;
    kept.slot_count = 0;
    for (size_t i = 0; i < record->slot_count; i++)
        if (!is_droppable(plan, record, &record->slots[i]))
            kept.slots[kept.slot_count++] = record->slots[i];
    size_t dropped = record->slot_count - kept.slot_count;
    *record = kept;
    return dropped;
}

void slots_plan_note(struct slots_plan *plan, const struct record_datakey *record) {
    for (size_t i = 0; i < record->slot_count; i++) {
        struct rotate_device *key = slots_plan_key(plan, record->slots[i].device);
        if (key)
            key->is_named = true;
    }
}
