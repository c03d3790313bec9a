// SPDX-License-Identifier: Apache-2.0
// Rotation of the wrapping keys: each device that works makes another generation,
// every data key is wrapped by it (slots.h), then the device destroys the old one.
// A device that is away keeps its generation.
//
//   active ──the next was made──▶ retired ──no slot names it──▶ ending ──device──▶ gone
//
// `ending` is recorded before the device is asked, so that a keeper that is killed
// between the two knows what to finish, and does not miss the key when it unseals.
#ifndef VLT_KEEPER_ROTATE_WRAPPING_H
#define VLT_KEEPER_ROTATE_WRAPPING_H

#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/rotation.h"

struct rotate_device {
    uint8_t id[RECORD_DEVICE_ID_SIZE], state, kind;
    uint32_t generation;
    int64_t created_at;
    uint64_t revision;
    struct hsm_key key;
    char device[RECORD_DEVICE_NAME_MAX + 1];
    bool is_named; // by a slot; of slots.c
};
struct rotate_devices {
    struct rotate_device keys[KEEPER_DEVICES_MAX * HSM_KEYS_MAX];
    size_t count;
    const struct rotate_device *active; // of keeper->device, or NULL
};
// Every wrapping key of the store, within a snapshot. VLT_NOT_FOUND: none is active
// in keeper->device; the rest is filled all the same.
vlt_result rotate_devices_read(struct keeper *keeper,
                               struct rotate_devices *ret_devices) VLT_MUST_USE;

// The same in a snapshot of its own.
vlt_result rotate_devices_look(struct keeper *keeper,
                               struct rotate_devices *ret_devices) VLT_MUST_USE;
// The first one in that state, or NULL.
const struct rotate_device *rotate_devices_in(const struct rotate_devices *devices, uint8_t state);
// Its record with that state, into a change.
void rotate_devices_add(struct change *change, const struct rotate_device *device, uint8_t state);

void rotate_wrapping_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                         struct audit_event *event);
void rotate_wrapping_destroy(struct keeper *keeper, struct ipc_call *call,
                             const struct ask_key_destroy *ask, struct audit_event *event);
void rotate_wrapping_tick(struct keeper *keeper);
void rotate_wrapping_schedule(struct keeper *keeper, uint32_t age_s);

#define ROTATE_ID_TEXT_SIZE (2 * RECORD_DEVICE_ID_SIZE + 1)
void rotate_id_text(const uint8_t id[RECORD_DEVICE_ID_SIZE], char text[ROTATE_ID_TEXT_SIZE]);

// Says in the event of a change which key follows which, in which device; `made` is NULL
// while it is not known. rotate_wrapping_subject.c
void rotate_wrapping_subject(struct change *change, const struct rotate_device *old,
                          const struct rotate_device *made);

// Called when a whole pass over the slots is over: retired keys that are not named
// end.
void rotate_wrapping_end_old(struct keeper *keeper, const struct rotate_devices *devices);

#endif
