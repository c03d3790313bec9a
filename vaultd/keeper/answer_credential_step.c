// SPDX-License-Identifier: Apache-2.0
// A staged version goes on: found to work, then in use in one commit, or
// destroyed. Until its promotion no token opens it.
#include "libvault/base/clock.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/credential_step.h"
#include "vaultd/keeper/job.h"

// ---- The edges ----

vlt_result credential_step_verify(struct credential_there *there) {
    if (!there->record.staged_version)
        return vlt_fail(VLT_CONFLICT, "no version of the credential is staged");
    there->record.verified_at = clock_now_s();
    return vlt_ok();
}

static void add_removal(uint32_t tenant, struct bytes name, uint32_t version,
                        struct change *change) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    if (version)
        change_add_removal(change, tenant, STORE_CREDENTIAL_SECRET,
                           record_credential_secret_name(name, version, room), STORE_ANY_REVISION);
}

vlt_result credential_step_promote(struct keeper *keeper, uint32_t tenant, uint32_t grace_s,
                                   struct credential_there *there, struct change *change) {
    struct record_credential *record = &there->record;
    struct bytes value, name = bytes_of_text(record->name);
    uint8_t room[RECORD_SECRET_NAME_MAX];
    struct record_credential_secret secret;
    int64_t now_s = clock_now_s();
    if (!record->staged_version)
        return vlt_fail(VLT_CONFLICT, "no version of the credential is staged");
    if (!record->verified_at)
        return vlt_fail(VLT_CONFLICT, "the staged version is not verified: verify it first");
    if (grace_s > CREDENTIAL_GRACE_MAX_S)
        return vlt_fail(VLT_LIMIT, "a grace of more than 30 days");
    VLT_TRY(store_get(keeper->store, tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(name, record->staged_version, room), &value,
                      NULL));
    VLT_TRY(record_credential_secret_get(value, &secret));
    VLT_TRY(credential_there_take(there, &secret));
    add_removal(tenant, name, record->previous_version, change);
    record->previous_version = record->version;
    record->previous_until = now_s + grace_s;
    record->version = record->staged_version;
    record->rotated_at = now_s;
    record->staged_version = 0;
    record->staged_at = record->verified_at = 0;
    return vlt_ok();
}

vlt_result credential_step_abandon(uint32_t tenant, struct credential_there *there,
                                   struct change *change) {
    struct record_credential *record = &there->record;
    if (!record->staged_version)
        return vlt_fail(VLT_CONFLICT, "no version of the credential is staged");
    add_removal(tenant, bytes_of_text(record->name), record->staged_version, change);
    record->staged_version = 0;
    record->staged_at = record->verified_at = 0;
    return vlt_ok();
}

// ---- The call ----

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_credential_step answer = {.version = change->number, .revision = revision};
    reply_credential_step(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static vlt_result step(struct keeper *keeper, const struct ask_credential_step *ask,
                       struct credential_there *there, struct change *change) {
    change->number = change->event.version = there->record.staged_version;
    switch (ask->step) {
    case CREDENTIAL_VERIFIED:
        return credential_step_verify(there);
    case CREDENTIAL_PROMOTE:
        return credential_step_promote(keeper, ask->tenant, ask->grace_s, there, change);
    default:
        return credential_step_abandon(ask->tenant, there, change);
    }
}

static vlt_result fill(struct keeper *keeper, const struct ask_credential_step *ask,
                       struct change *change) {
    struct credential_there there;
    VLT_TRY(credential_there_read(keeper, ask->tenant, ask->name, ask->expected_revision, &there));
    vlt_result result = step(keeper, ask, &there, change);
    if (vlt_is_ok(result))
        result = credential_there_add(&there, ask->tenant, change);
    if (vlt_is_ok(result))
        result = job_stepped(keeper, ask->tenant, ask->name, ask->step, change);
    credential_there_done(&there);
    return result;
}

void answer_credential_step(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_credential_step ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_credential_step_decode(frame, &ask)) || ask.step == 0 ||
        ask.step >= CREDENTIAL_STEP_COUNT ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_credential_step");
        return;
    }
    event.credential = ask.name;
    struct change *change = change_new(keeper, call, &event, answered);
    if (!change) {
        audit_refuse(keeper, call, &event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = fill(keeper, &ask, change);
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}
