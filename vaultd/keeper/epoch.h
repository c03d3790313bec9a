// SPDX-License-Identifier: Apache-2.0
// Rollback protection (DESIGN promise 12): the store has an epoch, the device a
// counter that only grows, and the two are moved together. A store whose epoch
// is behind the counter is an old copy that somebody put back, and is refused.
//
// A move commits epoch + 1 and then advances the counter, so that a crash leaves
// the store ahead by one at most, which the next start completes. Every commit
// asks for a move; commits that come while one is under way share the next.
// Nobody waits for it: revoking must work while a device is away. What follows is
// the published bound: an old copy is noticed when the move after the change is
// through (device latency, usually milliseconds).
//
// NV memory wears (some 100 000 writes): EPOCH_BURST moves at once, then one
// every EPOCH_REFILL_S. Worst case 52 560 moves in a year of constant changes;
// then the bound is EPOCH_REFILL_S.
//
// The record (STORE_META "epoch") is encrypted under the system data key.
//
// With several devices each has a counter and an epoch of its own. A move takes
// along those that work; one that is away is behind, and moves once when it is
// back. An old copy is refused when *any* device that answers remembers a newer
// one: by the first that opens before the vault is unsealed, by the others when
// they open (the vault is sealed then). A copy from while a device was away is not
// noticed by that device alone.
#ifndef VLT_KEEPER_EPOCH_H
#define VLT_KEEPER_EPOCH_H

#include <jansson.h>

#include "vaultd/keeper/keeper.h"

#define EPOCH_BURST 64
#define EPOCH_REFILL_S 600
#define EPOCH_COUNTERS_MAX 8 // those of devices that were removed since the start count

struct epoch_counter {
    struct hsm_counter counter;
    uint64_t value; // the store's epoch for this counter
    char device[RECORD_DEVICE_NAME_MAX + 1];
};
struct epoch_counters {
    size_t count; // 0: no device had room for a counter
    struct epoch_counter at[EPOCH_COUNTERS_MAX];
};

vlt_result epoch_new(struct keeper *keeper) VLT_MUST_USE;
void epoch_done(struct keeper *keeper);

// The record for a commit. `room` holds SYSTEM_RECORD_MAX bytes.
#define EPOCH_NAME "epoch"
vlt_result epoch_record(const struct system_keys *keys, const struct epoch_counters *counters,
                        uint8_t *room, size_t *ret_size) VLT_MUST_USE;

// Is this store as new as that device remembers? It and the system data keys are
// open. `done` is called once, later: VLT_CONFLICT when it is not, or when nobody
// can tell.
typedef void epoch_checked_fn(vlt_result result, const struct fault *fault, void *context);
struct device;
void epoch_check(struct keeper *keeper, const struct device *device,
                 const struct system_keys *keys, epoch_checked_fn *done, void *context);
// A device of the vault works (again) while the vault is unsealed: compares its
// counter, or makes one; seals the vault when it remembers a newer store.
void epoch_join(struct keeper *keeper, const char *device);
// The device is no part of the vault any more; its counter goes.
void epoch_leave(struct keeper *keeper, const char *device);
// The next check takes an older store for good and moves its epoch past the
// counter; an administrator has said so, and it is recorded.
void epoch_accept_rollback(struct keeper *keeper, bool accepts);
// init: these are the counters, and the store has just been written.
void epoch_begin(struct keeper *keeper, const struct epoch_counters *counters);

// Something was committed that an old copy would lack.
void epoch_touch(struct keeper *keeper, const struct store_change *changes, size_t count);
// The vault is sealed: nothing can be moved.
void epoch_forget(struct keeper *keeper);
bool epoch_is_moving(const struct keeper *keeper); // its record is on its way to the disk
json_t *epoch_json(const struct keeper *keeper); // for status

#endif
