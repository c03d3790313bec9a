// SPDX-License-Identifier: Apache-2.0
// A redeemer asks for a credential. The gate decides; the decision is recorded;
// only then is the credential decrypted, straight into the answer. It exists in
// the clear for as long as that takes and no longer.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/ipc/reasons.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/gate.h"

struct opening {
    struct audit_wait wait;
    struct ipc_call *call;
    struct seen_token *token; // held
    uint64_t change_count;    // when the gate decided
    uint32_t tenant, version;
    int64_t expires_at;
    size_t name_bytes;
    uint8_t name[IPC_NAME_MAX];
    size_t event_bytes;
    uint8_t event[]; // for the rare case that it is refused after all
};

// Name and event are kept for what comes after the record.
static struct opening *opening_new(struct bytes name, const struct audit_event *event) {
    static uint8_t room[AUDIT_EVENT_BYTES_MAX]; // one loop, one thread: zeroed once
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, event);
    struct opening *opening = w.failed ? NULL : malloc(sizeof *opening + w.size);
    if (!opening)
        return NULL;
    memcpy(opening->name, name.at, name.size);
    opening->name_bytes = name.size;
    memcpy(opening->event, room, w.size);
    opening->event_bytes = w.size;
    return opening;
}

static void opening_free(struct opening *opening) {
    seen_release(opening->token);
    free(opening);
}

// ---- After the record is durable ----

// Something was committed since the gate decided: does the decision still stand?
// Without this a revocation that returned just now would not yet bind.
static vlt_result decide_again(struct keeper *keeper, const struct opening *opening,
                               int64_t now_s) {
    struct token_claims claims;
    VLT_TRY(
        token_claims_get(bytes_of(opening->token->claims, opening->token->claims_bytes), &claims));
    VLT_TRY(gate_authority(keeper, opening->token, &claims));
    return gate_credential(keeper, opening->tenant, bytes_of(opening->name, opening->name_bytes),
                           now_s, opening->version);
}

static vlt_result decrypt(struct keeper *keeper, const struct opening *opening,
                          struct record_credential_secret *secret) {
    static uint8_t context[RECORD_CREDENTIAL_CONTEXT_MAX]; // one loop, one thread: zeroed once
    uint8_t room[RECORD_SECRET_NAME_MAX];
    struct bytes value, name = bytes_of(opening->name, opening->name_bytes);
    VLT_TRY(store_get(keeper->store, opening->tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(name, opening->version, room), &value, NULL));
    VLT_TRY(record_credential_secret_get(value, secret));
    struct wire_writer w;
    wire_writer_init(&w, context, sizeof context);
    record_credential_context(&w, opening->tenant, name, opening->version, secret);
    const struct xaes_key *key = datakey_find(keeper->datakeys, opening->tenant, secret->data_key);
    if (!key || w.failed)
        return vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant is not there any more");
    return xaes_open(key, secret->nonce.at, bytes_of(context, w.size), secret->ciphertext,
                     keeper->plaintext);
}

static void reply(struct keeper *keeper, struct opening *opening,
                  const struct record_credential_secret *secret) {
    struct answer_open answer = {
        .value = bytes_of(secret_borrow(keeper->plaintext), secret_size(keeper->plaintext)),
        .profile = secret->profile,
        .hosts = secret->hosts,
        .parameters = secret->parameters,
        .version = opening->version,
        .reuse_until = (uint64_t)opening->expires_at,
        .sequence = opening->wait.sequence};
    reply_open(opening->call, vlt_ok(), &answer);
    secret_release(keeper->plaintext);
    secret_wipe(keeper->plaintext);
}

static void refuse_after_all(struct keeper *keeper, struct opening *opening, vlt_result why) {
    struct audit_event event;
    if (vlt_is_ok(audit_event_get(bytes_of(opening->event, opening->event_bytes), &event)))
        audit_refuse(keeper, opening->call, &event, why);
    else
        reply_failure(opening->call, why);
}

static vlt_result release_now(struct keeper *keeper, struct opening *opening,
                              struct record_credential_secret *secret) {
    int64_t now_s = clock_now_s();
    if (now_s >= opening->expires_at)
        return vlt_fail(VLT_DENIED, REASON_TOKEN_EXPIRED);
    if (opening->change_count != keeper->change_count)
        VLT_TRY(decide_again(keeper, opening, now_s));
    return decrypt(keeper, opening, secret);
}

static void recorded(struct audit_wait *wait, vlt_result result) {
    struct opening *opening = (struct opening *)wait;
    struct keeper *keeper = wait->keeper;
    struct record_credential_secret secret;
    if (vlt_is_ok(result) && keeper->state != KEEPER_UNSEALED)
        result = vlt_fail(VLT_UNAVAILABLE, "the vault is sealed");
    if (vlt_is_ok(result))
        result = store_snapshot_begin(keeper->store);
    if (!vlt_is_ok(result)) {
        reply_open(opening->call, result, &(struct answer_open){.sequence = wait->sequence});
    } else {
        result = release_now(keeper, opening, &secret);
        if (vlt_is_ok(result))
            reply(keeper, opening, &secret); // its views end with the snapshot
        store_snapshot_end(keeper->store);
        if (!vlt_is_ok(result))
            refuse_after_all(keeper, opening, result);
    }
    opening_free(opening);
}

// ---- Deciding ----

static void begin(struct keeper *keeper, struct ipc_call *call, const struct ask_open *ask,
                  struct gate_pass *pass, struct audit_event *event) {
    struct opening *opening = opening_new(ask->credential, event);
    if (!opening) {
        audit_refuse(keeper, call, event, vlt_fail(VLT_UNAVAILABLE, "no memory for a call"));
        return;
    }
    opening->wait.done = recorded;
    opening->call = call;
    opening->token = seen_hold(pass->token);
    opening->change_count = keeper->change_count;
    opening->tenant = pass->tenant;
    opening->version = pass->version;
    opening->expires_at = pass->claims.expires_at;
    audit_first_encoded(keeper, bytes_of(opening->event, opening->event_bytes), &opening->wait);
}

// True when the call waits for its data key: it will be asked again.
static bool parks(struct keeper *keeper, struct ipc_call *call, struct bytes frame,
                  const struct gate_pass *pass, vlt_result *result) {
    if (datakey_find(keeper->datakeys, pass->tenant, pass->data_key))
        return false;
    *result =
        datakey_park(keeper->datakeys, pass->tenant, pass->data_key, call, IPC_ASK_open, frame);
    return vlt_is_ok(*result);
}

void answer_open(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_open ask;
    struct audit_event event;
    struct gate_pass pass;
    if (!vlt_is_ok(ask_open_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_REDEEM, &event))) {
        ipc_call_refuse(call, "a malformed ask_open");
        return;
    }
    int64_t now_s = clock_now_s();
    vlt_result result = store_snapshot_begin(keeper->store);
    if (!vlt_is_ok(result)) {
        audit_refuse(keeper, call, &event, result);
        return;
    }
    bool is_parked = false;
    result = gate_permit(keeper, &ask, now_s, &pass);
    if (vlt_is_ok(result))
        is_parked = parks(keeper, call, frame, &pass, &result);
    store_snapshot_end(keeper->store);
    if (vlt_is_ok(result) && !is_parked)
        result = gate_use_proof(keeper, &ask, &pass.claims, now_s);
    if (!is_parked) {
        if (pass.token)
            gate_describe(&pass.claims, &event);
        event.credential = ask.credential;
        event.version = pass.version;
        // What was asked for is what the keeper judged, not what the event says.
        event.method = ask.method;
        event.host = ask.host;
        event.path = ask.path;
        event.model = ask.model;
        event.tool = ask.tool;
        event.max_tokens = ask.max_tokens;
        if (vlt_is_ok(result))
            begin(keeper, call, &ask, &pass, &event);
        else
            audit_refuse(keeper, call, &event, result);
    }
    gate_pass_done(&pass);
}
