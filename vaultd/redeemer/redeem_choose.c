// SPDX-License-Identifier: Apache-2.0
// Which credential of the token serves this destination. The keeper looks again:
// this is for the choice, for the policies and for a good reason in the log.
#include "vaultd/redeemer/redeem.h"

#include "libvault/token/token_scope.h"

// Reads what is public of the credential's version in use.
static vlt_result read_credential(struct redeem *redeem, struct bytes name, struct record_credential_secret *ret) {
    struct store *store = redeem->redeemer->store;
    struct bytes value;
    struct record_credential_state state;
    uint8_t room[RECORD_NAME_MAX + 5];
    VLT_TRY(store_get(store, redeem->tenant, STORE_CREDENTIAL_STATE, name, &value, NULL));
    VLT_TRY(record_credential_state_get(value, &state));
    if (state.status != RECORD_CREDENTIAL_ACTIVE)
        return vlt_fail(VLT_DENIED, "the credential is disabled");
    VLT_TRY(store_get(store, redeem->tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(name, state.version, room), &value, NULL));
    return record_credential_secret_get(value, ret);
}

static vlt_result read_hosts(struct redeem *redeem, const struct record_credential_secret *secret) {
    struct wire_reader r;
    wire_reader_init(&r, secret->hosts);
    redeem->host_count = 0;
    while (r.next < r.size && !r.failed && redeem->host_count < RECORD_HOSTS_MAX)
        redeem->hosts[redeem->host_count++] = wire_get_bytes(&r, 255);
    return wire_reader_end(&r);
}

static bool serves(const struct redeem *redeem) {
    for (size_t i = 0; i < redeem->host_count; i++)
        if (bytes_equal_nocase(redeem->hosts[i], redeem->request.destination))
            return true;
    return false;
}

static vlt_result consider(struct redeem *redeem, const struct token_detail *detail) {
    struct record_credential_secret secret;
    VLT_TRY(read_credential(redeem, detail->credential, &secret));
    VLT_TRY(read_hosts(redeem, &secret));
    if (!serves(redeem))
        return vlt_fail(VLT_DENIED, "no credential of this token may be used at that host");
    const struct token_use use = {detail->credential, redeem->request.method, redeem->request.path,
                                  redeem->request.model, redeem->request.tool};
    if (!vlt_is_ok(token_covers(redeem->claims, &use, &redeem->detail)))
        return vlt_fail(VLT_DENIED, "the token does not cover this method, path, model or tool");
    if (!bytes_to_text(detail->credential, redeem->credential, sizeof redeem->credential) ||
        !bytes_to_text(secret.profile, redeem->profile, sizeof redeem->profile))
        return vlt_fail(VLT_BUG, "a credential's name is too long");
    return vlt_ok();
}

vlt_result redeem_choose(struct redeem *redeem) {
    vlt_result result = vlt_fail(VLT_DENIED, "the token covers no credential");
    for (size_t i = 0; i < redeem->claims->detail_count; i++) {
        result = consider(redeem, &redeem->claims->details[i]);
        if (vlt_is_ok(result))
            return result;
    }
    return result;
}
