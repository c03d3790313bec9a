// SPDX-License-Identifier: Apache-2.0
// Passes over the data keys of all tenants.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/device_remove.h"
#include "vaultd/keeper/slots_internal.h"
#include "vaultd/log/log.h"

#define TENANTS_EACH_TURN 200
#define LOOK_AGAIN_TICKS 5

void slots_turn_after(struct slots *job, long wait_ms) {
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    event_add(job->turn, &wait);
}

static void job_free(struct slots *job) {
    event_free(job->turn);
    secret_free(job->key);
    free(job);
}

void slots_stop(struct keeper *keeper) {
    struct slots *job = keeper->rotations ? keeper->rotations->slots : NULL;
    if (!job)
        return;
    keeper->rotations->slots = NULL;
    event_del(job->turn);
    secret_wipe(job->key);
    job->is_stopping = true;
    if (!job->is_busy)
        job_free(job);
}

// What was under way is done: on with it, or the end.
void slots_go_on(struct slots *job, long wait_ms) {
    job->is_busy = false;
    secret_wipe(job->key);
    if (job->is_stopping)
        job_free(job);
    else
        slots_turn_after(job, wait_ms);
}

// ---- A pass ----

struct search {
    struct slots *job;
    bool is_found, is_damaged;
};

static bool look_at_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct search *search = context;
    struct slots *job = search->job;
    struct record_datakey record, dropped;
    struct wire_reader r;
    search->is_damaged = value.size > sizeof job->record;
    if (search->is_damaged)
        return false;
    memcpy(job->record, value.at, value.size);
    job->record_bytes = value.size;
    search->is_damaged =
        !vlt_is_ok(record_datakey_get(bytes_of(job->record, job->record_bytes), &record));
    if (search->is_damaged)
        return false;
    dropped = record;
    if (!slots_plan_missing(&job->plan, &record) && slots_plan_drop(&job->plan, &dropped) == 0) {
        slots_plan_note(&job->plan, &record);
        return true;
    }
    wire_reader_init(&r, name);
    job->number = wire_get_u32(&r);
    job->revision = revision;
    search->is_found = true;
    return false;
}

static vlt_result pass_begin(struct slots *job, uint32_t from) {
    struct keeper *keeper = job->keeper;
    job->from = job->tenant = from;
    job->again_from = UINT32_MAX;
    job->found = 0;
    job->plan.failed = 0;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_devices_read(keeper, &job->plan.devices);
    store_snapshot_end(keeper->store);
    return result.class == VLT_NOT_FOUND ? vlt_ok() : result;
}

// Nothing was left to do in a look at every data key.
static void all_is_well(struct slots *job) {
    struct keeper *keeper = job->keeper;
    struct rotate_devices devices = job->plan.devices;
    bool is_whole = job->from == STORE_SYSTEM_TENANT && job->plan.failed == 0;
    slots_stop(keeper);
    if (!is_whole)
        return;
    rotate_wrapping_end_old(keeper, &devices);
    device_remove_go_on(keeper, &devices);
}

static void pass_ended(struct slots *job) {
    uint32_t from = job->found > 0 ? job->from : UINT32_MAX;
    if (job->again_from < from)
        from = job->again_from;
    // What failed is tried again by the tick, when the device is back.
    if (job->plan.failed)
        job->keeper->rotations->has_slots_to_look_at = true;
    if (from != UINT32_MAX && !job->plan.failed)
        slots_turn_after(job, vlt_is_ok(pass_begin(job, from)) ? 0 : REST_MS);
    else
        all_is_well(job);
}

static void take_turn(evutil_socket_t fd, short what, void *context) {
    struct slots *job = context;
    struct keeper *keeper = job->keeper;
    struct search search = {.job = job};
    // A data key that was wrapped before the new generation was made may be on its
    // way to the disk: it must be there before we look.
    if (job->tenant == STORE_SYSTEM_TENANT && keeper->wraps_in_flight > 0) {
        slots_turn_after(job, RETRY_MS);
        return;
    }
    vlt_result result = store_snapshot_begin(keeper->store);
    if (!vlt_is_ok(result)) {
        slots_turn_after(job, REST_MS);
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
        struct record_datakey record;
        job->found++;
        job->added_count = 0;
        job->is_busy = true;
        result = record_datakey_get(bytes_of(job->record, job->record_bytes), &record);
        if (vlt_is_ok(result) && slots_plan_missing(&job->plan, &record))
            slots_unwrap(job, &record);
        else
            slots_add(job); // only to drop
    } else if (!vlt_is_ok(result) || search.is_damaged) {
        log_error("the data keys of tenant %u can not be read: old wrapping keys stay",
                  job->tenant);
        slots_turn_after(job, DAMAGED_REST_MS);
    } else if (job->tenant < keeper->next_tenant) {
        slots_turn_after(job, 0);
    } else {
        pass_ended(job);
    }
}

static void begin(struct keeper *keeper, uint32_t from) {
    struct slots *job = keeper->rotations->slots;
    if (keeper->state != KEEPER_UNSEALED || !keeper->keys || keeper->is_draining)
        return;
    if (job) {
        if (from < job->again_from)
            job->again_from = from;
        return;
    }
    job = calloc(1, sizeof *job);
    if (!job)
        return;
    job->keeper = job->plan.keeper = keeper;
    job->started_ms = clock_elapsed_ms();
    job->key = secret_new(HSM_DATA_KEY_BYTES);
    job->turn = evtimer_new(keeper->base, take_turn, job);
    if (!job->turn || !job->key || !vlt_is_ok(pass_begin(job, from))) {
        if (job->turn)
            event_free(job->turn);
        secret_free(job->key);
        free(job);
        return;
    }
    keeper->rotations->slots = job;
    slots_turn_after(job, 0);
}

void slots_touch(struct keeper *keeper) {
    begin(keeper, STORE_SYSTEM_TENANT);
}

void slots_touch_tenant(struct keeper *keeper, uint32_t tenant) {
    if (keeper->devices->count > 1)
        begin(keeper, tenant);
}

void slots_tick(struct keeper *keeper) {
    struct rotations *rotations = keeper->rotations;
    if (!rotations->has_slots_to_look_at || rotations->slots ||
        rotations->tick_count % LOOK_AGAIN_TICKS != 0)
        return;
    rotations->has_slots_to_look_at = false;
    begin(keeper, STORE_SYSTEM_TENANT);
}

bool slots_look(const struct keeper *keeper, struct slots_progress *ret_progress) {
    const struct slots *job = keeper->rotations->slots;
    if (!job)
        return false;
    // Tenants have one data key each, but for those that are being rotated.
    uint64_t all = keeper->next_tenant;
    *ret_progress = (struct slots_progress){.data_keys = all,
                                            .remaining = all > job->tenant ? all - job->tenant : 0,
                                            .done = job->done,
                                            .started_ms = job->started_ms};
    return true;
}
