// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/standing.h"

#include "libvault/store/record_credential.h"
#include "libvault/store/record_revocation.h"

#define ENDING_TAKES_S 15 // at most: changes wait 10 s for their record

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

static vlt_result check_credential(struct store *store, uint32_t tenant,
                                   const struct grant *grant, const char **ret_why) {
    struct record_credential_state state;
    struct bytes value;
    vlt_result result =
        store_get(store, tenant, STORE_CREDENTIAL_STATE, grant->credential, &value, NULL);
    if (result.class == VLT_NOT_FOUND) {
        *ret_why = "the credential is deleted";
        return vlt_ok();
    }
    VLT_TRY(result);
    VLT_TRY(record_credential_state_get(value, &state));
    // One that was put since has the name and nothing else of it.
    if (state.status == RECORD_CREDENTIAL_DELETED ||
        (grant->created_at && grant->created_at != state.created_at))
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

// Emergency rotation of the keys that sign tokens: all that there were are gone. Any
// other way a key goes only when no token of its can be valid, which says nothing about
// what began with one: so the time counts, too. The old key signs until the change,
// which was given its time before its record was waited for, is in force.
static vlt_result check_keys(struct redeemer *redeemer, const struct grant *grant,
                             const char **ret_why) {
    int64_t ended_at = 0;
    VLT_TRY(record_tokens_ended_at(redeemer->store, &ended_at));
    if (ended_at == 0 || grant->issued_at > ended_at + ENDING_TAKES_S)
        return vlt_ok();
    VLT_TRY(signing_keys_load(&redeemer->keys, redeemer->store));
    if (!jwk_set_find(redeemer->keys.set, grant->kid))
        *ret_why = "the key that signed the token is withdrawn";
    return vlt_ok();
}

vlt_result standing_check(struct redeemer *redeemer, const struct record_forwarder *forwarder,
                          const struct grant *grant, const char **ret_why) {
    const char *why = NULL;
    uint32_t tenant = 0;
    VLT_TRY(check_tenant(redeemer, forwarder, grant->tenant, &tenant, &why));
    if (!why)
        VLT_TRY(check_credential(redeemer->store, tenant, grant, &why));
    if (!why)
        VLT_TRY(check_revoked(redeemer->store, tenant, grant, &why));
    if (!why)
        VLT_TRY(check_keys(redeemer, grant, &why));
    *ret_why = why;
    return vlt_ok();
}
