// SPDX-License-Identifier: Apache-2.0
// A broker asks for a token. What it may ask for is limited here, whatever the
// broker believes: lifetime, tenant, credentials, binding, fresh proof.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/crypto/random.h"
#include "libvault/store/record_credential.h"
#include "libvault/token/token_sign.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/gate.h"
#include "vaultd/keeper/replay.h"
#include "vaultd/keeper/sign_device.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/tenants.h"

#define JTI_ENTROPY_BYTES 16
#define JTI_SIZE 24 // 22 characters of base64url and a NUL

// A signed token that waits for its record to be durable.
struct signed_token {
    struct audit_wait wait;
    struct ipc_call *call;
    uint64_t expires_at;
    size_t token_bytes;
    uint8_t token[];
};

static void release(struct audit_wait *wait, vlt_result result) {
    struct signed_token *signed_token = (struct signed_token *)wait;
    // Sealed while the record was written: sealed means nothing leaves.
    if (vlt_is_ok(result) && wait->keeper->state != KEEPER_UNSEALED)
        result = vlt_fail(VLT_UNAVAILABLE, "the vault is sealed");
    struct answer_sign answer = {.sequence = wait->sequence}; // also of a refusal
    if (vlt_is_ok(result)) {
        answer.token = bytes_of(signed_token->token, signed_token->token_bytes);
        answer.expires_at = signed_token->expires_at;
    }
    reply_sign(signed_token->call, result, &answer);
    secret_cleanse(signed_token->token, signed_token->token_bytes);
    free(signed_token);
}

// ---- Limits ----

static vlt_result check_credentials(struct keeper *keeper, uint32_t tenant,
                                    const struct token_claims *claims) {
    for (size_t i = 0; i < claims->detail_count; i++) {
        struct bytes value;
        struct record_credential_state state;
        vlt_result result = store_get(keeper->store, tenant, STORE_CREDENTIAL_STATE,
                                      claims->details[i].credential, &value, NULL);
        if (result.class == VLT_NOT_FOUND)
            return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
        VLT_TRY(result);
        VLT_TRY(record_credential_state_get(value, &state));
        if (state.status != RECORD_CREDENTIAL_ACTIVE)
            return vlt_fail(VLT_DENIED, "the credential is not active");
    }
    return vlt_ok();
}

static vlt_result check_claims(struct keeper *keeper, const struct ask_sign *ask,
                               const struct token_claims *claims) {
    uint32_t tenant;
    if (ask->lifetime_s == 0 || ask->lifetime_s > keeper->settings.token_max_lifetime_s)
        return vlt_fail(VLT_DENIED, "the token would live longer than the keeper permits");
    if (claims->detail_count == 0)
        return vlt_fail(VLT_DENIED, "the token would be for no credential");
    VLT_TRY(tenants_check(keeper->tenants, keeper->store, keeper->authority_count, claims->tenant,
                          &tenant));
    if (tenant != ask->tenant)
        return vlt_fail(VLT_DENIED, "the tenant's name and number do not fit");
    return check_credentials(keeper, tenant, claims);
}

static vlt_result check_proof(struct keeper *keeper, const struct ask_sign *ask,
                              const struct token_claims *claims, int64_t now_s) {
    bool has_proof = !replay_id_is_none(ask->proof_id);
    if (claims->binding == TOKEN_BOUND_DPOP && !has_proof)
        return vlt_fail(VLT_DENIED, "a token for a key needs a proof of that key");
    return has_proof ? replay_check(keeper->replay, ask->proof_id, ask->proof_until, now_s)
                     : vlt_ok();
}

// ---- Signing ----

struct ours { // claims that are the keeper's to set, and room for their texts
    char issuer[TOKEN_ISSUER_SIZE];
    char id[JTI_SIZE];
};

static vlt_result set_ours(struct keeper *keeper, const struct ask_sign *ask, int64_t now_s,
                           struct ours *ours, struct token_claims *claims) {
    if (!token_issuer_text(bytes_of_text(keeper->settings.issuer), claims->tenant, ours->issuer))
        return vlt_fail(VLT_LIMIT, "the issuer's name is too long");
    VLT_TRY(random_text(JTI_ENTROPY_BYTES, ours->id));
    claims->issuer = bytes_of_text(ours->issuer);
    // Others may trust our keys, too: what we sign is for us and never for them.
    if (claims->audience.size && !bytes_equal(claims->audience, claims->issuer))
        return vlt_fail(VLT_DENIED, "the token would be for another audience");
    claims->audience = claims->issuer;
    claims->id = bytes_of_text(ours->id);
    claims->expires_at = now_s + ask->lifetime_s;
    claims->issued_at = gate_issue_time(keeper, now_s, claims->expires_at);
    gate_note_issued(keeper, claims->issued_at);
    return vlt_ok();
}

static struct signed_token *signed_token_new(struct ipc_call *call, struct bytes token,
                                             uint64_t expires_at) {
    struct signed_token *signed_token = malloc(sizeof *signed_token + token.size);
    if (!signed_token)
        return NULL;
    *signed_token = (struct signed_token){.wait = {.done = release},
                                          .call = call,
                                          .expires_at = expires_at,
                                          .token_bytes = token.size};
    memcpy(signed_token->token, token.at, token.size);
    return signed_token;
}

static vlt_result sign(struct keeper *keeper, const struct token_claims *claims,
                       struct ipc_call *call, struct signed_token **ret_signed) {
    struct buf token;
    buf_init(&token, TOKEN_BYTES_MAX);
    vlt_result result = token_sign(keeper->keys->signing, claims, &token);
    if (vlt_is_ok(result) && buf_failed(&token))
        result = vlt_fail(VLT_LIMIT, "the token is too large");
    struct signed_token *signed_token =
        vlt_is_ok(result)
            ? signed_token_new(call, buf_bytes(&token), (uint64_t)claims->expires_at)
            : NULL;
    if (vlt_is_ok(result) && !signed_token)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a token");
    if (vlt_is_ok(result))
        *ret_signed = signed_token;
    buf_done(&token);
    return result;
}

// The device has signed, or not.
static void signed_in_device(struct keeper *keeper, struct ipc_call *call, vlt_result result,
                             struct audit_event *event, struct bytes token, uint64_t expires_at) {
    struct signed_token *signed_token =
        vlt_is_ok(result) ? signed_token_new(call, token, expires_at) : NULL;
    if (vlt_is_ok(result) && !signed_token)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a token");
    if (vlt_is_ok(result))
        audit_first(keeper, event, &signed_token->wait);
    else
        audit_refuse(keeper, call, event, result);
}

// Signs and has it recorded, now or when the device has answered. Takes the call.
static void sign_and_answer(struct keeper *keeper, struct ipc_call *call,
                            const struct token_claims *claims, struct audit_event *event) {
    struct signed_token *signed_token = NULL;
    const struct system_signer *signer =
        system_keys_signer(keeper->keys, keeper->keys->signing->kid);
    vlt_result result = signer
                            ? sign_device(keeper, call, signer, claims, event, signed_in_device)
                            : sign(keeper, claims, call, &signed_token);
    if (!vlt_is_ok(result))
        audit_refuse(keeper, call, event, result);
    else if (!signer)
        audit_first(keeper, event, &signed_token->wait);
}

// Names joined by a space, as the audit record wants them.
static struct bytes join_credentials(const struct token_claims *claims, char *text,
                                     size_t capacity) {
    struct wire_writer w;
    wire_writer_init(&w, text, capacity);
    for (size_t i = 0; i < claims->detail_count; i++) {
        if (i > 0)
            wire_put_u8(&w, ' ');
        wire_put_raw(&w, claims->details[i].credential);
    }
    return bytes_of(text, w.size);
}

void answer_sign(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_sign ask;
    struct token_claims claims;
    struct audit_event event;
    if (!vlt_is_ok(ask_sign_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ISSUE, &event))) {
        ipc_call_refuse(call, "a malformed ask_sign");
        return;
    }
    // Claims hold what clients wrote: a text too long is theirs to hear about and
    // no reason to replace the broker.
    vlt_result result = token_claims_get(ask.claims, &claims);
    if (!vlt_is_ok(result)) {
        audit_refuse(keeper, call, &event, result);
        return;
    }
    char credentials[TOKEN_DETAILS_MAX * (RECORD_NAME_MAX + 1)];
    struct ours ours;
    int64_t now_s = clock_now_s();
    result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = check_claims(keeper, &ask, &claims);
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result))
        result = set_ours(keeper, &ask, now_s, &ours, &claims);
    if (vlt_is_ok(result))
        result = check_proof(keeper, &ask, &claims, now_s);
    gate_describe(&claims, &event);
    event.credential = join_credentials(&claims, credentials, sizeof credentials);
    if (vlt_is_ok(result))
        sign_and_answer(keeper, call, &claims, &event);
    else
        audit_refuse(keeper, call, &event, result);
}
