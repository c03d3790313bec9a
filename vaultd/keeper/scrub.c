// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/scrub.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/log/log.h"

#define REST_TIMES 20 // as long as a run took
#define REST_MIN_MS 10000
#define REST_MOST_EACH_MIB_MS 160 // twice what it is where nothing holds a run up
#define PAGES_EACH_MIB 256

enum wish { WISH_SHRED, WISH_DEVICE, WISH_COUNT };
static const char *const names[WISH_COUNT] = {"shred", "scrub"};

struct scrubbing {
    struct scrub_job job; // first
    struct keeper *keeper;
    uint64_t revisions[WISH_COUNT]; // of the wishes; 0: none
    int64_t began_ms;
};

// ---- Wishes ----

static struct bytes wish_of(struct keeper *keeper, enum wish wish, uint64_t *ret_revision) {
    struct bytes value;
    vlt_result result = store_get(keeper->store, STORE_SYSTEM_TENANT, STORE_META,
                                  bytes_of_text(names[wish]), &value, ret_revision);
    return vlt_is_ok(result) ? value : bytes_of(NULL, 0);
}

bool scrub_is_due_to(const struct store_change *changes, size_t count) {
    for (size_t i = 0; i < count; i++)
        switch (changes[i].class) {
        case STORE_DATA_KEY:
        case STORE_SIGNING_SECRET:
        case STORE_INTAKE_SECRET:
        case STORE_CREDENTIAL_SECRET:
            if (changes[i].remove)
                return true;
            break;
        default:
            break;
        }
    return false;
}

struct store_change scrub_wish(void) {
    static const uint8_t mark = 1;
    return (struct store_change){.tenant = STORE_SYSTEM_TENANT,
                                 .class = STORE_META,
                                 .name = bytes_of_text(names[WISH_SHRED]),
                                 .value = bytes_of(&mark, 1),
                                 .expected_revision = STORE_ANY_REVISION};
}

bool scrub_is_wish(const struct store_change *change) {
    return change->class == STORE_META && bytes_equal_text(change->name, names[WISH_SHRED]);
}

// Ids of an earlier wish that is not fulfilled yet are kept.
void scrub_want(struct keeper *keeper, struct change *change,
                const uint8_t (*ids)[RECORD_DEVICE_ID_SIZE], size_t count) {
    uint8_t room[STORE_NEEDLES_MAX * RECORD_DEVICE_ID_SIZE];
    size_t size = 0;
    uint64_t revision;
    if (vlt_is_ok(store_snapshot_begin(keeper->store))) {
        struct bytes before = wish_of(keeper, WISH_DEVICE, &revision);
        size = before.size < sizeof room ? before.size : 0;
        if (size)
            memcpy(room, before.at, size);
        store_snapshot_end(keeper->store);
    }
    for (size_t i = 0; i < count && size + RECORD_DEVICE_ID_SIZE <= sizeof room; i++)
        for (size_t j = 0; j < RECORD_DEVICE_ID_SIZE; j++)
            room[size++] = (uint8_t)~ids[i][j];
    change_add(change, STORE_SYSTEM_TENANT, STORE_META, bytes_of_text(names[WISH_DEVICE]),
               bytes_of(room, size), STORE_ANY_REVISION);
}

bool scrub_is_wanted_by_device(struct keeper *keeper) {
    uint64_t revision;
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return false;
    bool is_wanted = wish_of(keeper, WISH_DEVICE, &revision).size > 0;
    store_snapshot_end(keeper->store);
    return is_wanted;
}

// ---- A run has ended ----

static void noted(struct change *change, vlt_result result, uint64_t revision) {
    change->keeper->rotations->is_scrubbing = false;
}

// A disk that stalls or a machine that stands still makes a run long, and is no reason
// to let what was destroyed lie there twenty times as long.
int64_t scrub_rest_ms(int64_t took_ms, uint64_t pages) {
    int64_t most_ms = (int64_t)(pages / PAGES_EACH_MIB) * REST_MOST_EACH_MIB_MS;
    int64_t rest_ms = took_ms < most_ms / REST_TIMES ? took_ms * REST_TIMES : most_ms;
    return rest_ms > REST_MIN_MS ? rest_ms : REST_MIN_MS;
}

static void rest(const struct scrubbing *scrubbing) {
    int64_t now_ms = clock_elapsed_ms();
    scrubbing->keeper->rotations->scrub_rest_until_ms =
        now_ms + scrub_rest_ms(now_ms - scrubbing->began_ms, scrubbing->job.scrubbed.pages);
}

// Of several runs in a row that could not be done, the first is told.
static void tell(struct keeper *keeper, vlt_result result) {
    struct rotations *rotations = keeper->rotations;
    bool is_held_up = result.class == VLT_UNAVAILABLE;
    if (!vlt_is_ok(result) && !is_held_up)
        log_error("the file of the store can not be cleaned: %s", result.reason);
    else if (is_held_up && !rotations->is_scrub_held_up && !keeper->is_draining)
        log_warning("what was destroyed stays in the file of the store, until it can be "
                    "overwritten: %s (a backup that is under way, mdb_dump, mdb_copy?); tried "
                    "again every %d s or later",
                    result.reason, REST_MIN_MS / 1000);
    else if (!is_held_up && rotations->is_scrub_held_up)
        log_notice("the file of the store was overwritten where something had been destroyed");
    rotations->is_scrub_held_up = is_held_up;
}

static void record(const struct scrubbing *scrubbing) {
    const struct store_scrubbed *scrubbed = &scrubbing->job.scrubbed;
    struct keeper *keeper = scrubbing->keeper;
    struct audit_event event;
    char what[160];
    snprintf(what, sizeof what, "%llu pages, %llu bytes overwritten, %llu traces left",
             (unsigned long long)scrubbed->pages, (unsigned long long)scrubbed->cleared_bytes,
             (unsigned long long)scrubbed->left);
    rotation_event(&event, "store.scrub", what);
    struct change *change = change_new(keeper, NULL, &event, noted);
    if (!change) {
        keeper->rotations->is_scrubbing = false;
        return;
    }
    if (scrubbed->left > 0) { // tried again
        log_error("wrapped keys that were removed are still in the file of the store: %s", what);
        change_refuse(change, vlt_fail(VLT_BUG, "traces are left"));
        return;
    }
    // One that was made meanwhile has another revision: a conflict, and another run.
    for (unsigned wish = 0; wish < WISH_COUNT; wish++)
        if (scrubbing->revisions[wish])
            change_add_removal(change, STORE_SYSTEM_TENANT, STORE_META, bytes_of_text(names[wish]),
                               scrubbing->revisions[wish]);
    change_run(change);
}

static void scrubbed(struct scrub_job *job) {
    struct scrubbing *scrubbing = (struct scrubbing *)job;
    struct keeper *keeper = scrubbing->keeper;
    rest(scrubbing);
    tell(keeper, job->result);
    if (vlt_is_ok(job->result))
        record(scrubbing);
    else
        keeper->rotations->is_scrubbing = false;
    free(scrubbing);
}

// ---- Begin ----

static void take_needles(struct scrub_job *job, struct bytes wish) {
    for (size_t at = 0;
         at + RECORD_DEVICE_ID_SIZE <= wish.size && job->needle_count < STORE_NEEDLES_MAX;
         at += RECORD_DEVICE_ID_SIZE, job->needle_count++)
        for (size_t j = 0; j < RECORD_DEVICE_ID_SIZE; j++)
            job->needles[job->needle_count][j] = (uint8_t)~wish.at[at + j];
}

static bool take_wishes(struct keeper *keeper, struct scrubbing *scrubbing) {
    bool may_rest = clock_elapsed_ms() < keeper->rotations->scrub_rest_until_ms;
    struct bytes wishes[WISH_COUNT];
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return false;
    for (unsigned wish = 0; wish < WISH_COUNT; wish++)
        wishes[wish] = wish_of(keeper, wish, &scrubbing->revisions[wish]);
    take_needles(&scrubbing->job, wishes[WISH_DEVICE]);
    store_snapshot_end(keeper->store);
    return wishes[WISH_DEVICE].size > 0 || (wishes[WISH_SHRED].size > 0 && !may_rest);
}

void scrub_tick(struct keeper *keeper) {
    struct scrubbing wanted = {.keeper = keeper}, *scrubbing;
    if (keeper->rotations->is_scrubbing || !take_wishes(keeper, &wanted) ||
        !(scrubbing = malloc(sizeof *scrubbing)))
        return;
    *scrubbing = wanted;
    scrubbing->job.done = scrubbed;
    scrubbing->began_ms = clock_elapsed_ms();
    keeper->rotations->is_scrubbing = true;
    commit_queue_scrub(keeper->commits, &scrubbing->job);
}
