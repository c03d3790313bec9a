// SPDX-License-Identifier: Apache-2.0
// What epoch.c (moving) and epoch_check.c (checking and joining) share.
#ifndef VLT_KEEPER_EPOCH_INTERNAL_H
#define VLT_KEEPER_EPOCH_INTERNAL_H

#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/system_seal.h"

struct epoch_place { // beside each counter
    bool is_joined;  // its device works, and its value was compared
    bool is_joining;
    bool has_left;  // not in the record any more
    bool is_dirty;  // commits that no move of it has covered
    bool is_owed;   // its epoch is committed, the counter not yet advanced
    bool is_busy;   // with the device
    bool is_moving; // part of the commit that is under way
};

struct epoch {
    struct keeper *keeper;
    struct epoch_counters counters;
    struct epoch_place places[EPOCH_COUNTERS_MAX];
    bool is_running;    // the above are valid
    bool is_committing; // a move
    bool is_unwritten;  // a counter came or went: the next move must write the record
    unsigned making; // set of devices (bit n: device n) that are making a counter
    bool accepts_rollback;
    bool accepts[EPOCH_COUNTERS_MAX]; // an older store, when this one joins
    unsigned budget;
    int64_t budget_at_s;
    struct event *timer;
    bool has_checkpoint; // that no move has covered; the next two as well: epoch_audit.c
    int64_t moved_at_s;
    struct event *audit_timer;
    struct commit commit;
    struct store_change change;
    uint8_t record[SYSTEM_RECORD_MAX];
};

#define EPOCH_NONE SIZE_MAX
size_t epoch_place_of(const struct epoch *epoch, const char *device); // EPOCH_NONE
vlt_result epoch_read_counters(struct bytes plain,
                               struct epoch_counters *ret_counters) VLT_MUST_USE;
// Moves what can be moved. Later, when nothing can be now.
void epoch_move(struct keeper *keeper);
void epoch_move_soon(struct epoch *epoch);
// Two vaults move one counter, or an old copy runs: seals, and stays sealed.
void epoch_conflict(struct keeper *keeper, const char *why);

#endif
