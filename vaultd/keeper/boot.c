// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/boot.h"

#include <stdlib.h>

#include "libvault/store/record_boot.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

// ---- Approved states ----

static bool take_approval(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct device_call *call = context;
    struct record_boot record;
    // One that can not be read is as good as none: the others still count.
    if (vlt_is_ok(record_boot_parse(value, NULL, &record)))
        call->approvals[call->approval_count++] = record.approval;
    return call->approval_count < HSM_APPROVALS_MAX;
}

vlt_result boot_approvals_read(struct keeper *keeper, struct device_call *call) {
    if (!call->approvals)
        call->approvals = calloc(HSM_APPROVALS_MAX, sizeof *call->approvals);
    if (!call->approvals)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    call->approval_count = 0;
    return store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_BOOT_APPROVAL, bytes_of(NULL, 0),
                      bytes_of(NULL, 0), take_approval, call);
}

// ---- The binding ----

struct binding_search {
    const char *device;
    struct boot_binding binding;
    uint32_t generation; // 0: none found
    vlt_result result;
};

static bool take_binding(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct binding_search *search = context;
    struct record_device device;
    struct hsm_key key = {.size = 0};
    search->result = record_device_get(value, &device);
    if (!vlt_is_ok(search->result))
        return false;
    if (!bytes_equal_text(device.device, search->device) || device.kind != HSM_TPM ||
        device.key.size > sizeof key.at || device.state == RECORD_WRAPPING_ENDING ||
        device.generation < search->generation)
        return true;
    key.size = device.key.size;
    memcpy(key.at, device.key.at, device.key.size);
    search->result = hsm_key_boot(&key, &search->binding);
    search->generation = device.generation;
    return vlt_is_ok(search->result);
}

vlt_result boot_binding_read(struct keeper *keeper, const char *device,
                             struct boot_binding *ret_binding) {
    struct binding_search search = {.device = device, .result = vlt_ok()};
    if (!keeper->store)
        return vlt_fail(VLT_NOT_FOUND, "there is no store yet");
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_DEVICE,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), take_binding, &search);
    store_snapshot_end(keeper->store);
    VLT_TRY(result);
    VLT_TRY(search.result);
    if (!search.generation)
        return vlt_fail(VLT_NOT_FOUND, "there is no wrapping key of a TPM");
    *ret_binding = search.binding;
    return vlt_ok();
}

// ---- Which device ----

vlt_result boot_device(struct keeper *keeper, struct bytes name, struct device **ret_device) {
    struct device *first = NULL;
    for (size_t i = 0; i < keeper->devices->count; i++) {
        struct device *device = &keeper->devices->at[i];
        bool is_tpm = keeper->settings.devices[device->number].hsm.kind == HSM_TPM;
        bool is_meant = name.size ? bytes_equal_text(name, device->name) : is_tpm;
        if (is_meant && (!first || (first->state != DEVICE_WORKS && device->state == DEVICE_WORKS)))
            first = device;
    }
    // Without a TPM: whichever there is says what it can not do.
    if (!first && !name.size)
        first = &keeper->devices->at[0];
    if (!first)
        return vlt_fail(VLT_NOT_FOUND, "there is no device of that name in the configuration");
    *ret_device = first;
    return vlt_ok();
}

// ---- After an approval ----

static void approvals_taken(struct device_call *call) {
    if (!vlt_is_ok(call->result))
        log_warning("the device does not know the new boot approval yet: %s", call->result.reason);
}

static void tell_device(struct keeper *keeper, struct device *device) {
    struct device_call *call = device_call_new(DEVICE_APPROVE, approvals_taken, NULL);
    vlt_result result =
        call ? store_snapshot_begin(keeper->store) : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result)) {
        result = boot_approvals_read(keeper, call);
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result)) {
        device_submit(device->thread, call);
        return;
    }
    log_warning("device %s does not know the new boot approval yet: %s", device->name,
                result.reason);
    if (call)
        device_call_free(call);
}

void boot_approved(struct keeper *keeper) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        if (keeper->devices->at[i].state == DEVICE_WORKS)
            tell_device(keeper, &keeper->devices->at[i]);
    // Those that waited for it are opened with it.
    if (keeper->state == KEEPER_UNSEALED)
        devices_open(keeper);
    else if (!keeper->is_sealed_by_hand)
        unseal_begin(keeper);
}
