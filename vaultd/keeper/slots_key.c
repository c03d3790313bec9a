// SPDX-License-Identifier: Apache-2.0
// The slots of one data key: added, dropped, and its record replaced.
#include "vaultd/keeper/slots_internal.h"
#include "vaultd/log/log.h"

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
    slots_go_on(job, vlt_is_ok(result) ? 0 : RETRY_MS);
}

static void replace(struct slots *job, const struct record_datakey *record) {
    struct wire_writer w;
    wire_writer_init(&w, job->next, sizeof job->next);
    record_datakey_put(&w, record);
    if (w.failed) {
        log_error("the slots of data key %u of tenant %u are too large", job->number, job->tenant);
        slots_go_on(job, DAMAGED_REST_MS);
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
        slots_go_on(job, 0);
        return;
    }
    if (vlt_is_ok(result))
        result = take_blob(job, call);
    if (!vlt_is_ok(result))
        device_failed_here(job, device_of_call(job->keeper, call), call, result);
    slots_add(job);
}

static void wrap_in(struct slots *job, struct device *device) {
    struct device_call *call = device_call_new(DEVICE_WRAP_PROVEN, wrapped, job);
    vlt_result result =
        call ? secret_copy(call->secret, job->key) : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        if (call)
            device_call_free(call);
        slots_go_on(job, REST_MS);
        return;
    }
    device_call_set_purpose(call, job->tenant, job->number);
    device_submit(device->thread, call);
}

void slots_add(struct slots *job) {
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
        slots_go_on(job, vlt_is_ok(result) ? 0 : DAMAGED_REST_MS);
}

static void unwrapped(struct device_call *call) {
    struct slots *job = call->context;
    vlt_result result = call->result;
    if (vlt_is_ok(result) && !job->is_stopping)
        result = secret_copy(job->key, call->secret);
    if (job->is_stopping) {
        slots_go_on(job, 0);
    } else if (vlt_is_ok(result)) {
        slots_add(job);
    } else {
        device_failed_here(job, device_of_call(job->keeper, call), call, result);
        slots_go_on(job, RETRY_MS); // perhaps with another device's slot
    }
}

void slots_unwrap(struct slots *job, const struct record_datakey *record) {
    const struct record_slot *slot;
    struct device *device;
    vlt_result result = devices_slot(job->keeper, record, job->plan.failed, &slot, &device);
    struct device_call *call =
        vlt_is_ok(result) ? device_call_new(DEVICE_UNWRAP, unwrapped, job) : NULL;
    if (!call || slot->blob.size > sizeof call->blob) {
        if (call)
            device_call_free(call);
        slots_go_on(job, REST_MS);
        return;
    }
    memcpy(call->blob, slot->blob.at, slot->blob.size);
    call->blob_bytes = slot->blob.size;
    device_call_set_purpose(call, job->tenant, job->number);
    job->is_busy = true;
    device_submit(device->thread, call);
}
