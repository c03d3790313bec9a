// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/slots.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/device_remove.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/slots_plan.h"
#include "vaultd/log/log.h"

#define TENANTS_EACH_TURN 200
#define RETRY_MS 20
#define REST_MS 5000 // a device does not answer
#define DAMAGED_REST_MS 60000
#define LOOK_AGAIN_TICKS 5

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

static void turn_after(struct slots *job, long wait_ms) {
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
static void go_on(struct slots *job, long wait_ms) {
    job->is_busy = false;
    secret_wipe(job->key);
    if (job->is_stopping)
        job_free(job);
    else
        turn_after(job, wait_ms);
}

// ---- The data key at hand ----

// The record as it was read, with what was added.
static vlt_result take_record(struct slots *job, struct record_datakey *record) {
    VLT_TRY(record_datakey_get(bytes_of(job->record, job->record_bytes), record));
    for (size_t i = 0; i < job->added_count; i++) {
        if (record->slot_count == RECORD_SLOTS_MAX)
            return vlt_fail(VLT_LIMIT, "a data key has too many slots");
        struct record_slot *slot = &record->slots[record->slot_count++];
        slot->blob = bytes_of(job->added[i].blob, job->added[i].blob_bytes);
        slot->generation = job->added[i].generation;
        VLT_TRY(hsm_blob_key_id(slot->blob, slot->device));
    }
    return vlt_ok();
}

// ---- Its record is replaced ----

static void committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct slots *job = (struct slots *)commit;
    job->keeper->in_flight--;
    if (vlt_is_ok(result)) {
        job->done++;
    } else if (result.class != VLT_CONFLICT) { // else the record is looked at again
        keeper_commit_failed(job->keeper, result);
    }
    go_on(job, vlt_is_ok(result) ? 0 : RETRY_MS);
}

static void replace(struct slots *job, const struct record_datakey *record) {
    struct wire_writer w;
    wire_writer_init(&w, job->next, sizeof job->next);
    record_datakey_put(&w, record);
    if (w.failed) {
        log_error("the slots of data key %u of tenant %u are too large", job->number, job->tenant);
        go_on(job, DAMAGED_REST_MS);
        return;
    }
    job->change = (struct store_change){.tenant = job->tenant,
                                        .class = STORE_DATA_KEY,
                                        .name = record_datakey_name(job->number, job->name),
                                        .value = bytes_of(job->next, w.size),
                                        .expected_revision = job->revision};
    job->commit = (struct commit){.changes = &job->change, .count = 1, .done = committed};
    job->is_busy = true;
    job->keeper->in_flight++;
    commit_queue_add(job->keeper->commits, &job->commit);
}

// ---- Slots are added ----

static void add_or_finish(struct slots *job);

static void device_failed_here(struct slots *job, struct device *device,
                               const struct device_call *call, vlt_result result) {
    log_error("device %s: data key %u of tenant %u gets no slot: %s", device->name, job->number,
              job->tenant, fault_or_reason(&call->fault, result));
    job->plan.failed |= 1u << device->number;
}

static struct device *device_of_call(struct keeper *keeper, struct device_call *call) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        if (keeper->devices->at[i].thread == device_call_thread(call))
            return &keeper->devices->at[i];
    return &keeper->devices->at[0];
}

static vlt_result take_blob(struct slots *job, struct device_call *call) {
    uint8_t id[HSM_KEY_ID_BYTES];
    struct bytes blob = bytes_of(call->blob, call->blob_bytes);
    VLT_TRY(hsm_blob_key_id(blob, id));
    const struct rotate_device *key = slots_plan_key(&job->plan, id);
    // A generation that is not recorded yet, or is retired by now.
    if (!slots_plan_is_active(key) || job->added_count == KEEPER_DEVICES_MAX)
        return vlt_fail(VLT_CONFLICT, "the wrapping key is being rotated");
    struct added *added = &job->added[job->added_count++];
    memcpy(added->blob, blob.at, blob.size);
    added->blob_bytes = blob.size;
    added->generation = key->generation;
    return vlt_ok();
}

static void wrapped(struct device_call *call) {
    struct slots *job = call->context;
    vlt_result result = call->result;
    if (job->is_stopping) {
        go_on(job, 0);
        return;
    }
    if (vlt_is_ok(result))
        result = take_blob(job, call);
    if (!vlt_is_ok(result))
        device_failed_here(job, device_of_call(job->keeper, call), call, result);
    add_or_finish(job);
}

static vlt_result copy_key(struct secret *to, const struct secret *from) {
    vlt_result result = secret_set(to, secret_borrow(from), secret_size(from));
    secret_release(from);
    return result;
}

static void wrap_in(struct slots *job, struct device *device) {
    struct device_call *call = device_call_new(DEVICE_WRAP_PROVEN, wrapped, job);
    vlt_result result =
        call ? copy_key(call->secret, job->key) : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        if (call)
            device_call_free(call);
        go_on(job, REST_MS);
        return;
    }
    device_call_set_purpose(call, job->tenant, job->number);
    device_submit(device->thread, call);
}

static void add_or_finish(struct slots *job) {
    struct record_datakey record;
    vlt_result result = take_record(job, &record);
    struct device *device = vlt_is_ok(result) ? slots_plan_missing(&job->plan, &record) : NULL;
    if (device) {
        wrap_in(job, device);
        return;
    }
    size_t dropped = vlt_is_ok(result) ? slots_plan_drop(&job->plan, &record) : 0;
    if (job->added_count + dropped > 0 && vlt_is_ok(result))
        replace(job, &record);
    else // a device failed: the pass goes on with the next data key
        go_on(job, vlt_is_ok(result) ? 0 : DAMAGED_REST_MS);
}

static void unwrapped(struct device_call *call) {
    struct slots *job = call->context;
    vlt_result result = call->result;
    if (vlt_is_ok(result) && !job->is_stopping)
        result = copy_key(job->key, call->secret);
    if (job->is_stopping) {
        go_on(job, 0);
    } else if (vlt_is_ok(result)) {
        add_or_finish(job);
    } else {
        device_failed_here(job, device_of_call(job->keeper, call), call, result);
        go_on(job, RETRY_MS); // perhaps with another device's slot
    }
}

static void unwrap_with(struct slots *job, const struct record_datakey *record) {
    const struct record_slot *slot;
    struct device *device;
    vlt_result result = devices_slot(job->keeper, record, job->plan.failed, &slot, &device);
    struct device_call *call =
        vlt_is_ok(result) ? device_call_new(DEVICE_UNWRAP, unwrapped, job) : NULL;
    if (!call || slot->blob.size > sizeof call->blob) {
        if (call)
            device_call_free(call);
        go_on(job, REST_MS);
        return;
    }
    memcpy(call->blob, slot->blob.at, slot->blob.size);
    call->blob_bytes = slot->blob.size;
    device_call_set_purpose(call, job->tenant, job->number);
    job->is_busy = true;
    device_submit(device->thread, call);
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
        turn_after(job, vlt_is_ok(pass_begin(job, from)) ? 0 : REST_MS);
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
        struct record_datakey record;
        job->found++;
        job->added_count = 0;
        job->is_busy = true;
        result = record_datakey_get(bytes_of(job->record, job->record_bytes), &record);
        if (vlt_is_ok(result) && slots_plan_missing(&job->plan, &record))
            unwrap_with(job, &record);
        else
            add_or_finish(job); // only to drop
    } else if (!vlt_is_ok(result) || search.is_damaged) {
        log_error("the data keys of tenant %u can not be read: old wrapping keys stay",
                  job->tenant);
        turn_after(job, DAMAGED_REST_MS);
    } else if (job->tenant < keeper->next_tenant) {
        turn_after(job, 0);
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
    turn_after(job, 0);
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
