// SPDX-License-Identifier: Apache-2.0
// An administrator brings a value: a new credential, a new version that is in use
// at once, or one that waits for its promotion.
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/credential_put.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    datakey_use_end(change->keeper, change->context);
    struct answer_credential_put answer = {.version = change->number, .revision = revision};
    reply_credential_put(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void run(struct keeper *keeper, struct ipc_call *call, const struct ask_credential_put *ask,
                const struct credential_put *put, struct audit_event *event) {
    struct change *change = change_new(keeper, call, event, answered);
    if (!change) {
        audit_refuse(keeper, call, event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    vlt_result result = credential_put_fill(keeper, ask, put, change);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}

void answer_credential_put(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_credential_put ask;
    struct audit_event event;
    struct credential_put put = {.data_key = 0};
    if (!vlt_is_ok(ask_credential_put_decode(frame, &ask)) ||
        ask.mode >= CREDENTIAL_PUT_MODE_COUNT || ask.form >= CREDENTIAL_FORM_COUNT ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_credential_put");
        return;
    }
    event.credential = ask.name;
    bool is_parked = false;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = credential_put_prepare(keeper, &ask, &put);
        if (vlt_is_ok(result) && !datakey_find(keeper->datakeys, ask.tenant, put.data_key)) {
            result = datakey_park(keeper->datakeys, ask.tenant, put.data_key, call,
                                  IPC_ASK_credential_put, frame);
            is_parked = vlt_is_ok(result);
        }
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result) && !is_parked)
        run(keeper, call, &ask, &put, &event);
    else if (!is_parked)
        audit_refuse(keeper, call, &event, result);
    credential_put_done(&put);
}
