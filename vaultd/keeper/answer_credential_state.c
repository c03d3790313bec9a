// SPDX-License-Identifier: Apache-2.0
// A credential is disabled, enabled again, or deleted. Deleting removes the
// ciphertext of every version; the record stays, so that no version number is
// ever used again.
#include <stdlib.h>

#include "libvault/store/record_credential.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/change.h"

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
    return store_each(keeper->store, ask->tenant, STORE_CREDENTIAL_SECRET, bytes_of(room, w.size),
                      bytes_of(NULL, 0), add_removal, change);
}

static void add_state(const struct ask_credential_state *ask, uint64_t revision,
                      struct record_credential_state *state, struct change *change) {
    uint8_t room[32];
    struct wire_writer w;
    state->status = ask->state;
    if (ask->state == RECORD_CREDENTIAL_DELETED) {
        state->previous_version = 0;
        state->previous_until = 0;
    }
    wire_writer_init(&w, room, sizeof room);
    record_credential_state_put(&w, state);
    change_add(change, ask->tenant, STORE_CREDENTIAL_STATE, ask->name, bytes_of(room, w.size),
               revision);
}

static vlt_result add_record(const struct ask_credential_state *ask, uint64_t revision,
                             struct record_credential *record, struct change *change) {
    record->status = (enum record_credential_status)ask->state;
    if (ask->state == RECORD_CREDENTIAL_DELETED) {
        record->previous_version = 0;
        record->previous_until = 0;
    }
    json_t *json = record_credential_json(record);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    change_add(change, ask->tenant, STORE_CREDENTIAL, ask->name, bytes_of_text(text), revision);
    free(text);
    return vlt_ok();
}

static vlt_result fill(struct keeper *keeper, const struct ask_credential_state *ask,
                       struct change *change) {
    struct bytes value;
    struct record_credential_state state;
    struct record_credential record;
    uint64_t record_revision, state_revision;
    if (ask->state < RECORD_CREDENTIAL_ACTIVE || ask->state > RECORD_CREDENTIAL_DELETED)
        return vlt_fail(VLT_MALFORMED, "there is no such state of a credential");
    VLT_TRY(store_get(keeper->store, ask->tenant, STORE_CREDENTIAL_STATE, ask->name, &value,
                      &state_revision));
    VLT_TRY(record_credential_state_get(value, &state));
    if (state.status == RECORD_CREDENTIAL_DELETED)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    change->event.version = state.version;
    VLT_TRY(store_get(keeper->store, ask->tenant, STORE_CREDENTIAL, ask->name, &value,
                      &record_revision));
    if (ask->expected_revision != 0 && ask->expected_revision != record_revision)
        return vlt_fail(VLT_CONFLICT, "the credential was changed by somebody else");
    VLT_TRY(record_credential_parse(value, NULL, &record));
    add_state(ask, state_revision, &state, change);
    vlt_result result = add_record(ask, record_revision, &record, change);
    record_credential_done(&record);
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
