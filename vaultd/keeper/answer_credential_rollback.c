// SPDX-License-Identifier: Apache-2.0
// Back to the value before the last rotation, while it still exists. It becomes a
// new version: numbers only grow, and what was destroyed never comes back.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/random.h"
#include "libvault/store/record_credential.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"

#define GRACE_MAX_S (30 * 86400)

struct rollback {
    struct record_credential record; // owned
    struct record_credential_state state;
    uint64_t record_revision, state_revision;
    struct record_credential_secret secret; // of the previous version; of the snapshot
    uint32_t data_key;                      // that encrypts from now on
};

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    datakey_use_end(change->keeper, change->context);
    struct answer_credential_rollback answer = {.version = change->number, .revision = revision};
    reply_credential_rollback(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

// ---- What is there ----

static vlt_result find(struct keeper *keeper, const struct ask_credential_rollback *ask,
                       struct rollback *back) {
    struct bytes value;
    uint8_t room[RECORD_SECRET_NAME_MAX];
    vlt_result result = store_get(keeper->store, ask->tenant, STORE_CREDENTIAL, ask->name, &value,
                                  &back->record_revision);
    if (result.class == VLT_NOT_FOUND)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    VLT_TRY(result);
    VLT_TRY(record_credential_parse(value, NULL, &back->record));
    VLT_TRY(store_get(keeper->store, ask->tenant, STORE_CREDENTIAL_STATE, ask->name, &value,
                      &back->state_revision));
    VLT_TRY(record_credential_state_get(value, &back->state));
    if (back->state.status == RECORD_CREDENTIAL_DELETED)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    if (ask->expected_revision && ask->expected_revision != back->record_revision)
        return vlt_fail(VLT_CONFLICT, "the credential was changed by somebody else");
    if (back->state.previous_version == 0)
        return vlt_fail(VLT_CONFLICT, "there is no previous version of the credential");
    // A version whose grace is over may be swept at any moment: it counts as gone.
    if (back->state.previous_until <= (uint64_t)clock_now_s())
        return vlt_fail(VLT_CONFLICT, "the previous version of the credential is destroyed");
    VLT_TRY(store_get(keeper->store, ask->tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(ask->name, back->state.previous_version, room),
                      &value, NULL));
    return record_credential_secret_get(value, &back->secret);
}

// ---- What it becomes ----

// Profile, hosts and parameters belong to the value: they come back with it.
static vlt_result describe(const struct ask_credential_rollback *ask, struct rollback *back) {
    struct record_credential *record = &back->record;
    struct wire_reader r;
    json_t *parameters = NULL;
    if (!bytes_to_text(back->secret.profile, record->profile, sizeof record->profile))
        return vlt_fail(VLT_MALFORMED, "the previous version is damaged");
    wire_reader_init(&r, back->secret.hosts);
    record->host_count = 0;
    while (r.next < r.size && !r.failed && record->host_count < RECORD_HOSTS_MAX)
        wire_get_text(&r, record->hosts[record->host_count++], sizeof *record->hosts);
    VLT_TRY(wire_reader_end(&r));
    VLT_TRY(jsontext_parse(back->secret.parameters, &jsontext_token_limits, NULL, &parameters));
    json_decref(record->parameters);
    record->parameters = parameters;
    uint32_t newest = back->state.version; // always above the previous one
    if (newest == UINT32_MAX || ask->grace_s > GRACE_MAX_S)
        return vlt_fail(VLT_LIMIT, "too many versions, or a grace of more than 30 days");
    int64_t now_s = clock_now_s();
    record->version = newest + 1;
    record->previous_version = newest;
    record->previous_until = now_s + ask->grace_s;
    record->rotated_at = now_s;
    return vlt_ok();
}

static vlt_result add_value(struct keeper *keeper, const struct ask_credential_rollback *ask,
                            const struct rollback *back, struct change *change) {
    static uint8_t context[RECORD_CREDENTIAL_CONTEXT_MAX]; // one loop, one thread
    static uint8_t sealed[IPC_VALUE_MAX + XAES_TAG_SIZE];
    static uint8_t value[IPC_VALUE_MAX + RECORD_CREDENTIAL_CONTEXT_MAX + 64];
    uint8_t nonce[XAES_NONCE_SIZE], room[RECORD_SECRET_NAME_MAX];
    struct record_credential_secret next = back->secret;
    struct xaes_key *old = datakey_find(keeper->datakeys, ask->tenant, back->secret.data_key);
    struct xaes_key *new = datakey_find(keeper->datakeys, ask->tenant, back->data_key);
    struct wire_writer w;
    if (!old || !new || back->secret.ciphertext.size > sizeof sealed)
        return vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant is not there any more");
    wire_writer_init(&w, context, sizeof context);
    record_credential_context(&w, ask->tenant, ask->name, back->state.previous_version,
                              &back->secret);
    VLT_TRY(xaes_open(old, back->secret.nonce.at, bytes_of(context, w.size),
                      back->secret.ciphertext, keeper->plaintext));
    next.data_key = back->data_key;
    wire_writer_init(&w, context, sizeof context);
    record_credential_context(&w, ask->tenant, ask->name, back->record.version, &next);
    vlt_result result = random_bytes(nonce, sizeof nonce);
    size_t plaintext_bytes = secret_size(keeper->plaintext);
    if (vlt_is_ok(result))
        result = xaes_seal(new, nonce, bytes_of(context, w.size), secret_borrow(keeper->plaintext),
                           plaintext_bytes, sealed);
    secret_release(keeper->plaintext);
    secret_wipe(keeper->plaintext);
    VLT_TRY(result);
    next.nonce = bytes_of(nonce, sizeof nonce);
    next.ciphertext = bytes_of(sealed, plaintext_bytes + XAES_TAG_SIZE);
    wire_writer_init(&w, value, sizeof value);
    record_credential_secret_put(&w, &next);
    change_add(change, ask->tenant, STORE_CREDENTIAL_SECRET,
               record_credential_secret_name(ask->name, back->record.version, room),
               bytes_of(value, w.size), 0);
    return vlt_ok();
}

static void add_description(const struct ask_credential_rollback *ask, const struct rollback *back,
                            struct change *change) {
    const struct record_credential *record = &back->record;
    struct record_credential_state state = {.status = (uint8_t)record->status,
                                            .version = record->version,
                                            .previous_version = record->previous_version,
                                            .previous_until = (uint64_t)record->previous_until};
    uint8_t room[32];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_credential_state_put(&w, &state);
    change_add(change, ask->tenant, STORE_CREDENTIAL_STATE, ask->name, bytes_of(room, w.size),
               back->state_revision);
    json_t *json = record_credential_json(record);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    change->has_failed |= text == NULL;
    if (text)
        change_add(change, ask->tenant, STORE_CREDENTIAL, ask->name, bytes_of_text(text),
                   back->record_revision);
    free(text);
}

static vlt_result fill(struct keeper *keeper, const struct ask_credential_rollback *ask,
                       struct rollback *back, struct change *change) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    change->context = datakey_use_begin(keeper, ask->tenant, back->data_key);
    if (!change->context)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(describe(ask, back));
    VLT_TRY(add_value(keeper, ask, back, change));
    add_description(ask, back, change);
    // The older copy of the value that is in use again.
    change_add_removal(change, ask->tenant, STORE_CREDENTIAL_SECRET,
                       record_credential_secret_name(ask->name, back->state.previous_version, room),
                       STORE_ANY_REVISION);
    change->number = change->event.version = back->record.version;
    return vlt_ok();
}

// ---- The call ----

// Both keys must be there; the call waits for one at a time.
static vlt_result load_keys(struct keeper *keeper, const struct ask_credential_rollback *ask,
                            const struct rollback *back, struct ipc_call *call, struct bytes frame,
                            bool *ret_is_parked) {
    const uint32_t numbers[] = {back->secret.data_key, back->data_key};
    for (size_t i = 0; i < 2; i++)
        if (!datakey_find(keeper->datakeys, ask->tenant, numbers[i])) {
            VLT_TRY(datakey_park(keeper->datakeys, ask->tenant, numbers[i], call,
                                 IPC_ASK_credential_rollback, frame));
            *ret_is_parked = true;
            return vlt_ok();
        }
    return vlt_ok();
}

// Within the snapshot: the ciphertext is borrowed from it.
static void run(struct keeper *keeper, struct ipc_call *call,
                const struct ask_credential_rollback *ask, struct rollback *back,
                struct audit_event *event) {
    struct change *change = change_new(keeper, call, event, answered);
    if (!change) {
        audit_refuse(keeper, call, event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    vlt_result result = fill(keeper, ask, back, change);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}

void answer_credential_rollback(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_credential_rollback ask;
    struct audit_event event;
    struct rollback back = {.data_key = 0};
    if (!vlt_is_ok(ask_credential_rollback_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_credential_rollback");
        return;
    }
    event.credential = ask.name;
    bool is_parked = false;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (!vlt_is_ok(result)) {
        audit_refuse(keeper, call, &event, result);
        return;
    }
    result = find(keeper, &ask, &back);
    if (vlt_is_ok(result))
        result = datakey_active(keeper, ask.tenant, &back.data_key);
    if (vlt_is_ok(result))
        result = load_keys(keeper, &ask, &back, call, frame, &is_parked);
    if (vlt_is_ok(result) && !is_parked)
        run(keeper, call, &ask, &back, &event);
    else if (!is_parked)
        audit_refuse(keeper, call, &event, result);
    store_snapshot_end(keeper->store);
    record_credential_done(&back.record);
}
