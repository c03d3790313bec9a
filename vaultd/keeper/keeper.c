// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/keeper.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/backup.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/permit.h"
#include "vaultd/keeper/replay.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/keeper/seen.h"
#include "vaultd/keeper/sweep.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/tenants.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

vlt_result keeper_new(struct event_base *base, struct keeper **ret_keeper) {
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    keeper->base = base;
    keeper->state = KEEPER_STARTING;
    keeper->change_count = keeper->authority_count = 1; // 0 means never checked
    keeper->started_ms = clock_elapsed_ms();
    keeper->datakeys = datakeys_new(keeper);
    keeper->seen = seen_new(SEEN_CAPACITY);
    keeper->tenants = tenants_new();
    keeper->replay = replay_new(REPLAY_CAPACITY);
    keeper->plaintext = secret_new(IPC_VALUE_MAX);
    if (!keeper->datakeys || !keeper->seen || !keeper->tenants || !keeper->replay ||
        !keeper->plaintext) {
        keeper_free(keeper);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    *ret_keeper = keeper;
    return vlt_ok();
}

bool keeper_free(struct keeper *keeper) {
    if (!keeper)
        return true;
    // What ends from here on must begin nothing new: its thread may be gone already.
    keeper->state = KEEPER_SEALED;
    // The channels are gone already; there is nobody to tell.
    keeper->auditor = NULL;
    memset(keeper->brokers, 0, sizeof keeper->brokers);
    memset(keeper->admins, 0, sizeof keeper->admins);
    memset(keeper->redeemers, 0, sizeof keeper->redeemers);
    if (keeper->epoch)
        epoch_forget(keeper); // what is committed from here on moves no counter
    // Threads first: what they finish still finds everything in its place.
    bool have_ended = devices_free(keeper);
    commit_queue_free(keeper->commits);
    rotations_done(keeper);
    unseal_done(keeper);
    sweep_done(keeper);
    epoch_done(keeper);
    EVP_PKEY_free(keeper->recover_key);
    backup_end(keeper);
    audit_forget(keeper);
    datakeys_free(keeper->datakeys);
    system_keys_free(keeper->keys);
    seen_free(keeper->seen);
    tenants_free(keeper->tenants);
    replay_free(keeper->replay);
    secret_free(keeper->plaintext);
    store_close(keeper->store);
    free(keeper);
    return have_ended;
}

// ---- Settings ----

vlt_result keeper_configure(struct keeper *keeper, struct bytes frame, bool is_first,
                            struct fault *fault) {
    struct keeper_settings next;
    VLT_TRY(keeper_settings_decode(frame, fault, &next));
    if (!is_first)
        VLT_TRY(keeper_settings_check_reload(&keeper->settings, &next, fault));
    bool is_new_issuer = strcmp(keeper->settings.issuer, next.issuer) != 0;
    keeper->settings = next;
    log_set_level((enum log_level)next.log_level);
    if (is_first)
        return vlt_ok();
    // Tokens of another issuer are not ours any more.
    if (is_new_issuer)
        seen_clear(keeper->seen);
    if (keeper->devices)
        VLT_TRY(devices_reconfigure(keeper));
    log_notice("new settings are in use");
    if (keeper->devices && keeper->state == KEEPER_UNSEALED)
        devices_open(keeper);
    // The reason for which the vault is sealed may be what was changed.
    if (keeper->state == KEEPER_SEALED && !keeper->is_sealed_by_hand)
        unseal_begin(keeper);
    return vlt_ok();
}

vlt_result keeper_start(struct keeper *keeper) {
    VLT_TRY(devices_new(keeper));
    VLT_TRY(commit_queue_new(keeper->base, &keeper->commits));
    VLT_TRY(unseal_new(keeper));
    VLT_TRY(sweep_new(keeper));
    VLT_TRY(rotations_new(keeper));
    VLT_TRY(epoch_new(keeper));
    unseal_at_start(keeper);
    return vlt_ok();
}

// ---- State ----

void keeper_set_state(struct keeper *keeper, enum keeper_state state, const char *why) {
    struct fault text = {0};
    // Cut to fit; the result only carries the text through.
    vlt_result cut = fault_set(&text, VLT_UNAVAILABLE, "", "%s", why ? why : "");
    (void)cut;
    memcpy(keeper->why, text.text, sizeof keeper->why);
    keeper->state = state;
    if (keeper->why[0])
        log_warning("%s: %s", keeper_state_name(state), keeper->why);
    else
        log_notice("%s", keeper_state_name(state));
    if (keeper->ready)
        keeper->ready(keeper->why[0] ? keeper->why : keeper_state_name(state),
                      keeper->hook_context);
}

bool keeper_permits(unsigned states, void *context) {
    const struct keeper *keeper = context;
    return permit_states(states, keeper->state);
}

void keeper_drain(struct keeper *keeper) {
    keeper->is_draining = true;
    rotations_stop(keeper);
    if (keeper->commits)
        commit_queue_stop_scrub(keeper->commits);
}

bool keeper_is_idle(const struct keeper *keeper) {
    return keeper->in_flight == 0 && (!keeper->commits || !commit_queue_pending(keeper->commits));
}

// ---- Peers ----

static struct channel **peer_place(struct keeper *keeper, enum ipc_role role, unsigned number) {
    if (role == IPC_AUDITOR)
        return &keeper->auditor;
    if (number >= KEEPER_PEERS_MAX)
        return NULL;
    switch (role) {
    case IPC_BROKER:
        return &keeper->brokers[number];
    case IPC_ADMIN:
        return &keeper->admins[number];
    case IPC_REDEEMER:
        return &keeper->redeemers[number];
    default:
        return NULL;
    }
}

void keeper_set_peer(struct keeper *keeper, enum ipc_role role, unsigned number,
                     struct channel *channel) {
    struct channel **place = peer_place(keeper, role, number);
    if (place)
        *place = channel;
    if (role == IPC_AUDITOR && channel) {
        audit_untold(keeper);
        unseal_record(keeper);
    }
}

static void tell_all(struct channel *const *channels, const struct tell_generation *tell) {
    for (size_t i = 0; i < KEEPER_PEERS_MAX; i++)
        if (channels[i])
            tell_generation(channels[i], tell, -1);
}

static void tell_peers(struct keeper *keeper, const struct tell_generation *tell) {
    tell_all(keeper->brokers, tell);
    tell_all(keeper->admins, tell);
    tell_all(keeper->redeemers, tell);
}

void keeper_end_reuse(struct keeper *keeper) {
    const struct tell_generation anything = {.kind = 0};
    tell_peers(keeper, &anything);
}

void keeper_committed(struct keeper *keeper, const struct store_change *changes, size_t count,
                      uint64_t revision) {
    struct tell_generation tell = {
        .revision = revision, .tenant = changes[0].tenant, .kind = (uint8_t)changes[0].class};
    bool ends_authority = false;
    for (size_t i = 0; i < count; i++) {
        enum store_class class = changes[i].class;
        if (scrub_is_wish(&changes[i]))
            continue;
        if (class != changes[0].class)
            tell.kind = 0;
        ends_authority |=
            class == STORE_TENANT || class == STORE_REVOKED_TOKEN || class == STORE_REVOKED_RULE;
    }
    keeper->change_count++;
    if (ends_authority)
        keeper->authority_count++;
    epoch_touch(keeper, changes, count);
    tell_peers(keeper, &tell);
}

void keeper_commit_failed(struct keeper *keeper, vlt_result result) {
    log_warning("a commit failed: %s", result.reason);
    if (commit_queue_is_broken(keeper->commits) && keeper->failed)
        keeper->failed(result.reason, keeper->hook_context);
}

// ---- Calls ----

void keeper_asked(struct ipc_call *call, unsigned message, struct bytes frame, void *context) {
    static answer_fn *const answers[IPC_MESSAGE_COUNT] = {
        [IPC_ASK_sign] = answer_sign,
        [IPC_ASK_open] = answer_open,
        [IPC_ASK_revoke_token] = answer_revoke_token,
        [IPC_ASK_revoke_rule] = answer_revoke_rule,
        [IPC_ASK_commit] = answer_commit,
        [IPC_ASK_credential_put] = answer_credential_put,
        [IPC_ASK_job_next] = answer_job_next,
        [IPC_ASK_job_open] = answer_job_open,
        [IPC_ASK_job_report] = answer_job_report,
        [IPC_ASK_job_minted] = answer_job_minted,
        [IPC_ASK_job_order] = answer_job_order,
        [IPC_ASK_credential_step] = answer_credential_step,
        [IPC_ASK_credential_state] = answer_credential_state,
        [IPC_ASK_tenant_create] = answer_tenant_create,
        [IPC_ASK_status] = answer_status,
        [IPC_ASK_serving] = answer_serving,
        [IPC_ASK_init] = answer_init,
        [IPC_ASK_seal] = answer_seal,
        [IPC_ASK_rotate] = answer_rotate,
        [IPC_ASK_key_list] = answer_key_list,
        [IPC_ASK_key_destroy] = answer_key_destroy,
        [IPC_ASK_credential_rollback] = answer_credential_rollback,
        [IPC_ASK_sign_checkpoint] = answer_sign_checkpoint,
        [IPC_ASK_recovery_key] = answer_recovery_key,
        [IPC_ASK_recover] = answer_recover,
        [IPC_ASK_backup_begin] = answer_backup_begin,
        [IPC_ASK_backup_next] = answer_backup_next,
        [IPC_ASK_attest] = answer_attest,
        [IPC_ASK_boot_show] = answer_boot_show,
        [IPC_ASK_boot_approve] = answer_boot_approve,
        [IPC_ASK_device_list] = answer_device_list,
        [IPC_ASK_device_change] = answer_device_change,
    };
    struct keeper *keeper = context;
    struct channel *channel = ipc_call_channel(call);
    if (!channel) { // parked, and its peer died meanwhile: nobody to answer
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, "the peer is gone"));
        return;
    }
    vlt_result result = permit_ask(message, channel_peer(channel), keeper->state);
    if (!vlt_is_ok(result))
        reply_failure(call, result);
    else if (!answers[message])
        reply_failure(call, vlt_fail(VLT_BUG, "the keeper has no answer to this message"));
    else
        answers[message](keeper, call, frame);
}
