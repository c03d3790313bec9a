// SPDX-License-Identifier: Apache-2.0
// Data keys are loaded: unwrapped by a device that has a slot.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/datakey_internal.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/log/log.h"

#define FAILURE_REST_MS 1000

// What travels through the device thread.
struct load {
    struct datakeys *datakeys;
    uint32_t tenant, number;
    uint64_t generation;
};

static bool is_resting(const struct datakey *entry) {
    return entry->failed_ms && clock_elapsed_ms() - entry->failed_ms < FAILURE_REST_MS;
}

// ---- The answer ----

static void load_failed(struct datakeys *datakeys, struct datakey *entry, const char *why) {
    struct keeper *keeper = datakeys->keeper;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) { // perhaps with another device
        result = datakeys_load(datakeys, entry);
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result))
        return;
    entry->failed_ms = entry->used_ms = clock_elapsed_ms();
    log_error("data key %u of tenant %u can not be unwrapped: %s", entry->number, entry->tenant,
              why);
    // Which class it was is for the log; who waits can only try again.
    datakeys_unpark(
        datakeys, entry,
        vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant can not be unwrapped"));
}

static void unwrapped(struct device_call *call) {
    struct load *load = call->context;
    struct datakeys *datakeys = load->datakeys;
    struct datakey *entry = load->generation == datakeys->generation
                                ? datakeys_entry(datakeys, load->tenant, load->number)
                                : NULL;
    if (entry) {
        vlt_result result = call->result;
        entry->loads--;
        if (vlt_is_ok(result))
            result = datakeys_take(datakeys, entry, call->secret);
        if (vlt_is_ok(result))
            datakeys_unpark(datakeys, entry, result);
        else if (!entry->key && entry->loads == 0) // else another device was faster, or is asked
            load_failed(datakeys, entry, fault_or_reason(&call->fault, result));
    }
    free(load);
}

// ---- The question ----

static struct device_call *call_new(struct datakeys *datakeys, const struct datakey *entry,
                                    struct bytes blob) {
    struct load *load = malloc(sizeof *load);
    struct device_call *call = load ? device_call_new(DEVICE_UNWRAP, unwrapped, load) : NULL;
    if (!call || blob.size > sizeof call->blob) {
        if (call)
            device_call_free(call);
        free(load);
        return NULL;
    }
    *load = (struct load){datakeys, entry->tenant, entry->number, datakeys->generation};
    memcpy(call->blob, blob.at, blob.size);
    call->blob_bytes = blob.size;
    device_call_set_purpose(call, entry->tenant, entry->number);
    return call;
}

vlt_result datakeys_load(struct datakeys *datakeys, struct datakey *entry) {
    struct keeper *keeper = datakeys->keeper;
    uint8_t room[4];
    struct bytes value;
    struct record_datakey record;
    const struct record_slot *slot;
    struct device *device;
    VLT_TRY(store_get(keeper->store, entry->tenant, STORE_DATA_KEY,
                      record_datakey_name(entry->number, room), &value, NULL));
    VLT_TRY(record_datakey_get(value, &record));
    VLT_TRY(devices_slot(keeper, &record, entry->tried, &slot, &device));
    struct device_call *call = call_new(datakeys, entry, slot->blob);
    if (!call)
        return vlt_fail(VLT_UNAVAILABLE, "a data key can not be unwrapped now");
    entry->loads++;
    entry->tried |= 1u << device->number;
    entry->asked_ms = clock_elapsed_ms();
    device_submit(device->thread, call);
    return vlt_ok();
}

vlt_result datakeys_load_first(struct datakeys *datakeys, struct datakey *entry) {
    if (entry->loads > 0)
        return vlt_ok();
    if (is_resting(entry))
        return vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant can not be unwrapped");
    entry->tried = 0;
    return datakeys_load(datakeys, entry);
}

void datakeys_load_also(struct datakeys *datakeys, struct datakey *entry) {
    struct store *store = datakeys->keeper->store;
    entry->asked_ms = clock_elapsed_ms();
    if (!vlt_is_ok(store_snapshot_begin(store)))
        return;
    (void)vlt_is_ok(datakeys_load(datakeys, entry)); // there may be no other device
    store_snapshot_end(store);
}

vlt_result datakey_want(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = datakeys_entry_or_new(datakeys, tenant, number);
    if (!entry)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return entry->key ? vlt_ok() : datakeys_load_first(datakeys, entry);
}
