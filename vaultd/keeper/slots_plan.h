// SPDX-License-Identifier: Apache-2.0
// What the slots of one data key should be: decided by the wrapping keys that the
// store knows and by the devices that work. Changes nothing itself; slots.c does.
#ifndef VLT_KEEPER_SLOTS_PLAN_H
#define VLT_KEEPER_SLOTS_PLAN_H

#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/rotate_wrapping.h"

struct slots_plan {
    struct keeper *keeper;
    struct rotate_devices devices; // as of the beginning of the pass
    unsigned failed;               // set of devices that failed in this pass: they wait
};

// The wrapping key of that id; NULL: the store does not know it.
struct rotate_device *slots_plan_key(struct slots_plan *plan,
                                     const uint8_t id[RECORD_DEVICE_ID_SIZE]);
bool slots_plan_is_active(const struct rotate_device *key); // NULL is not
// The device in which a slot is missing and can be made now, or NULL.
struct device *slots_plan_missing(struct slots_plan *plan, const struct record_datakey *record);
// Drops slots that are not needed: of retired keys whose device has an active slot,
// of keys that leave or are unknown. Never the last one that a device of the vault can
// open, nor that of the recovery key. Returns how many.
size_t slots_plan_drop(struct slots_plan *plan, struct record_datakey *record);
// Notes which wrapping keys this data key names.
void slots_plan_note(struct slots_plan *plan, const struct record_datakey *record);

#endif
