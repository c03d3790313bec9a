// SPDX-License-Identifier: Apache-2.0
// A credential is disabled, enabled again, or deleted. Deleting removes the
// ciphertext of every version; the record stays, so that no version number is
// ever used again.
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/credential_there.h"

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_credential_state answer = {.revision = revision};
    reply_credential_state(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static bool add_removal(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct change *change = context;
    // Any revision: it may be re-encrypted meanwhile. Whether a version was added
    // is told by the revision of the state.
    change_add_removal(change, change->number, STORE_CREDENTIAL_SECRET, name, STORE_ANY_REVISION);
    return !change->has_failed;
}

static vlt_result add_removals(struct keeper *keeper, const struct ask_credential_state *ask,
                               struct change *change) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    wire_put_raw(&w, ask->name);
    wire_put_u8(&w, 0); // name, NUL: every version of this one and of no other
    change->number = ask->tenant;
    // A credential that gets this name later is rotated in no way that was meant for this one.
    change_add_removal(change, ask->tenant, STORE_ROTATION_PLAN, ask->name, STORE_ANY_REVISION);
    change_add_removal(change, ask->tenant, STORE_ROTATION_JOB, ask->name, STORE_ANY_REVISION);
    return store_each(keeper->store, ask->tenant, STORE_CREDENTIAL_SECRET, bytes_of(room, w.size),
                      bytes_of(NULL, 0), add_removal, change);
}

static void describe(const struct ask_credential_state *ask, struct record_credential *record) {
    record->status = (enum record_credential_status)ask->state;
    if (ask->state != RECORD_CREDENTIAL_DELETED)
        return;
    // The number of a version that was never in use counts, too.
    record->newest_version = record_credential_newest(record);
    record->previous_version = record->staged_version = 0;
    record->previous_until = record->staged_at = record->verified_at = 0;
}

static vlt_result fill(struct keeper *keeper, const struct ask_credential_state *ask,
                       struct change *change) {
    struct credential_there there;
    if (ask->state < RECORD_CREDENTIAL_ACTIVE || ask->state > RECORD_CREDENTIAL_DELETED)
        return vlt_fail(VLT_MALFORMED, "there is no such state of a credential");
    VLT_TRY(credential_there_read(keeper, ask->tenant, ask->name, ask->expected_revision, &there));
    change->event.version = there.state.version;
    describe(ask, &there.record);
    vlt_result result = credential_there_add(&there, ask->tenant, change);
    credential_there_done(&there);
    if (vlt_is_ok(result) && ask->state == RECORD_CREDENTIAL_DELETED)
        result = add_removals(keeper, ask, change);
    return result;
}

void answer_credential_state(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_credential_state ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_credential_state_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_credential_state");
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
