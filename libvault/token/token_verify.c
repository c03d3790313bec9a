// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/token_verify.h"

#include "libvault/base/jsontext.h"
#include "libvault/token/claims_read.h"

// Clocks of two nodes may differ; a token dated later than that was not made by us.
#define AHEAD_MAX_S 60

static vlt_result check_authority(const struct token_claims *claims,
                                  const struct token_expectation *expected) {
    char issuer[TOKEN_ISSUER_SIZE];
    if (!token_issuer_text(expected->issuer_base, claims->tenant, issuer) ||
        !bytes_equal_text(claims->issuer, issuer))
        return vlt_fail(VLT_DENIED, "another issuer");
    if (!bytes_equal(claims->audience,
                     expected->audience.size ? expected->audience : claims->issuer))
        return vlt_fail(VLT_DENIED, "another audience");
    if (claims->expires_at <= expected->now_s)
        return vlt_fail(VLT_DENIED, "token expired");
    if (claims->issued_at > expected->now_s + AHEAD_MAX_S)
        return vlt_fail(VLT_DENIED, "token from the future");
    return vlt_ok();
}

static vlt_result verify_signature(const struct jws_parts *parts, const struct jwk_set *keys,
                                   char ret_kid[TOKEN_KID_SIZE]) {
    if (!jws_typ_is(parts, "at+jwt"))
        return vlt_fail(VLT_MALFORMED, "not an access token");
    if (!parts->has_kid || !parts->kid[0])
        return vlt_fail(VLT_MALFORMED, "no kid");
    struct jwk *key = jwk_set_find(keys, bytes_of_text(parts->kid));
    if (!key || !bytes_to_text(bytes_of_text(parts->kid), ret_kid, TOKEN_KID_SIZE))
        return vlt_fail(VLT_CRYPTO, "signed with an unknown key");
    return jws_verify(parts, JWS_BIT(JWS_ES256), key);
}

vlt_result token_verify(struct bytes token, const struct token_expectation *expected,
                        struct token_verified *ret_verified) {
    struct token_verified verified = {0};
    struct jws_parts parts;
    if (token.size > TOKEN_BYTES_MAX)
        return vlt_fail(VLT_LIMIT, "token too long");
    VLT_TRY(jws_split(token, 0, &parts));
    vlt_result result = verify_signature(&parts, expected->keys, verified.kid);
    if (vlt_is_ok(result))
        result = jsontext_parse(parts.payload, &jsontext_token_limits, NULL, &verified.root);
    if (vlt_is_ok(result))
        result = claims_read(verified.root, &verified.claims);
    if (vlt_is_ok(result))
        result = check_authority(&verified.claims, expected);
    jws_parts_done(&parts);
    if (vlt_is_ok(result))
        *ret_verified = verified;
    else
        json_decref(verified.root);
    return result;
}

void token_verified_done(struct token_verified *verified) {
    json_decref(verified->root);
    *verified = (struct token_verified){0};
}
