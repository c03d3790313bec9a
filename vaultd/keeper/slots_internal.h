// SPDX-License-Identifier: Apache-2.0
// Inside slots*.c: passes over all data keys (slots.c) and what is done with one of
// them (slots_key.c).
#ifndef VLT_KEEPER_SLOTS_INTERNAL_H
#define VLT_KEEPER_SLOTS_INTERNAL_H

#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/slots_plan.h"

#define RETRY_MS 20
#define REST_MS 5000 // a device does not answer
#define DAMAGED_REST_MS 60000

struct slots {
    struct commit commit; // first: the queue hands it back
    struct slots_plan plan;
    struct keeper *keeper;
    struct event *turn;
    uint32_t from, tenant; // where the pass began and is
    uint32_t again_from;   // another pass is wanted from there; UINT32_MAX: none
    uint64_t found, done;
    int64_t started_ms;
    bool is_busy, is_stopping; // with the device or the disk
    // The data key at hand.
    uint32_t number;
    uint64_t revision;
    uint8_t record[RECORD_DATAKEY_MAX], next[RECORD_DATAKEY_MAX], name[4];
    size_t record_bytes;
    struct secret *key; // while slots are added
    struct added {
        uint8_t blob[HSM_BLOB_MAX_BYTES];
        size_t blob_bytes;
        uint32_t generation;
    } added[KEEPER_DEVICES_MAX];
    size_t added_count;
    struct store_change change;
};

// ---- slots.c ----

void slots_turn_after(struct slots *job, long wait_ms);
// What was under way is done: on with the pass, or the end.
void slots_go_on(struct slots *job, long wait_ms);

// ---- slots_key.c: the data key of job->number, whose record was read ----

// With a slot that a working device opens: begins to add those that are missing.
void slots_unwrap(struct slots *job, const struct record_datakey *record);
// Adds the next one, or replaces the record when there is none to add.
void slots_add(struct slots *job);

#endif
