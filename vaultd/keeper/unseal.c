// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/boot.h"
#include "vaultd/keeper/unseal.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/seen.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/tenants.h"
#include "vaultd/log/log.h"

#define RETRY_FIRST_S 1
#define RETRY_LAST_S 60

// One try. Steps run one after the other, each begun by the end of the one before.
struct attempt {
    struct keeper *keeper;
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

static void retry_later(struct keeper *keeper) {
    struct timeval wait = {.tv_sec = keeper->retry_s};
    keeper->retry_s = keeper->retry_s * 2 < RETRY_LAST_S ? keeper->retry_s * 2 : RETRY_LAST_S;
    event_add(keeper->retry, &wait);
}

static void record_device_error(struct keeper *keeper, const char *why) {
    struct audit_event event = {.kind = AUDIT_DEVICE,
                                .outcome = AUDIT_ERROR,
                                .operation = BYTES_LITERAL("vault.unseal"),
                                .reason = bytes_of_text(why)};
    if (keeper->auditor)
        audit_later(keeper, &event);
}

void unseal_wait_for(struct keeper *keeper, struct unseal_wait *wait) {
    wait->next = keeper->unseal_waits;
    keeper->unseal_waits = wait;
}

static void attempt_end(struct attempt *attempt, vlt_result result) {
    struct keeper *keeper = attempt->keeper;
    struct unseal_wait *wait = keeper->unseal_waits;
    keeper->is_unsealing = false;
    keeper->unseal_waits = NULL;
    system_keys_free(attempt->keys);
    free(attempt);
    while (wait) {
        struct unseal_wait *next = wait->next;
        wait->done(wait, result);
        wait = next;
    }
}

static void attempt_failed(struct attempt *attempt, vlt_result result) {
    struct keeper *keeper = attempt->keeper;
    const char *why = fault_or_reason(&attempt->fault, result);
    // Say it once, not with every retry; and an administrator's word stands.
    if (!keeper->is_sealed_by_hand && strcmp(keeper->why, why) != 0) {
        record_device_error(keeper, why);
        keeper_set_state(keeper, KEEPER_SEALED, why);
    }
    if (!keeper->is_sealed_by_hand && is_worth_retrying(result.class))
        retry_later(keeper);
    attempt_end(attempt, result);
}

void unseal_finish(struct keeper *keeper, struct system_keys *keys) {
    keeper->keys = keys;
    keeper->retry_s = RETRY_FIRST_S;
    keeper->unsealed_at = clock_now_s();
    keeper->is_sealed_by_hand = false;
    event_del(keeper->retry);
    keeper_set_state(keeper, KEEPER_UNSEALED, NULL);
}

void unseal_record(struct keeper *keeper) {
    if (!keeper->has_unseal_to_record || !keeper->auditor)
        return;
    struct audit_event event = {.kind = AUDIT_VAULT,
                                .outcome = AUDIT_ALLOW,
                                .operation = BYTES_LITERAL("vault.unseal"),
                                .subject = bytes_of_text(keeper->device_description.label)};
    keeper->has_unseal_to_record = false;
    audit_later(keeper, &event);
}

static void attempt_succeeded(struct attempt *attempt) {
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
    attempt_end(attempt, vlt_ok());
}

// ---- Step 3: system data keys, then everything under them ----

static void unwrap_next(struct attempt *attempt);

static vlt_result load_keys(struct attempt *attempt) {
    struct keeper *keeper = attempt->keeper;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = system_keys_load(attempt->keys, keeper->store, &attempt->fault);
    store_snapshot_end(keeper->store);
    return result;
}

static void slot_unwrapped(struct device_call *call) {
    struct attempt *attempt = call->context;
    const struct system_slot *slot = &attempt->slots[attempt->next_slot];
    vlt_result result = call->result;
    attempt->fault = call->fault;
    if (vlt_is_ok(result))
        result =
            system_keys_add_datakey(attempt->keys, slot->number, call->secret, slot->is_active);
    if (!vlt_is_ok(result)) {
        attempt_failed(attempt, result);
        return;
    }
    attempt->next_slot++;
    unwrap_next(attempt);
}

// Step 4: is this the newest store that the device has seen?
static void epoch_checked(vlt_result result, const struct fault *fault, void *context) {
    struct attempt *attempt = context;
    attempt->fault = *fault;
    if (vlt_is_ok(result))
        attempt_succeeded(attempt);
    else
        attempt_failed(attempt, result);
}

static void unwrap_next(struct attempt *attempt) {
    if (attempt->next_slot == attempt->slot_count) {
        vlt_result result = load_keys(attempt);
        if (vlt_is_ok(result))
            epoch_check(attempt->keeper, attempt->keys, epoch_checked, attempt);
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
    device_submit(attempt->keeper->device, call);
}

// ---- Step 2: the device is open; which slots are for it? ----

struct slot_search {
    struct attempt *attempt;
    vlt_result result;
};

static bool take_slot(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct slot_search *search = context;
    struct attempt *attempt = search->attempt;
    struct record_datakey record;
    const struct record_slot *slot;
    search->result = record_datakey_get(value, &record);
    if (vlt_is_ok(search->result))
        search->result = datakey_slot(attempt->keeper, &record, &slot);
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

static vlt_result find_slots(struct attempt *attempt) {
    struct keeper *keeper = attempt->keeper;
    struct slot_search search = {.attempt = attempt, .result = vlt_ok()};
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_DATA_KEY,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), take_slot, &search);
    store_snapshot_end(keeper->store);
    if (vlt_is_ok(result))
        result = search.result;
    // Not one to retry: another try would find the same store and device.
    if (result.class == VLT_NOT_FOUND || (vlt_is_ok(result) && attempt->slot_count == 0))
        return fault_set(&attempt->fault, VLT_CONFLICT, "no slot for this device",
                         "the store holds no data key for this device: it was made with another "
                         "one");
    return result;
}

vlt_result unseal_note_keys(struct keeper *keeper, const struct hsm_key *keys, size_t count) {
    enum hsm_kind kind;
    uint32_t generation;
    keeper->device_id_count = 0;
    for (size_t i = 0; i < count; i++)
        VLT_TRY(hsm_key_facts(&keys[i], &kind, &generation, keeper->device_ids[i]));
    keeper->device_id_count = count;
    return vlt_ok();
}

static void device_opened(struct device_call *call) {
    struct attempt *attempt = call->context;
    struct keeper *keeper = attempt->keeper;
    vlt_result result = call->result;
    attempt->fault = call->fault;
    if (vlt_is_ok(result)) {
        keeper->device_description = call->description;
        keeper->is_device_known = true;
        result = unseal_note_keys(keeper, call->keys, call->key_count);
    }
    if (vlt_is_ok(result))
        result = find_slots(attempt);
    if (vlt_is_ok(result) && !(attempt->keys = system_keys_new()))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        unwrap_next(attempt);
    else
        attempt_failed(attempt, result);
}

// ---- Step 1: which wrapping keys does the store know? ----

struct key_search {
    struct keeper *keeper;
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
    // Keys of another kind of device are other slots' business.
    if (record.kind != (uint8_t)search->keeper->settings.device.kind ||
        record.key.size > HSM_KEY_MAX_BYTES || record.state == RECORD_WRAPPING_ENDING)
        return true;
    if (call->key_count == DEVICE_KEYS_MAX) {
        search->result = vlt_fail(VLT_LIMIT, "there are too many wrapping keys");
        return false;
    }
    struct hsm_key *key = &call->keys[call->key_count++];
    key->size = record.key.size;
    memcpy(key->at, record.key.at, record.key.size);
    return true;
}

static vlt_result find_keys(struct keeper *keeper, struct device_call *call, struct fault *fault) {
    struct key_search search = {.keeper = keeper, .call = call, .result = vlt_ok()};
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_DEVICE,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), take_key, &search);
    if (vlt_is_ok(result))
        result = boot_approvals_read(keeper, call);
    store_snapshot_end(keeper->store);
    if (vlt_is_ok(result))
        result = search.result;
    if (vlt_is_ok(result) && call->key_count == 0)
        return fault_set(fault, VLT_CONFLICT, "no wrapping key for this kind of device",
                         "the store was made with another kind of device than the configuration "
                         "names: set device.kind back");
    return result;
}

void unseal_begin(struct keeper *keeper) {
    if (keeper->is_unsealing || keeper->state != KEEPER_SEALED || !keeper->store)
        return;
    struct attempt *attempt = calloc(1, sizeof *attempt);
    struct device_call *call =
        attempt ? device_call_new(DEVICE_OPEN, device_opened, attempt) : NULL;
    if (!call) {
        free(attempt);
        log_error("no memory to unseal");
        retry_later(keeper);
        return;
    }
    keeper->is_unsealing = true;
    attempt->keeper = keeper;
    call->settings = keeper->settings.device;
    call->result = find_keys(keeper, call, &attempt->fault);
    if (vlt_is_ok(call->result)) {
        device_submit(keeper->device, call);
        return;
    }
    vlt_result result = call->result;
    device_call_free(call);
    attempt_failed(attempt, result);
}

// ---- Start and end ----

static void on_retry(evutil_socket_t fd, short what, void *context) {
    struct keeper *keeper = context;
    if (!keeper->is_sealed_by_hand)
        unseal_begin(keeper);
}

vlt_result unseal_new(struct keeper *keeper) {
    keeper->retry_s = RETRY_FIRST_S;
    keeper->retry = evtimer_new(keeper->base, on_retry, keeper);
    return keeper->retry ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

void unseal_done(struct keeper *keeper) {
    if (keeper->retry)
        event_free(keeper->retry);
    keeper->retry = NULL;
}

static bool note_any(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    *(bool *)context = true;
    return false;
}

// Everything that init makes is one commit: a wrapping key is there, or nothing is.
static vlt_result look_at_store(struct keeper *keeper, bool *ret_is_initialised) {
    bool is_there = false;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_DEVICE,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), note_any, &is_there);
    if (vlt_is_ok(result) && is_there)
        result = tenants_next(keeper->store, &keeper->next_tenant);
    store_snapshot_end(keeper->store);
    if (vlt_is_ok(result))
        *ret_is_initialised = is_there;
    return result;
}

void unseal_at_start(struct keeper *keeper) {
    struct fault fault = {0};
    bool is_made = false;
    vlt_result result =
        store_open(keeper->settings.store_path, STORE_WRITE, &fault, &keeper->store);
    if (vlt_is_ok(result)) {
        commit_queue_set_store(keeper->commits, keeper->store);
        result = look_at_store(keeper, &is_made);
    }
    if ((result.class == VLT_NOT_FOUND && !keeper->store) || (vlt_is_ok(result) && !is_made)) {
        keeper_set_state(keeper, KEEPER_UNINITIALISED, NULL);
    } else if (!vlt_is_ok(result)) {
        // No store, no unsealing: what is wrong needs a person and a restart.
        keeper_set_state(keeper, KEEPER_SEALED, fault_or_reason(&fault, result));
    } else {
        // Not announced yet: the device usually answers within a second.
        keeper->state = KEEPER_SEALED;
        unseal_begin(keeper);
    }
}

static void device_closed(struct device_call *call) {}

void unseal_undo(struct keeper *keeper, const char *why) {
    struct system_keys *keys = keeper->keys;
    keeper->keys = NULL;
    rotations_stop(keeper);
    event_del(keeper->retry);
    keeper_set_state(keeper, KEEPER_SEALED, why);
    epoch_forget(keeper);
    system_keys_free(keys);
    seen_clear(keeper->seen);
    datakeys_clear(keeper->datakeys);
    secret_wipe(keeper->plaintext);
    keeper->device_id_count = 0;
    keeper_end_reuse(keeper);
    struct device_call *call = device_call_new(DEVICE_CLOSE, device_closed, NULL);
    if (call)
        device_submit(keeper->device, call);
    else
        log_error("no memory to close the device");
}
