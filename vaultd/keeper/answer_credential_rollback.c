// SPDX-License-Identifier: Apache-2.0
// Back to the value before the last rotation, while it still exists. It becomes a
// new version: numbers only grow, and what was destroyed never comes back.
#include "libvault/base/clock.h"
#include "libvault/crypto/random.h"
#include "vaultd/ipc/credential_change.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/credential_there.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/job.h"

struct rollback {
    struct credential_there there;
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
    VLT_TRY(credential_there_read(keeper, ask->tenant, ask->name, ask->expected_revision,
                                  &back->there));
    const struct record_credential_state *state = &back->there.state;
    if (state->previous_version == 0)
        return vlt_fail(VLT_CONFLICT, "there is no previous version of the credential");
    // A version whose grace is over may be swept at any moment: it counts as gone.
    if (state->previous_until <= (uint64_t)clock_now_s())
        return vlt_fail(VLT_CONFLICT, "the previous version of the credential is destroyed");
    VLT_TRY(store_get(keeper->store, ask->tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(ask->name, state->previous_version, room),
                      &value, NULL));
    return record_credential_secret_get(value, &back->secret);
}

// ---- What it becomes ----

static vlt_result describe(const struct ask_credential_rollback *ask, struct rollback *back) {
    struct record_credential *record = &back->there.record;
    VLT_TRY(credential_there_take(&back->there, &back->secret));
    uint32_t newest = record_credential_newest(record);
    if (newest == UINT32_MAX || ask->grace_s > CREDENTIAL_GRACE_MAX_S)
        return vlt_fail(VLT_LIMIT, "too many versions, or a grace of more than 30 days");
    int64_t now_s = clock_now_s();
    record->previous_version = record->version;
    record->version = newest + 1;
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
    record_credential_context(&w, ask->tenant, ask->name, back->there.state.previous_version,
                              &back->secret);
    VLT_TRY(xaes_open(old, back->secret.nonce.at, bytes_of(context, w.size),
                      back->secret.ciphertext, keeper->plaintext));
    next.data_key = back->data_key;
    wire_writer_init(&w, context, sizeof context);
    record_credential_context(&w, ask->tenant, ask->name, back->there.record.version, &next);
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
               record_credential_secret_name(ask->name, back->there.record.version, room),
               bytes_of(value, w.size), 0);
    return vlt_ok();
}

static vlt_result fill(struct keeper *keeper, const struct ask_credential_rollback *ask,
                       struct rollback *back, struct change *change) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    change->context = datakey_use_begin(keeper, ask->tenant, back->data_key);
    if (!change->context)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(describe(ask, back));
    VLT_TRY(add_value(keeper, ask, back, change));
    VLT_TRY(credential_there_add(&back->there, ask->tenant, change));
    VLT_TRY(job_rolled_back(keeper, ask->tenant, &back->there.record, change));
    // The older copy of the value that is in use again.
    change_add_removal(
        change, ask->tenant, STORE_CREDENTIAL_SECRET,
        record_credential_secret_name(ask->name, back->there.state.previous_version, room),
        STORE_ANY_REVISION);
    change->number = change->event.version = back->there.record.version;
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
    credential_there_done(&back.there);
}
