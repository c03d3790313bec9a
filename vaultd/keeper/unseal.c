// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/unseal.h"

#include "libvault/base/clock.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/gate.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/seen.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/tenants.h"
#include "vaultd/log/log.h"

#define RETRY_FIRST_S 1
#define RETRY_LAST_S 60

// ---- Unsealed ----

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

// ---- Another try ----

void unseal_wait_for(struct keeper *keeper, struct unseal_wait *wait) {
    wait->next = keeper->unseal_waits;
    keeper->unseal_waits = wait;
}

void unseal_retry_later(struct keeper *keeper) {
    struct timeval wait = {.tv_sec = keeper->retry_s};
    keeper->retry_s = keeper->retry_s * 2 < RETRY_LAST_S ? keeper->retry_s * 2 : RETRY_LAST_S;
    event_add(keeper->retry, &wait);
}

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

// ---- Start ----

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
        // Whoever was keeper in this second may have dated tokens to the next one.
        gate_note_issued(keeper, clock_now_s() + 1);
        // Not announced yet: the device usually answers within a second.
        keeper->state = KEEPER_SEALED;
        unseal_begin(keeper);
    }
}

// ---- Sealed ----

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
    keeper_end_reuse(keeper);
    devices_close(keeper);
}
