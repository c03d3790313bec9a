// SPDX-License-Identifier: Apache-2.0
#include "libvault/secret/secret.h"
#include "vaultd/ipc/reasons.h"
#include "vaultd/keeper/gate.h"

#include "libvault/crypto/digest.h"
#include "libvault/store/record_revocation.h"
#include "libvault/token/token_scope.h"
#include "libvault/token/token_verify.h"
#include "vaultd/keeper/replay.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/tenants.h"

// ---- The token ----

void gate_note_issued(struct keeper *keeper, int64_t issued_at) {
    if (issued_at > keeper->issued_until_s)
        keeper->issued_until_s = issued_at;
}

int64_t gate_issued_until(const struct keeper *keeper, int64_t now_s) {
    return now_s > keeper->issued_until_s ? now_s : keeper->issued_until_s;
}

void gate_rule_begins(struct keeper *keeper, int64_t now_s) {
    if (keeper->rules_under_way++ == 0 || now_s < keeper->rules_since_s)
        keeper->rules_since_s = now_s;
}

void gate_rule_reaches(struct keeper *keeper, int64_t until_s) {
    if (until_s > keeper->rules_until_s)
        keeper->rules_until_s = until_s;
}

void gate_rule_ended(struct keeper *keeper) { keeper->rules_under_way--; }

int64_t gate_issue_time(const struct keeper *keeper, int64_t now_s, int64_t expires_at) {
    if (keeper->rules_under_way)
        return keeper->rules_since_s < now_s ? keeper->rules_since_s : now_s;
    // A rule that is made from now on reaches as far: gate_note_issued.
    bool is_rounded_up = keeper->rules_until_s >= now_s && now_s + 1 < expires_at;
    return is_rounded_up ? now_s + 1 : now_s;
}

static vlt_result verify_new(struct keeper *keeper, struct bytes token, const uint8_t *key,
                             int64_t now_s, struct seen_token **ret_token) {
    struct token_expectation expected = {.keys = keeper->keys->token_keys,
                                         .issuer_base = bytes_of_text(keeper->settings.issuer),
                                         .now_s = now_s};
    struct token_verified verified;
    VLT_TRY(token_verify(token, &expected, &verified));
    gate_note_issued(keeper, verified.claims.issued_at);
    struct seen_token *seen = seen_add(keeper->seen, key, &verified.claims);
    token_verified_done(&verified);
    if (!seen)
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a token");
    seen->key_epoch = keeper->key_epoch;
    *ret_token = seen;
    return vlt_ok();
}

vlt_result gate_token(struct keeper *keeper, struct bytes token, int64_t now_s,
                      struct seen_token **ret_token, struct token_claims *ret_claims) {
    uint8_t key[SEEN_KEY_SIZE];
    VLT_TRY(digest_sha256(token, key));
    struct seen_token *seen = seen_find(keeper->seen, key);
    if (!seen)
        VLT_TRY(verify_new(keeper, token, key, now_s, &seen));
    VLT_TRY(token_claims_get(bytes_of(seen->claims, seen->claims_bytes), ret_claims));
    *ret_token = seen_hold(seen);
    if (now_s >= ret_claims->expires_at)
        return vlt_fail(VLT_DENIED, REASON_TOKEN_EXPIRED);
    return vlt_ok();
}

// ---- Who may still act ----

static void ask_about(struct record_revocation_query *query, uint32_t tenant,
                      const struct token_claims *claims) {
    *query = (struct record_revocation_query){.tenant = tenant,
                                              .jti = claims->id,
                                              .principal = claims->principal,
                                              .client = claims->client,
                                              .actor_count = claims->actor_count,
                                              .issued_at = claims->issued_at};
    for (size_t i = 0; i < claims->actor_count; i++)
        query->actors[i] = claims->actors[i].principal;
}

static vlt_result check_revoked(struct keeper *keeper, uint32_t tenant,
                                const struct token_claims *claims) {
    struct record_revocation_query query;
    bool is_revoked = false;
    ask_about(&query, tenant, claims);
    // A rule against a credential ends the whole token that names it.
    for (size_t i = 0; i < claims->detail_count && !is_revoked; i++) {
        query.credential = claims->details[i].credential;
        VLT_TRY(record_is_revoked(keeper->store, &query, &is_revoked));
        query.jti = query.principal = query.client = bytes_of(NULL, 0); // asked once
        query.actor_count = 0;
    }
    return is_revoked ? vlt_fail(VLT_DENIED, REASON_TOKEN_REVOKED) : vlt_ok();
}

vlt_result gate_authority(struct keeper *keeper, struct seen_token *token,
                          const struct token_claims *claims) {
    if (token->authority_count == keeper->authority_count)
        return vlt_ok();
    // It waited for its record while every token was ended.
    if (token->key_epoch != keeper->key_epoch)
        return vlt_fail(VLT_DENIED, REASON_TOKEN_REVOKED);
    uint32_t tenant;
    VLT_TRY(tenants_check(keeper->tenants, keeper->store, keeper->authority_count, claims->tenant,
                          &tenant));
    VLT_TRY(check_revoked(keeper, tenant, claims));
    token->tenant = tenant;
    token->authority_count = keeper->authority_count;
    return vlt_ok();
}

// ---- The proof ----

static vlt_result check_binding(const struct ask_open *ask, const struct token_claims *claims) {
    if (claims->binding == TOKEN_BEARER)
        return vlt_ok();
    if (ask->proof_kind != claims->binding)
        return vlt_fail(VLT_DENIED, "the token is bound to a key and that key was not proved");
    if (!secret_equal(bytes_of(ask->proof_key, sizeof ask->proof_key),
                     bytes_of(claims->thumbprint, sizeof claims->thumbprint)))
        return vlt_fail(VLT_DENIED, "the token is bound to another key");
    if (claims->binding == TOKEN_BOUND_DPOP && replay_id_is_none(ask->proof_id))
        return vlt_fail(VLT_DENIED, "the proof of possession has no identity");
    return vlt_ok();
}

vlt_result gate_use_proof(struct keeper *keeper, const struct ask_open *ask,
                          const struct token_claims *claims, int64_t now_s) {
    if (claims->binding != TOKEN_BOUND_DPOP)
        return vlt_ok();
    return replay_check(keeper->replay, ask->proof_id, ask->proof_until, now_s);
}

// ---- The credential ----

static vlt_result credential_state(struct keeper *keeper, uint32_t tenant, struct bytes name,
                                   struct record_credential_state *ret_state) {
    struct bytes value;
    vlt_result result =
        store_get(keeper->store, tenant, STORE_CREDENTIAL_STATE, name, &value, NULL);
    if (result.class == VLT_NOT_FOUND)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    VLT_TRY(result);
    VLT_TRY(record_credential_state_get(value, ret_state));
    if (ret_state->status == RECORD_CREDENTIAL_DELETED)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    if (ret_state->status != RECORD_CREDENTIAL_ACTIVE)
        return vlt_fail(VLT_DENIED, "the credential is disabled");
    return vlt_ok();
}

vlt_result gate_credential(struct keeper *keeper, uint32_t tenant, struct bytes name, int64_t now_s,
                           uint32_t version) {
    struct record_credential_state state;
    VLT_TRY(credential_state(keeper, tenant, name, &state));
    bool is_in_grace = version == state.previous_version && state.previous_until > (uint64_t)now_s;
    if (version != state.version && !is_in_grace)
        return vlt_fail(VLT_DENIED, "this version of the credential is not in use any more");
    return vlt_ok();
}

static vlt_result check_host(const struct record_credential_secret *secret, struct bytes host) {
    struct wire_reader r;
    wire_reader_init(&r, secret->hosts);
    while (r.next < r.size && !r.failed)
        if (bytes_equal(wire_get_bytes(&r, RECORD_HOST_MAX), host) && !r.failed)
            return vlt_ok();
    return vlt_fail(VLT_DENIED, "the credential is not for this host");
}

static vlt_result check_credential(struct keeper *keeper, const struct ask_open *ask,
                                   struct gate_pass *pass) {
    struct record_credential_state state;
    struct record_credential_secret secret;
    struct bytes value;
    uint8_t room[RECORD_SECRET_NAME_MAX];
    VLT_TRY(credential_state(keeper, pass->tenant, ask->credential, &state));
    pass->version = state.version;
    VLT_TRY(store_get(keeper->store, pass->tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(ask->credential, state.version, room), &value,
                      NULL));
    VLT_TRY(record_credential_secret_get(value, &secret));
    pass->data_key = secret.data_key;
    // What is compared here is authenticated when the record is decrypted.
    return check_host(&secret, ask->host);
}

// ---- All of it ----

static vlt_result permit(struct keeper *keeper, const struct ask_open *ask, int64_t now_s,
                         struct gate_pass *pass) {
    VLT_TRY(gate_token(keeper, ask->token, now_s, &pass->token, &pass->claims));
    VLT_TRY(gate_authority(keeper, pass->token, &pass->claims));
    pass->tenant = pass->token->tenant;
    VLT_TRY(check_binding(ask, &pass->claims));
    struct token_use use = {.credential = ask->credential,
                            .method = ask->method,
                            .path = ask->path,
                            .model = ask->model,
                            .tool = ask->tool,
                            .max_tokens = ask->max_tokens};
    VLT_TRY(token_covers(&pass->claims, &use, NULL));
    return check_credential(keeper, ask, pass);
}

vlt_result gate_permit(struct keeper *keeper, const struct ask_open *ask, int64_t now_s,
                       struct gate_pass *ret_pass) {
    ret_pass->token = NULL;
    ret_pass->version = 0;
    return permit(keeper, ask, now_s, ret_pass);
}

void gate_pass_done(struct gate_pass *pass) {
    seen_release(pass->token);
    pass->token = NULL;
}

void gate_describe(const struct token_claims *claims, struct audit_event *event) {
    event->tenant = claims->tenant;
    event->principal = claims->principal;
    event->actor = claims->actor_count ? claims->actors[0].principal : bytes_of(NULL, 0);
    event->client = claims->client;
    event->token_id = claims->id;
    // At a redeem the policies that decided are those in force then, which the
    // redeemer names; else those that the token was issued under.
    if (event->policy_set.size == 0)
        event->policy_set = claims->policy_set;
}
