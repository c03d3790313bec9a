// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/token_sign.h"

#include "libvault/base/jsontext.h"

static bool claims_are_complete(const struct token_claims *claims) {
    return claims->issuer.size && claims->audience.size && claims->tenant.size &&
           claims->id.size && claims->client.size && claims->issued_at > 0 &&
           claims->expires_at > claims->issued_at && claims->detail_count;
}

vlt_result token_sign(struct jwk *key, const struct token_claims *claims, struct buf *out) {
    struct buf header, payload;
    if (!key->has_kid || jws_signing_alg(key) != JWS_ES256)
        return vlt_fail(VLT_BUG, "not a key that signs tokens");
    if (!claims_are_complete(claims))
        return vlt_fail(VLT_BUG, "a token lacks a claim");
    VLT_TRY(token_claims_check(claims));
    buf_init(&header, 4 * JWK_KID_SIZE);
    buf_init(&payload, TOKEN_PAYLOAD_MAX);
    buf_put_text(&header, "{\"alg\":\"ES256\",\"kid\":");
    jsontext_put_string(&header, bytes_of_text(key->kid));
    buf_put_text(&header, ",\"typ\":\"at+jwt\"}");
    size_t begin = out->size;
    vlt_result result = token_claims_json(claims, &payload);
    if (vlt_is_ok(result) && buf_failed(&header))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = jws_sign(key, buf_bytes(&header), buf_bytes(&payload), out);
    if (vlt_is_ok(result) && out->size - begin > TOKEN_BYTES_MAX)
        result = vlt_fail(VLT_LIMIT, "the token is too large");
    buf_done(&payload);
    buf_done(&header);
    return result;
}
