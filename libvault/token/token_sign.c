// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/token_sign.h"

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"

static bool claims_are_complete(const struct token_claims *claims) {
    return claims->issuer.size && claims->audience.size && claims->tenant.size &&
           claims->id.size && claims->client.size && claims->issued_at > 0 &&
           claims->expires_at > claims->issued_at && claims->detail_count;
}

static vlt_result encode(struct bytes kid, const struct token_claims *claims, struct buf *out) {
    struct buf header, payload;
    buf_init(&header, 4 * JWK_KID_SIZE);
    buf_init(&payload, TOKEN_PAYLOAD_MAX);
    buf_put_text(&header, "{\"alg\":\"ES256\",\"kid\":");
    jsontext_put_string(&header, kid);
    buf_put_text(&header, ",\"typ\":\"at+jwt\"}");
    vlt_result result = token_claims_json(claims, &payload);
    if (vlt_is_ok(result) && buf_failed(&header))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result)) {
        b64u_encode(buf_bytes(&header), out);
        buf_put_byte(out, '.');
        b64u_encode(buf_bytes(&payload), out);
        if (buf_failed(out))
            result = vlt_fail(VLT_LIMIT, "the token is too large");
    }
    buf_done(&payload);
    buf_done(&header);
    return result;
}

vlt_result token_sign_begin(const struct jwk *key, const struct token_claims *claims,
                            struct buf *out) {
    if (!key->has_kid || key->curve != JWK_P256)
        return vlt_fail(VLT_BUG, "not a key that signs tokens");
    if (!claims_are_complete(claims))
        return vlt_fail(VLT_BUG, "a token lacks a claim");
    VLT_TRY(token_claims_check(claims));
    return encode(bytes_of_text(key->kid), claims, out);
}

vlt_result token_sign_end(const uint8_t signature[TOKEN_SIGNATURE_BYTES], struct buf *out) {
    buf_put_byte(out, '.');
    b64u_encode(bytes_of(signature, TOKEN_SIGNATURE_BYTES), out);
    if (buf_failed(out) || out->size > TOKEN_BYTES_MAX)
        return vlt_fail(VLT_LIMIT, "the token is too large");
    return vlt_ok();
}

vlt_result token_sign(struct jwk *key, const struct token_claims *claims, struct buf *out) {
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t begin = out->size, size = 0;
    if (jws_signing_alg(key) != JWS_ES256)
        return vlt_fail(VLT_BUG, "not a key that signs tokens");
    VLT_TRY(token_sign_begin(key, claims, out));
    VLT_TRY(jws_sign_raw(key, bytes_from(buf_bytes(out), begin), signature, &size));
    buf_put_byte(out, '.');
    b64u_encode(bytes_of(signature, size), out);
    if (buf_failed(out) || out->size - begin > TOKEN_BYTES_MAX)
        return vlt_fail(VLT_LIMIT, "the token is too large");
    return vlt_ok();
}
