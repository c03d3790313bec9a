// SPDX-License-Identifier: Apache-2.0
// Rotation of the wrapping key: the device makes another generation, every data
// key is wrapped by it, then the device destroys the old one.
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
};
struct rotate_devices {
    struct rotate_device keys[HSM_KEYS_MAX * 2];
    size_t count;
    const struct rotate_device *active; // newest active one that this device has open
};
// Every wrapping key of the store, within a snapshot.
vlt_result rotate_devices_read(struct keeper *keeper,
                               struct rotate_devices *ret_devices) VLT_MUST_USE;

void rotate_wrapping_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                         struct audit_event *event);
void rotate_wrapping_destroy(struct keeper *keeper, struct ipc_call *call,
                             const struct ask_key_destroy *ask, struct audit_event *event);
void rotate_wrapping_tick(struct keeper *keeper);
void rotate_wrapping_schedule(struct keeper *keeper, uint32_t age_s);

#define ROTATE_ID_TEXT_SIZE (2 * RECORD_DEVICE_ID_SIZE + 1)
void rotate_id_text(const uint8_t id[RECORD_DEVICE_ID_SIZE], char text[ROTATE_ID_TEXT_SIZE]);

// ---- rewrap.c: every slot of a retired key ----

// Fine when it is under way.
void rewrap_begin(struct keeper *keeper);
void rewrap_stop(struct keeper *keeper);
struct rewrap_progress {
    uint64_t data_keys, remaining, done; // about: a tenant has one, or two while it is rotated
    int64_t started_ms;
};
bool rewrap_look(const struct keeper *keeper, struct rewrap_progress *ret_progress);
// Called when a whole pass found no slot of a retired key.
void rotate_wrapping_end_old(struct keeper *keeper);

#endif
