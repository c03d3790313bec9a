// SPDX-License-Identifier: Apache-2.0
// Rotation of the keys that tokens are signed with, of those that credentials are
// sealed to, and of those that sign checkpoints of the audit log.
//
//   signing:     next ──publication over──▶ active ──▶ retired ──no token left──▶ destroyed
//   intake:      active ──▶ retired (opens) ──overlap over──▶ destroyed
//   checkpoint:  active ──▶ retired (signs beside the new one) ──overlap over──▶ destroyed
//
// An emergency makes a new key active and destroys all others in one commit.
#ifndef VLT_KEEPER_ROTATE_KEY_H
#define VLT_KEEPER_ROTATE_KEY_H

#include "libvault/store/record_key.h"
#include "vaultd/keeper/rotation.h"

#define ROTATE_KEYS_MAX 16

struct rotate_key_row {
    struct record_key record; // owned
    uint64_t revision;
};
struct rotate_key_set {
    struct rotate_key_row rows[ROTATE_KEYS_MAX];
    size_t count;
    struct rotate_key_row *active, *next; // newest of each; NULL: none
};
// Every key of that use, within a snapshot. rotate_key_set_done in every case.
vlt_result rotate_key_set_read(struct keeper *keeper, enum record_key_use use,
                               struct rotate_key_set *ret_set) VLT_MUST_USE;
void rotate_key_set_done(struct rotate_key_set *set);
// The same within a snapshot of its own.
vlt_result rotate_key_set_snapshot(struct keeper *keeper, enum record_key_use use,
                                   struct rotate_key_set *ret_set) VLT_MUST_USE;
enum record_key_use rotate_key_use(enum rotation_kind kind);
// What is there and what is under way; NULL: out of memory.
json_t *rotate_key_describe(struct keeper *keeper, enum rotation_kind kind);

// Each takes the call. `kind` is ROTATION_SIGNING, _INTAKE or _CHECKPOINT.
void rotate_key_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                    struct audit_event *event);
// VLT_CONFLICT while something depends on the key.
void rotate_key_destroy(struct keeper *keeper, struct ipc_call *call,
                        const struct ask_key_destroy *ask, struct audit_event *event);
// Promotes and destroys what is due.
void rotate_key_tick(struct keeper *keeper);
// Begins a rotation by schedule when the active key is older than `age_s`.
void rotate_key_schedule(struct keeper *keeper, enum rotation_kind kind, uint32_t age_s);

#endif
