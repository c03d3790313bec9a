// SPDX-License-Identifier: Apache-2.0
// Devices are opened with the keys that the store knows of them, and closed.
#include "vaultd/keeper/devices.h"

#include "libvault/base/clock.h"
#include "vaultd/keeper/boot.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

// ---- Closing ----

static void closed(struct device_call *call) {}

// Not needed for anything: when there is no memory to close it, it stays open.
void device_close(struct device *device) {
    struct device_call *call = device_call_new(DEVICE_CLOSE, closed, NULL);
    if (call)
        device_submit(device->thread, call);
    else
        log_error("no memory to close the device %s", device->name);
}

// ---- Opening ----

struct key_search {
    const struct device *device;
    uint8_t kind;
    bool is_leaving;
    struct device_call *call;
    vlt_result result;
};

static bool take_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct key_search *search = context;
    struct device_call *call = search->call;
    struct record_device record;
    search->result = record_device_get(value, &record);
    if (!vlt_is_ok(search->result))
        return false;
    if (!bytes_equal_text(record.device, search->device->name) ||
        record.kind != search->kind || record.key.size > HSM_KEY_MAX_BYTES ||
        record.state == RECORD_WRAPPING_ENDING)
        return true;
    search->is_leaving |= record.state == RECORD_WRAPPING_LEAVING;
    if (call->key_count == DEVICE_KEYS_MAX) {
        search->result = vlt_fail(VLT_LIMIT, "there are too many wrapping keys");
        return false;
    }
    struct hsm_key *key = &call->keys[call->key_count++];
    key->size = record.key.size;
    memcpy(key->at, record.key.at, record.key.size);
    return true;
}

// Its keys as the store knows them; none is fine.
static vlt_result find_keys(struct device *device, struct device_call *call) {
    struct keeper *keeper = device->keeper;
    struct key_search search = {
        .device = device,
        .kind = (uint8_t)keeper->settings.devices[device->number].hsm.kind,
        .call = call,
        .result = vlt_ok()};
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_DEVICE,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), take_key, &search);
    if (vlt_is_ok(result))
        result = search.result;
    if (vlt_is_ok(result))
        result = boot_approvals_read(keeper, call);
    store_snapshot_end(keeper->store);
    device->is_leaving = search.is_leaving;
    return result;
}

static void open_answered(struct device_call *call) {
    struct device *device = call->context;
    struct keeper *keeper = device->keeper;
    vlt_result result = call->result;
    if (call->value != device->session) { // closed, or added to the vault, meanwhile
        unseal_device_answered(keeper, device, result, &call->fault);
        return;
    }
    device->is_opening = device->is_overdue = false;
    if (vlt_is_ok(result))
        result = device_opened(device, call);
    if (!vlt_is_ok(result))
        device_failed(device, result.class, fault_or_reason(&call->fault, result));
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED) {
        epoch_join(keeper, device->name);
        slots_touch(keeper);
    }
    unseal_device_answered(keeper, device, result, &call->fault);
}

static void open_one(struct device *device) {
    struct keeper *keeper = device->keeper;
    struct device_call *call = device_call_new(DEVICE_OPEN, open_answered, device);
    if (!call)
        return; // tried again with the next attempt or probe
    vlt_result result = find_keys(device, call);
    if (!vlt_is_ok(result)) {
        device_call_free(call);
        device_failed(device, result.class, result.reason);
        unseal_device_answered(keeper, device, result, NULL);
    } else if (call->key_count == 0) {
        device_call_free(call);
        device_is_foreign(device);
    } else {
        call->settings = keeper->settings.devices[device->number].hsm;
        call->value = ++device->session;
        device->is_opening = true;
        device->asked_ms = clock_elapsed_ms();
        device_submit(device->thread, call);
    }
}

void device_overdue(struct device *device) {
    struct fault fault = {0};
    vlt_result result =
        fault_set(&fault, VLT_UNAVAILABLE, "the device hangs",
                  "it has not answered for %lld s: it hangs, or waits for somebody",
                  (long long)(clock_elapsed_ms() - device->asked_ms) / 1000);
    device->is_overdue = true;
    device_failed(device, result.class, fault.text);
    unseal_device_answered(device->keeper, device, result, &fault);
}

void devices_open(struct keeper *keeper) {
    struct devices *devices = keeper->devices;
    for (size_t i = 0; i < devices->count; i++)
        if (devices->at[i].state != DEVICE_WORKS && !devices->at[i].is_opening)
            open_one(&devices->at[i]);
        else if (devices->at[i].is_overdue)
            device_overdue(&devices->at[i]);
}

bool devices_are_opening(const struct keeper *keeper) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        if (keeper->devices->at[i].is_opening && !keeper->devices->at[i].is_overdue)
            return true;
    return false;
}

bool devices_any_known(const struct keeper *keeper) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        if (keeper->devices->at[i].state != DEVICE_FOREIGN)
            return true;
    return false;
}
