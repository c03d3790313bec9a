// SPDX-License-Identifier: Apache-2.0
// Walks over the data keys of every tenant; where a slot belongs to a retired
// wrapping key, the device unwraps and wraps it again and the record is replaced.
// One call of the device at a time: whoever needs it meanwhile comes in between.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/rotate_wrapping.h"
#include "vaultd/log/log.h"

#define TENANTS_EACH_TURN 200
#define RETRY_MS 20
#define REST_MS 5000 // the device does not answer
#define DAMAGED_REST_MS 60000

struct rewrap {
    struct commit commit; // first: the queue hands it back
    struct keeper *keeper;
    struct event *turn;
    struct rotate_devices devices; // as of the beginning of the pass
    uint32_t tenant;               // where the pass is
    uint64_t found, done;
    int64_t started_ms;
    bool is_busy, is_stopping; // with the device or the disk
    // The data key at hand.
    uint32_t number;
    size_t slot;
    uint64_t revision;
    uint8_t record[RECORD_DATAKEY_MAX], next[RECORD_DATAKEY_MAX], name[4];
    size_t record_bytes;
    struct store_change change;
};

static void turn_after(struct rewrap *job, long wait_ms) {
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    event_add(job->turn, &wait);
}

static void job_free(struct rewrap *job) {
    event_free(job->turn);
    free(job);
}

void rewrap_stop(struct keeper *keeper) {
    struct rewrap *job = keeper->rotations ? keeper->rotations->rewrap : NULL;
    if (!job)
        return;
    keeper->rotations->rewrap = NULL;
    event_del(job->turn);
    job->is_stopping = true;
    if (!job->is_busy)
        job_free(job);
}

// What was under way is done: on with it, or the end.
static void go_on(struct rewrap *job, long wait_ms) {
    job->is_busy = false;
    if (job->is_stopping)
        job_free(job);
    else
        turn_after(job, wait_ms);
}

// ---- One data key ----

static void committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct rewrap *job = (struct rewrap *)commit;
    job->keeper->in_flight--;
    if (vlt_is_ok(result)) {
        job->done++;
    } else if (result.class != VLT_CONFLICT) { // else the record is looked at again
        keeper_commit_failed(job->keeper, result);
    }
    go_on(job, vlt_is_ok(result) ? 0 : RETRY_MS);
}

static vlt_result replace_slot(struct rewrap *job, const struct device_call *call) {
    struct record_datakey record;
    struct wire_writer w;
    VLT_TRY(record_datakey_get(bytes_of(job->record, job->record_bytes), &record));
    struct record_slot *slot = &record.slots[job->slot];
    slot->blob = bytes_of(call->blob, call->blob_bytes);
    VLT_TRY(hsm_blob_key_id(slot->blob, slot->device));
    slot->generation = job->devices.active->generation;
    wire_writer_init(&w, job->next, sizeof job->next);
    record_datakey_put(&w, &record);
    if (w.failed)
        return vlt_fail(VLT_BUG, "a wrapped data key is too large");
    job->change = (struct store_change){.tenant = job->tenant,
                                        .class = STORE_DATA_KEY,
                                        .name = record_datakey_name(job->number, job->name),
                                        .value = bytes_of(job->next, w.size),
                                        .expected_revision = job->revision};
    return vlt_ok();
}

static void rewrapped(struct device_call *call) {
    struct rewrap *job = call->context;
    vlt_result result = call->result;
    if (vlt_is_ok(result))
        result = replace_slot(job, call);
    if (!vlt_is_ok(result)) {
        if (!job->is_stopping)
            log_error("data key %u of tenant %u can not be wrapped again: %s", job->number,
                      job->tenant, fault_or_reason(&call->fault, result));
        go_on(job, REST_MS);
        return;
    }
    job->commit = (struct commit){.changes = &job->change, .count = 1, .done = committed};
    job->keeper->in_flight++;
    commit_queue_add(job->keeper->commits, &job->commit);
}

static void submit(struct rewrap *job, struct bytes blob) {
    struct device_call *call = device_call_new(DEVICE_REWRAP, rewrapped, job);
    if (!call || blob.size > sizeof call->blob) {
        if (call)
            device_call_free(call);
        turn_after(job, REST_MS);
        return;
    }
    memcpy(call->blob, blob.at, blob.size);
    call->blob_bytes = blob.size;
    device_call_set_purpose(call, job->tenant, job->number);
    job->is_busy = true;
    device_submit(job->keeper->device, call);
}

// ---- A pass ----

static bool is_retired(const struct rewrap *job, const uint8_t id[RECORD_DEVICE_ID_SIZE]) {
    for (size_t i = 0; i < job->devices.count; i++)
        if (job->devices.keys[i].state == RECORD_WRAPPING_RETIRED &&
            bytes_equal(bytes_of(job->devices.keys[i].id, RECORD_DEVICE_ID_SIZE),
                        bytes_of(id, RECORD_DEVICE_ID_SIZE)))
            return true;
    return false;
}

struct search {
    struct rewrap *job;
    bool is_found, is_damaged;
    struct bytes blob; // in the job's copy
};

static bool look_at_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct search *search = context;
    struct rewrap *job = search->job;
    struct record_datakey record;
    struct wire_reader r;
    search->is_damaged = value.size > sizeof job->record;
    if (search->is_damaged)
        return false;
    memcpy(job->record, value.at, value.size);
    job->record_bytes = value.size;
    search->is_damaged =
        !vlt_is_ok(record_datakey_get(bytes_of(job->record, job->record_bytes), &record));
    for (size_t i = 0; !search->is_damaged && i < record.slot_count; i++)
        if (is_retired(job, record.slots[i].device)) {
            wire_reader_init(&r, name);
            job->number = wire_get_u32(&r);
            job->revision = revision;
            job->slot = i;
            search->blob = record.slots[i].blob;
            search->is_found = true;
            return false;
        }
    return !search->is_damaged;
}

static vlt_result pass_begin(struct rewrap *job) {
    struct keeper *keeper = job->keeper;
    job->tenant = STORE_SYSTEM_TENANT;
    job->found = 0;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_devices_read(keeper, &job->devices);
    store_snapshot_end(keeper->store);
    return result;
}

static void pass_ended(struct rewrap *job) {
    struct keeper *keeper = job->keeper;
    if (job->found > 0) {
        turn_after(job, vlt_is_ok(pass_begin(job)) ? 0 : REST_MS);
        return;
    }
    rewrap_stop(keeper);
    rotate_wrapping_end_old(keeper);
}

static void take_turn(evutil_socket_t fd, short what, void *context) {
    struct rewrap *job = context;
    struct keeper *keeper = job->keeper;
    struct search search = {.job = job};
    // A data key that was wrapped before the new generation was made may be on its
    // way to the disk: it must be there before we look.
    if (job->tenant == STORE_SYSTEM_TENANT && keeper->wraps_in_flight > 0) {
        turn_after(job, RETRY_MS);
        return;
    }
    vlt_result result = store_snapshot_begin(keeper->store);
    if (!vlt_is_ok(result)) {
        turn_after(job, REST_MS);
        return;
    }
    for (size_t i = 0; i < TENANTS_EACH_TURN && job->tenant < keeper->next_tenant; i++) {
        result = store_each(keeper->store, job->tenant, STORE_DATA_KEY, bytes_of(NULL, 0),
                            bytes_of(NULL, 0), look_at_key, &search);
        if (!vlt_is_ok(result) || search.is_found || search.is_damaged)
            break;
        job->tenant++;
    }
    store_snapshot_end(keeper->store);
    if (search.is_found) {
        job->found++;
        submit(job, search.blob);
    } else if (!vlt_is_ok(result) || search.is_damaged) {
        log_error("the data keys of tenant %u can not be read: the old wrapping key stays",
                  job->tenant);
        turn_after(job, DAMAGED_REST_MS);
    } else if (job->tenant < keeper->next_tenant) {
        turn_after(job, 0);
    } else {
        pass_ended(job);
    }
}

void rewrap_begin(struct keeper *keeper) {
    if (keeper->rotations->rewrap || keeper->state != KEEPER_UNSEALED)
        return;
    struct rewrap *job = calloc(1, sizeof *job);
    if (!job)
        return;
    job->keeper = keeper;
    job->started_ms = clock_elapsed_ms();
    job->turn = evtimer_new(keeper->base, take_turn, job);
    if (!job->turn || !vlt_is_ok(pass_begin(job))) {
        if (job->turn)
            event_free(job->turn);
        free(job);
        return;
    }
    keeper->rotations->rewrap = job;
    turn_after(job, 0);
}

bool rewrap_look(const struct keeper *keeper, struct rewrap_progress *ret_progress) {
    const struct rewrap *job = keeper->rotations->rewrap;
    if (!job)
        return false;
    // Tenants have one data key each, but for those that are being rotated.
    uint64_t all = keeper->next_tenant;
    *ret_progress = (struct rewrap_progress){.data_keys = all,
                                             .remaining = all > job->tenant ? all - job->tenant : 0,
                                             .done = job->done,
                                             .started_ms = job->started_ms};
    return true;
}
