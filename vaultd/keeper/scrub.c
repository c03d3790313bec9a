// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/scrub.h"

#include <stdio.h>
#include <stdlib.h>

#include "vaultd/keeper/rotation.h"
#include "vaultd/log/log.h"

#define SCRUB_NAME "scrub"

struct scrubbing {
    struct scrub_job job; // first
    struct keeper *keeper;
    uint64_t revision; // of the wish
};

static struct bytes wish_of(struct keeper *keeper, uint64_t *ret_revision) {
    struct bytes value;
    vlt_result result = store_get(keeper->store, STORE_SYSTEM_TENANT, STORE_META,
                                  BYTES_LITERAL(SCRUB_NAME), &value, ret_revision);
    return vlt_is_ok(result) ? value : bytes_of(NULL, 0);
}

// Ids of an earlier wish that is not fulfilled yet are kept.
void scrub_want(struct keeper *keeper, struct change *change,
                const uint8_t (*ids)[RECORD_DEVICE_ID_SIZE], size_t count) {
    uint8_t room[COMMIT_NEEDLES_MAX * RECORD_DEVICE_ID_SIZE];
    size_t size = 0;
    uint64_t revision;
    if (vlt_is_ok(store_snapshot_begin(keeper->store))) {
        struct bytes before = wish_of(keeper, &revision);
        size = before.size < sizeof room ? before.size : 0;
        if (size)
            memcpy(room, before.at, size);
        store_snapshot_end(keeper->store);
    }
    for (size_t i = 0; i < count && size + RECORD_DEVICE_ID_SIZE <= sizeof room; i++)
        for (size_t j = 0; j < RECORD_DEVICE_ID_SIZE; j++)
            room[size++] = (uint8_t)~ids[i][j];
    change_add(change, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(SCRUB_NAME),
               bytes_of(room, size), STORE_ANY_REVISION);
}

static void noted(struct change *change, vlt_result result, uint64_t revision) {
    change->keeper->rotations->is_scrubbing = false;
}

static void scrubbed(struct scrub_job *job) {
    struct scrubbing *scrubbing = (struct scrubbing *)job;
    struct keeper *keeper = scrubbing->keeper;
    struct audit_event event;
    char what[160];
    keeper->in_flight--;
    snprintf(what, sizeof what, "%llu pages, %llu bytes overwritten, %llu traces left",
             (unsigned long long)job->scrubbed.pages,
             (unsigned long long)job->scrubbed.cleared_bytes, (unsigned long long)job->left);
    rotation_event(&event, "store.scrub", what);
    struct change *change =
        vlt_is_ok(job->result) ? change_new(keeper, NULL, &event, noted) : NULL;
    if (job->result.class != VLT_UNAVAILABLE && !vlt_is_ok(job->result))
        log_error("the file of the store can not be cleaned: %s", job->result.reason);
    if (vlt_is_ok(job->result) && job->left > 0)
        log_error("wrapped keys that were removed are still in the file of the store: %s", what);
    if (change && job->left == 0) {
        change_add_removal(change, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(SCRUB_NAME),
                           scrubbing->revision);
        change_run(change);
    } else if (change) { // tried again
        change_refuse(change, vlt_fail(VLT_BUG, "traces are left"));
    } else {
        keeper->rotations->is_scrubbing = false;
    }
    free(scrubbing);
}

bool scrub_is_wanted(struct keeper *keeper) {
    uint64_t revision;
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return false;
    bool is_wanted = wish_of(keeper, &revision).size > 0;
    store_snapshot_end(keeper->store);
    return is_wanted;
}

void scrub_tick(struct keeper *keeper) {
    struct scrubbing *scrubbing;
    struct bytes wish;
    if (keeper->rotations->is_scrubbing || !scrub_is_wanted(keeper) ||
        !(scrubbing = calloc(1, sizeof *scrubbing)))
        return;
    if (!vlt_is_ok(store_snapshot_begin(keeper->store))) {
        free(scrubbing);
        return;
    }
    wish = wish_of(keeper, &scrubbing->revision);
    for (size_t i = 0; i + RECORD_DEVICE_ID_SIZE <= wish.size &&
                       scrubbing->job.needle_count < COMMIT_NEEDLES_MAX;
         i += RECORD_DEVICE_ID_SIZE, scrubbing->job.needle_count++)
        for (size_t j = 0; j < RECORD_DEVICE_ID_SIZE; j++)
            scrubbing->job.needles[scrubbing->job.needle_count][j] = (uint8_t)~wish.at[i + j];
    store_snapshot_end(keeper->store);
    scrubbing->keeper = keeper;
    scrubbing->job.done = scrubbed;
    keeper->rotations->is_scrubbing = true;
    keeper->in_flight++;
    commit_queue_scrub(keeper->commits, &scrubbing->job);
}
