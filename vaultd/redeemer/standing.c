// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/standing.h"

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_revocation.h"

static vlt_result check_tenant(struct redeemer *redeemer, const struct record_forwarder *forwarder,
                               struct bytes name, uint32_t *ret_number, const char **ret_why) {
    struct record_tenant tenant;
    if (!forwarder_serves(forwarder, name)) {
        *ret_why = "the forwarder does not serve this tenant any more";
        return vlt_ok();
    }
    vlt_result result = tenant_view_find(&redeemer->tenants, redeemer->store, name, &tenant);
    if (result.class == VLT_NOT_FOUND || (vlt_is_ok(result) && tenant.disabled)) {
        *ret_why = "the tenant is disabled";
        return vlt_ok();
    }
    VLT_TRY(result);
    *ret_number = tenant.number;
    return vlt_ok();
}

static vlt_result check_credential(struct store *store, uint32_t tenant, struct bytes name,
                                   const char **ret_why) {
    struct record_credential_state state;
    struct bytes value;
    vlt_result result = store_get(store, tenant, STORE_CREDENTIAL_STATE, name, &value, NULL);
    if (result.class == VLT_NOT_FOUND) {
        *ret_why = "the credential is deleted";
        return vlt_ok();
    }
    VLT_TRY(result);
    VLT_TRY(record_credential_state_get(value, &state));
    if (state.status == RECORD_CREDENTIAL_DELETED)
        *ret_why = "the credential is deleted";
    else if (state.status != RECORD_CREDENTIAL_ACTIVE)
        *ret_why = "the credential is disabled";
    return vlt_ok();
}

// As the keeper's gate: a rule against a credential ends the whole token.
static vlt_result check_revoked(struct store *store, uint32_t tenant, const struct grant *grant,
                                const char **ret_why) {
    struct record_revocation_query query = {.tenant = tenant,
                                            .jti = grant->id,
                                            .principal = grant->principal,
                                            .client = grant->client,
                                            .actor_count = grant->actor_count,
                                            .issued_at = grant->issued_at};
    bool is_revoked = false;
    for (size_t i = 0; i < grant->actor_count; i++)
        query.actors[i] = grant->actors[i];
    for (size_t i = 0; i < grant->credential_count && !is_revoked; i++) {
        query.credential = grant->credentials[i];
        VLT_TRY(record_is_revoked(store, &query, &is_revoked));
        query.jti = query.principal = query.client = bytes_of(NULL, 0); // asked once
        query.actor_count = 0;
    }
    if (is_revoked)
        *ret_why = "the token is revoked";
    return vlt_ok();
}

// Empty: the head names no key.
static vlt_result kid_of(struct bytes head, char kid[JWK_KID_SIZE]) {
    uint8_t room[TOKEN_BYTES_MAX];
    json_t *root = NULL;
    size_t size = 0;
    VLT_TRY(b64u_decode(head, room, sizeof room, &size));
    VLT_TRY(jsontext_parse(bytes_of(room, size), &jsontext_token_limits, NULL, &root));
    const char *text = json_string_value(json_object_get(root, "kid"));
    bool fits = text && bytes_to_text(bytes_of_text(text), kid, JWK_KID_SIZE);
    json_decref(root);
    return fits ? vlt_ok() : vlt_fail(VLT_MALFORMED, "a token's head without a key");
}

// The keys of an emergency are gone at once. Others go when no token of theirs is
// left, so that a key which is missing says nothing about a token that has expired.
static vlt_result check_keys(struct redeemer *redeemer, const struct grant *grant, int64_t now_s,
                             const char **ret_why) {
    static const char withdrawn[] = "the key that signed the token is withdrawn";
    char kid[JWK_KID_SIZE];
    int64_t ended_at = 0;
    VLT_TRY(record_tokens_ended_at(redeemer->store, &ended_at));
    if (grant->issued_at <= ended_at)
        *ret_why = withdrawn;
    if (*ret_why || now_s >= grant->expires_at)
        return vlt_ok();
    VLT_TRY(signing_keys_load(&redeemer->keys, redeemer->store));
    if (!vlt_is_ok(kid_of(grant->head, kid)) ||
        !jwk_set_find(redeemer->keys.set, bytes_of_text(kid)))
        *ret_why = withdrawn;
    return vlt_ok();
}

vlt_result standing_check(struct redeemer *redeemer, const struct record_forwarder *forwarder,
                          const struct grant *grant, int64_t now_s, const char **ret_why) {
    const char *why = NULL;
    uint32_t tenant = 0;
    VLT_TRY(check_tenant(redeemer, forwarder, grant->tenant, &tenant, &why));
    if (!why)
        VLT_TRY(check_credential(redeemer->store, tenant, grant->credential, &why));
    if (!why)
        VLT_TRY(check_revoked(redeemer->store, tenant, grant, &why));
    if (!why)
        VLT_TRY(check_keys(redeemer, grant, now_s, &why));
    *ret_why = why;
    return vlt_ok();
}
