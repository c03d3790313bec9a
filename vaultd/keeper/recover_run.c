// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/recover_run.h"

#include <stddef.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/keeper/system_seal.h"
#include "vaultd/log/log.h"

#define BATCH 16
#define DEVICES_MAX 16

struct recover {
    struct commit commit;
    struct keeper *keeper;
    struct recovery_key key;
    recover_done_fn *done;
    void *context;
    struct fault fault;
    uint32_t wrapped;

    struct hsm_key wrapping_key;
    uint8_t device[HSM_KEY_ID_BYTES];
    uint32_t generation;
    struct system_keys *keys;
    struct epoch_counters counters;

    // The data key that is being wrapped.
    uint32_t tenant, number; // the next one is after it
    bool is_listed;          // every data key was seen
    uint8_t state;
    uint64_t created_at, revision;
    uint8_t offline[RECORD_SLOT_BLOB_MAX]; // its offline slot stays as it is
    size_t offline_bytes;

    struct store_change changes[BATCH + DEVICES_MAX + 1];
    uint8_t names[BATCH + DEVICES_MAX][RECORD_DEVICE_ID_SIZE];
    uint8_t values[BATCH][RECORD_DATAKEY_MAX];
    size_t count;
};

// ---- The end ----

static void device_closed(struct device_call *call) {
    struct recover *recover = call->context;
    vlt_result result = call->result;
    recover->keeper->is_unsealing = false;
    recover->keeper->in_flight--;
    recover->done(result, &recover->fault, recover->wrapped, recover->context);
    recovery_key_done(&recover->key);
    system_keys_free(recover->keys);
    free(recover);
}

static void finish(struct recover *recover, vlt_result result) {
    // Closed, so that unsealing finds what a start would find. The result travels
    // with the call that closes.
    struct device_call *call = device_call_new(DEVICE_CLOSE, device_closed, recover);
    struct device_call local = {.context = recover, .result = result};
    if (call && vlt_is_ok(result))
        device_submit(recover->keeper->devices->at[0].thread, call);
    else {
        if (call)
            device_call_free(call);
        device_closed(&local);
    }
}

// ---- The last commit: from here on the vault belongs to the new device ----

static void add_row(struct recover *recover, enum store_class class, struct bytes name,
                    const uint8_t *value, size_t value_bytes) {
    recover->changes[recover->count++] =
        (struct store_change){.tenant = STORE_SYSTEM_TENANT,
                              .class = class,
                              .name = name,
                              .value = bytes_of(value, value_bytes),
                              .expected_revision = STORE_ANY_REVISION};
}

static bool remove_device(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct recover *recover = context;
    struct record_device record;
    if (recover->count == BATCH + DEVICES_MAX - 2 || name.size != RECORD_DEVICE_ID_SIZE)
        return false;
    if (vlt_is_ok(record_device_get(value, &record)) && record.kind == RECORD_DEVICE_RECOVERY)
        return true;
    uint8_t *kept = recover->names[recover->count];
    memcpy(kept, name.at, name.size);
    recover->changes[recover->count++] =
        (struct store_change){.tenant = STORE_SYSTEM_TENANT,
                              .class = STORE_DEVICE,
                              .name = bytes_of(kept, name.size),
                              .remove = true,
                              .expected_revision = revision};
    return true;
}

static vlt_result fill_last(struct recover *recover) {
    enum hsm_kind kind;
    size_t size;
    struct wire_writer w;
    struct record_device record = {.state = RECORD_WRAPPING_ACTIVE,
                                   .created_at = (uint64_t)clock_now_s(),
                                   .key = bytes_of(recover->wrapping_key.at,
                                                   recover->wrapping_key.size),
                                   .device = bytes_of_text(recover->keeper->devices->at[0].name)};
    VLT_TRY(hsm_key_facts(&recover->wrapping_key, &kind, &record.generation, recover->device));
    record.kind = (uint8_t)kind;
    wire_writer_init(&w, recover->values[0], sizeof recover->values[0]);
    record_device_put(&w, &record);
    if (w.failed)
        return vlt_fail(VLT_BUG, "the record of a wrapping key is too large");
    recover->count = 0;
    VLT_TRY(store_snapshot_begin(recover->keeper->store));
    vlt_result result =
        store_each(recover->keeper->store, STORE_SYSTEM_TENANT, STORE_DEVICE, bytes_of(NULL, 0),
                   bytes_of(NULL, 0), remove_device, recover);
    if (vlt_is_ok(result)) // every key of the vault opens, or nothing is changed
        result = system_keys_load(recover->keys, recover->keeper->store, &recover->fault);
    store_snapshot_end(recover->keeper->store);
    VLT_TRY(result);
    add_row(recover, STORE_DEVICE, bytes_of(recover->device, sizeof recover->device),
            recover->values[0], w.size);
    VLT_TRY(epoch_record(recover->keys, &recover->counters, recover->values[1], &size));
    add_row(recover, STORE_META, BYTES_LITERAL(EPOCH_NAME), recover->values[1], size);
    recover->changes[recover->count++] = scrub_wish(); // of what the old device can open
    return vlt_ok();
}

static void last_committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct recover *recover = (struct recover *)commit;
    if (vlt_is_ok(result))
        keeper_committed(recover->keeper, recover->changes, recover->count, revision);
    else
        keeper_commit_failed(recover->keeper, result);
    finish(recover, result);
}

static void commit_with(struct recover *recover,
                        void (*done)(struct commit *commit, vlt_result result, uint64_t revision)) {
    recover->commit =
        (struct commit){.changes = recover->changes, .count = recover->count, .done = done};
    commit_queue_add(recover->keeper->commits, &recover->commit);
}

static void counter_made(struct device_call *call) {
    struct recover *recover = call->context;
    vlt_result result = call->result;
    if (vlt_is_ok(result)) {
        recover->counters.count = 1;
        recover->counters.at[0] =
            (struct epoch_counter){.counter = call->counter, .value = call->value};
        memcpy(recover->counters.at[0].device, recover->keeper->settings.devices[0].name,
               sizeof recover->counters.at[0].device);
    } else if (result.class != VLT_UNAVAILABLE) {
        log_warning("no rollback protection: %s", fault_or_reason(&call->fault, result));
        result = vlt_ok();
    }
    if (vlt_is_ok(result))
        result = fill_last(recover);
    if (vlt_is_ok(result))
        commit_with(recover, last_committed);
    else
        finish(recover, result);
}

// ---- One data key after the other ----

static void next_key(struct recover *recover);

static void batch_committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct recover *recover = (struct recover *)commit;
    recover->count = 0;
    if (!vlt_is_ok(result)) {
        keeper_commit_failed(recover->keeper, result);
        finish(recover, result);
        return;
    }
    next_key(recover);
}

static vlt_result add_rewrapped(struct recover *recover, const struct device_call *call) {
    struct record_datakey record = {
        .state = recover->state, .created_at = recover->created_at, .slot_count = 2};
    memcpy(record.slots[0].device, recover->device, sizeof recover->device);
    record.slots[0].generation = recover->generation;
    record.slots[0].blob = bytes_of(call->blob, call->blob_bytes);
    memcpy(record.slots[1].device, recover->key.id, sizeof record.slots[1].device);
    record.slots[1].blob = bytes_of(recover->offline, recover->offline_bytes);
    struct wire_writer w;
    uint8_t *value = recover->values[recover->count];
    wire_writer_init(&w, value, sizeof recover->values[0]);
    record_datakey_put(&w, &record);
    if (w.failed)
        return vlt_fail(VLT_BUG, "a wrapped data key is too large");
    recover->changes[recover->count] =
        (struct store_change){.tenant = recover->tenant,
                              .class = STORE_DATA_KEY,
                              .name = record_datakey_name(recover->number,
                                                          recover->names[recover->count]),
                              .value = bytes_of(value, w.size),
                              .expected_revision = recover->revision};
    recover->count++;
    recover->wrapped++;
    if (recover->tenant != STORE_SYSTEM_TENANT)
        return vlt_ok();
    return system_keys_add_datakey(recover->keys, recover->number, call->secret,
                                   recover->state == RECORD_WRAPPING_ACTIVE);
}

static void key_wrapped(struct device_call *call) {
    struct recover *recover = call->context;
    vlt_result result = call->result;
    recover->fault = call->fault;
    if (vlt_is_ok(result))
        result = add_rewrapped(recover, call);
    if (!vlt_is_ok(result))
        finish(recover, result);
    else if (recover->count == BATCH)
        commit_with(recover, batch_committed);
    else
        next_key(recover);
}

struct opening {
    struct recover *recover;
    struct secret *key32;
    vlt_result result;
    bool is_found;
};

static bool open_first(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct opening *opening = context;
    struct recover *recover = opening->recover;
    struct record_datakey record;
    struct wire_reader r;
    wire_reader_init(&r, name);
    recover->number = wire_get_u32(&r);
    recover->revision = revision;
    opening->is_found = true;
    opening->result = record_datakey_get(value, &record);
    if (vlt_is_ok(opening->result))
        opening->result = recovery_open_slot(&recover->key, recover->tenant, recover->number,
                                             &record, opening->key32);
    if (!vlt_is_ok(opening->result))
        return false;
    recover->state = record.state;
    recover->created_at = record.created_at;
    for (size_t i = 0; i < record.slot_count; i++)
        if (bytes_equal(bytes_of(record.slots[i].device, RECORD_DEVICE_ID_SIZE),
                        bytes_of(recover->key.id, sizeof recover->key.id))) {
            recover->offline_bytes = record.slots[i].blob.size;
            memcpy(recover->offline, record.slots[i].blob.at, record.slots[i].blob.size);
        }
    return false;
}

// Opens the next data key; sets is_listed when there is none.
static vlt_result open_next(struct recover *recover, struct secret *key32) {
    struct keeper *keeper = recover->keeper;
    struct opening opening = {.recover = recover, .key32 = key32, .result = vlt_ok()};
    vlt_result result = vlt_ok();
    VLT_TRY(store_snapshot_begin(keeper->store));
    while (vlt_is_ok(result) && !opening.is_found && recover->tenant < keeper->next_tenant) {
        uint8_t after[4];
        struct bytes from = recover->number ? record_datakey_name(recover->number, after)
                                            : bytes_of(NULL, 0);
        result = store_each(keeper->store, recover->tenant, STORE_DATA_KEY, bytes_of(NULL, 0), from,
                            open_first, &opening);
        if (vlt_is_ok(result) && !opening.is_found) {
            recover->tenant++;
            recover->number = 0;
        }
    }
    store_snapshot_end(keeper->store);
    recover->is_listed = !opening.is_found;
    if (vlt_is_ok(result))
        result = opening.result;
    if (!vlt_is_ok(result))
        return fault_set(&recover->fault, result.class, result.reason,
                         "data key %u of tenant %u can not be recovered: %s", recover->number,
                         recover->tenant, result.reason);
    return vlt_ok();
}

static void listed(struct recover *recover) {
    struct device_call *call = device_call_new(DEVICE_COUNTER_CREATE, counter_made, recover);
    if (call)
        device_submit(recover->keeper->devices->at[0].thread, call);
    else
        finish(recover, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
}

static void next_key(struct recover *recover) {
    struct device_call *call = device_call_new(DEVICE_WRAP, key_wrapped, recover);
    vlt_result result = call ? open_next(recover, call->secret)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result) && !recover->is_listed) {
        device_call_set_purpose(call, recover->tenant, recover->number);
        device_submit(recover->keeper->devices->at[0].thread, call);
        return;
    }
    if (call)
        device_call_free(call);
    if (!vlt_is_ok(result))
        finish(recover, result);
    else if (recover->count > 0)
        commit_with(recover, batch_committed); // and then here again, with nothing left
    else
        listed(recover);
}

// ---- The beginning ----

static void key_created(struct device_call *call) {
    struct recover *recover = call->context;
    vlt_result result = call->result;
    enum hsm_kind kind;
    recover->fault = call->fault;
    if (vlt_is_ok(result)) {
        recover->wrapping_key = call->keys[0];
        result = hsm_key_facts(&call->keys[0], &kind, &recover->generation, recover->device);
    }
    if (vlt_is_ok(result) && !(recover->keys = system_keys_new()))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        next_key(recover);
    else
        finish(recover, result);
}

void recover_run(struct keeper *keeper, struct recovery_key *key, recover_done_fn *done,
                 void *context) {
    struct fault none = {0};
    struct recover *recover = calloc(1, sizeof *recover);
    struct device_call *call =
        recover ? device_call_new(DEVICE_CREATE, key_created, recover) : NULL;
    if (!call) {
        free(recover);
        recovery_key_done(key);
        done(vlt_fail(VLT_UNAVAILABLE, "out of memory"), &none, 0, context);
        return;
    }
    recover->keeper = keeper;
    recover->key = *key;
    *key = (struct recovery_key){0};
    recover->done = done;
    recover->context = context;
    keeper->is_unsealing = true;
    keeper->in_flight++;
    call->settings = keeper->settings.device;
    // What an attempt to unseal has opened is of no use any more.
    devices_close(keeper);
    device_submit(keeper->devices->at[0].thread, call);
}
