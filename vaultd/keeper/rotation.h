// SPDX-License-Identifier: Apache-2.0
// Rotation: every key replaced while it is in use (docs/rotation.md). What is
// under way is never kept anywhere but in the store itself: states and numbers
// of keys, and which record names which key. A keeper that was killed looks there
// and goes on.
//
// One tick a second while the vault is unsealed: promotes keys whose publication
// is over, destroys those that nothing refers to, begins what is due by age. Sealed or
// not, what was destroyed is overwritten in the store's file.
#ifndef VLT_KEEPER_ROTATION_H
#define VLT_KEEPER_ROTATION_H

#include <jansson.h>

#include "libvault/store/record_tenant.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/key_age.h"
#include "vaultd/keeper/credential_age.h"
#include "vaultd/keeper/job_queue.h"
#include "vaultd/keeper/keeper.h"

struct reencrypt;
struct slots;

// Of an emergency for any other: what was encrypted with the key is there, and needs it.
#define ROTATION_NO_EMERGENCY                                                                      \
    "only signing, intake and checkpoint keys have an emergency: rotate without it"

struct rotations {
    struct keeper *keeper;
    struct event *tick;
    uint64_t tick_count;
    bool is_changing_keys; // a change of signing or intake keys is under way
    bool is_making_system_key, is_ending_system_key;
    bool has_signer; // the device has made a signing key whose change is under way
    struct hsm_signer signer;
    bool needs_reload;     // the keys in memory are older than those in the store
    struct reencrypt *reencrypt;
    struct slots *slots;
    bool has_slots_to_look_at;
    bool is_removing;  // a device, from the vault
    bool is_scrubbing; // the file of the store
    bool is_scrub_held_up; // the last run could not be done
    int64_t scrub_rest_until_ms;
    bool is_generating;       // a wrapping key is being made or destroyed
    bool is_dirty;            // some tenant may have an old data key
    uint32_t look_tenant;     // where the look for it goes on; 0: not under way
    struct key_age age;
    uint32_t schedule_tenant; // where the look at ages goes on
    struct credential_age credential_age;
    struct job_queue jobs;
};

vlt_result rotations_new(struct keeper *keeper) VLT_MUST_USE;
void rotations_done(struct keeper *keeper);
// The vault is sealed: forgets what was under way; the store knows.
void rotations_stop(struct keeper *keeper);
// One turn; the timer calls it, and tests do.
void rotations_tick(struct keeper *keeper);

// An event of a step that no administrator asked for. `operation` and `subject`
// must outlive the call that takes the event.
void rotation_event(struct audit_event *event, const char *operation, const char *subject);
// Names the tenant of that number in it; `room` must live as long as the event.
void rotation_event_tenant(struct keeper *keeper, struct audit_event *event, uint32_t number,
                           char room[RECORD_NAME_MAX + 1]);
// Answers an ask_rotate. Takes `description`; NULL is answered as out of memory.
void rotation_reply(struct ipc_call *call, json_t *description);

#endif
