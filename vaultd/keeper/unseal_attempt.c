// SPDX-License-Identifier: Apache-2.0
// One try to unseal, with whichever device answers first.
#include <stdlib.h>

#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

// One try. Steps run one after the other, each begun by the end of the one before.
struct unseal_attempt {
    struct keeper *keeper;
    struct device *device; // that is being tried; NULL while we wait for one to open
    unsigned tried;        // set of devices (bit n: device n)
    bool is_beginning;
    vlt_result result;     // of the devices that failed; `why` says it of each
    struct fault why;
    struct system_keys *keys;
    struct fault fault;
    // System data keys, copied out of the store so that no snapshot stays open
    // while a device takes its time.
    struct system_slot {
        uint32_t number;
        bool is_active;
        uint8_t blob[HSM_BLOB_MAX_BYTES];
        size_t blob_bytes;
    } slots[SYSTEM_DATAKEYS_MAX];
    size_t slot_count, next_slot;
};

// ---- The end of a try ----

static bool is_worth_retrying(enum vlt_class class) {
    return class == VLT_UNAVAILABLE || class == VLT_NOT_FOUND;
}

static void record_device_error(struct keeper *keeper, const char *why) {
    struct audit_event event = {.kind = AUDIT_DEVICE,
                                .outcome = AUDIT_ERROR,
                                .operation = BYTES_LITERAL("vault.unseal"),
                                .reason = bytes_of_text(why)};
    audit_later(keeper, &event);
}

static void attempt_end(struct unseal_attempt *attempt, vlt_result result) {
    struct keeper *keeper = attempt->keeper;
    struct unseal_wait *wait = keeper->unseal_waits;
    keeper->is_unsealing = false;
    keeper->unsealing = NULL;
    keeper->unseal_waits = NULL;
    system_keys_free(attempt->keys);
    free(attempt);
    while (wait) {
        struct unseal_wait *next = wait->next;
        wait->done(wait, result);
        wait = next;
    }
}

static void attempt_failed(struct unseal_attempt *attempt, vlt_result result) {
    struct keeper *keeper = attempt->keeper;
    const char *why = fault_or_reason(&attempt->fault, result);
    // Say it once, not with every retry; and an administrator's word stands.
    if (!keeper->is_sealed_by_hand && strcmp(keeper->why, why) != 0) {
        record_device_error(keeper, why);
        keeper_set_state(keeper, KEEPER_SEALED, why);
    }
    if (!keeper->is_sealed_by_hand && is_worth_retrying(result.class))
        unseal_retry_later(keeper);
    attempt_end(attempt, result);
}

// Devices that opened as well: is the store as new as they remember, too?
static void join_others(struct unseal_attempt *attempt) {
    struct keeper *keeper = attempt->keeper;
    for (size_t i = 0; i < keeper->devices->count; i++) {
        const struct device *device = &keeper->devices->at[i];
        if (device != attempt->device && device->state == DEVICE_WORKS)
            epoch_join(keeper, device->name);
    }
    slots_touch(keeper);
}

static void attempt_succeeded(struct unseal_attempt *attempt) {
    struct keeper *keeper = attempt->keeper;
    if (keeper->is_sealed_by_hand) { // while this try was under way
        epoch_forget(keeper);
        attempt_end(attempt, vlt_fail(VLT_UNAVAILABLE, "the vault was sealed meanwhile"));
        return;
    }
    unseal_finish(keeper, attempt->keys);
    attempt->keys = NULL;
    keeper->has_unseal_to_record = true;
    unseal_record(keeper);
    join_others(attempt);
    attempt_end(attempt, vlt_ok());
}

// ---- Step 3: system data keys, then everything under them ----

static void unwrap_next(struct unseal_attempt *attempt);
static void device_of_attempt_failed(struct unseal_attempt *attempt, vlt_result result);

static vlt_result load_keys(struct unseal_attempt *attempt) {
    struct keeper *keeper = attempt->keeper;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = system_keys_load(attempt->keys, keeper->store, &attempt->fault);
    store_snapshot_end(keeper->store);
    return result;
}

static void slot_unwrapped(struct device_call *call) {
    struct unseal_attempt *attempt = call->context;
    const struct system_slot *slot = &attempt->slots[attempt->next_slot];
    vlt_result result = call->result;
    attempt->fault = call->fault;
    if (vlt_is_ok(result))
        result =
            system_keys_add_datakey(attempt->keys, slot->number, call->secret, slot->is_active);
    if (!vlt_is_ok(result)) {
        device_of_attempt_failed(attempt, result);
        return;
    }
    attempt->next_slot++;
    unwrap_next(attempt);
}

// Step 4: is this the newest store that the device has seen?
static void epoch_checked(vlt_result result, const struct fault *fault, void *context) {
    struct unseal_attempt *attempt = context;
    attempt->fault = *fault;
    if (vlt_is_ok(result))
        attempt_succeeded(attempt);
    else if (result.class == VLT_UNAVAILABLE)
        device_of_attempt_failed(attempt, result);
    else // that another device remembers less is no reason to ask it
        attempt_failed(attempt, result);
}

static void unwrap_next(struct unseal_attempt *attempt) {
    if (attempt->next_slot == attempt->slot_count) {
        vlt_result result = load_keys(attempt);
        if (vlt_is_ok(result))
            epoch_check(attempt->keeper, attempt->device, attempt->keys, epoch_checked, attempt);
        else
            attempt_failed(attempt, result);
        return;
    }
    const struct system_slot *slot = &attempt->slots[attempt->next_slot];
    struct device_call *call = device_call_new(DEVICE_UNWRAP, slot_unwrapped, attempt);
    if (!call) {
        attempt_failed(attempt, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
        return;
    }
    memcpy(call->blob, slot->blob, slot->blob_bytes);
    call->blob_bytes = slot->blob_bytes;
    device_call_set_purpose(call, STORE_SYSTEM_TENANT, slot->number);
    device_submit(attempt->device->thread, call);
}

// ---- Step 2: a device is open; which slots are for it? ----

struct slot_search {
    struct unseal_attempt *attempt;
    vlt_result result;
};

static bool take_slot(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct slot_search *search = context;
    struct unseal_attempt *attempt = search->attempt;
    struct record_datakey record;
    const struct record_slot *slot;
    struct device *device;
    search->result = record_datakey_get(value, &record);
    if (vlt_is_ok(search->result))
        search->result = devices_slot(attempt->keeper, &record, ~(1u << attempt->device->number),
                                      &slot, &device);
    if (vlt_is_ok(search->result) &&
        (attempt->slot_count == SYSTEM_DATAKEYS_MAX || slot->blob.size > HSM_BLOB_MAX_BYTES))
        search->result = vlt_fail(VLT_LIMIT, "there are too many system data keys");
    if (!vlt_is_ok(search->result))
        return false;
    struct system_slot *taken = &attempt->slots[attempt->slot_count++];
    struct wire_reader r;
    wire_reader_init(&r, name);
    taken->number = wire_get_u32(&r);
    taken->is_active = record.state == RECORD_WRAPPING_ACTIVE;
    taken->blob_bytes = slot->blob.size;
    memcpy(taken->blob, slot->blob.at, slot->blob.size);
    return true;
}

static vlt_result find_slots(struct unseal_attempt *attempt) {
    struct keeper *keeper = attempt->keeper;
    struct slot_search search = {.attempt = attempt, .result = vlt_ok()};
    attempt->slot_count = attempt->next_slot = 0;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_DATA_KEY,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), take_slot, &search);
    store_snapshot_end(keeper->store);
    VLT_TRY(result);
    // Not one to retry: another try would find the same store and device.
    if (search.result.class == VLT_UNAVAILABLE ||
        (vlt_is_ok(search.result) && !attempt->slot_count))
        return fault_set(&attempt->fault, VLT_CONFLICT, "no slot for this device",
                         "the store holds no data key for this device: it was made with another "
                         "one");
    return search.result;
}

static struct device *next_candidate(struct unseal_attempt *attempt) {
    struct devices *devices = attempt->keeper->devices;
    for (size_t i = 0; i < devices->count; i++)
        if (devices->at[i].state == DEVICE_WORKS && !(attempt->tried >> i & 1))
            return &devices->at[i];
    return NULL;
}

static void try_device(struct unseal_attempt *attempt, struct device *device) {
    attempt->device = device;
    attempt->tried |= 1u << device->number;
    vlt_result result = find_slots(attempt);
    system_keys_free(attempt->keys);
    attempt->keys = NULL;
    if (vlt_is_ok(result) && !(attempt->keys = system_keys_new()))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        unwrap_next(attempt);
    else
        device_of_attempt_failed(attempt, result);
}

// ---- Step 1: whichever device answers first ----

// With several, each says for itself why it does not serve.
static void note_failure(struct unseal_attempt *attempt, const struct device *device,
                         vlt_result result, const struct fault *fault) {
    const char *why = fault_or_reason(fault, result), *before = attempt->why.text;
    if (vlt_is_ok(attempt->result) || is_worth_retrying(result.class))
        attempt->result = result;
    struct fault text = {0};
    vlt_result noted =
        attempt->keeper->devices->count == 1
            ? fault_set(&text, result.class, "", "%s", why)
            : fault_set(&text, result.class, "", "%s%s%s: %s", before, before[0] ? "; " : "",
                        device->name, why);
    (void)noted;
    attempt->why = text;
}

static void go_on(struct unseal_attempt *attempt) {
    struct device *device = next_candidate(attempt);
    if (attempt->device || attempt->is_beginning)
        return; // it has not failed yet
    if (device) {
        try_device(attempt, device);
    } else if (!devices_are_opening(attempt->keeper)) {
        attempt->fault = attempt->why;
        attempt_failed(attempt, attempt->result);
    }
}

static void device_of_attempt_failed(struct unseal_attempt *attempt, vlt_result result) {
    note_failure(attempt, attempt->device, result, &attempt->fault);
    attempt->fault = (struct fault){0};
    attempt->device = NULL;
    go_on(attempt);
}

void unseal_device_answered(struct keeper *keeper, struct device *device, vlt_result result,
                            const struct fault *fault) {
    struct unseal_attempt *attempt = keeper->unsealing;
    if (attempt) {
        if (!vlt_is_ok(result))
            note_failure(attempt, device, result, fault);
        go_on(attempt);
    } else if (vlt_is_ok(result) && keeper->state == KEEPER_SEALED && !keeper->is_sealed_by_hand) {
        unseal_begin(keeper);
    }
}

void unseal_begin(struct keeper *keeper) {
    if (keeper->is_unsealing || keeper->state != KEEPER_SEALED || !keeper->store)
        return;
    struct unseal_attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt) {
        log_error("no memory to unseal");
        unseal_retry_later(keeper);
        return;
    }
    keeper->is_unsealing = true;
    attempt->keeper = keeper;
    attempt->result = vlt_ok();
    keeper->unsealing = attempt;
    attempt->is_beginning = true; // until every device was asked
    devices_open(keeper);
    attempt->is_beginning = false;
    if (!devices_any_known(keeper))
        attempt->result =
            fault_set(&attempt->why, VLT_CONFLICT, "no wrapping key for this kind of device",
                      "the store was made with another kind of device than the configuration "
                      "names, or one of another name: set device.kind and device.name back");
    go_on(attempt);
}
