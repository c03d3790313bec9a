// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/b64u.h"
#include "libvault/crypto/jwk_members.h"
#include "libvault/crypto/jws_scheme.h"

enum jws_alg jws_signing_alg(const struct jwk *key) {
    if (!key->is_private || key->use == JWK_USE_ENC)
        return JWS_ALG_UNKNOWN;
    switch (key->curve) {
    case JWK_P256:
        return JWS_ES256;
    case JWK_P384:
        return JWS_ES384;
    case JWK_P521:
        return JWS_ES512;
    case JWK_ED25519:
        return JWS_EDDSA;
    default:
        return key->kty == JWK_RSA ? JWS_RS256 : JWS_ALG_UNKNOWN;
    }
}

static bool sign_edwards(EVP_PKEY *pkey, struct bytes input, uint8_t *out, size_t *size) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context &&
                EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, pkey, NULL) == 1 &&
                EVP_DigestSign(context, out, size, input.at, input.size) == 1;
    EVP_MD_CTX_free(context);
    return done;
}

static bool sign_with(EVP_PKEY_CTX *context, const struct jws_scheme *scheme,
                      const uint8_t *digest, uint8_t *out, size_t *size) {
    return context &&
           EVP_PKEY_sign(context, out, size, digest, digest_size(scheme->digest)) == 1;
}

static bool sign_digest(struct jwk *key, const struct jws_scheme *scheme, const uint8_t *digest,
                        uint8_t *out, size_t *size) {
    struct jwk_contexts *contexts = key->contexts;
    if (pthread_mutex_trylock(&contexts->lock) != 0) {
        EVP_PKEY_CTX *own = jws_context_new(scheme, key->pkey, true);
        bool done = sign_with(own, scheme, digest, out, size);
        EVP_PKEY_CTX_free(own);
        return done;
    }
    if (!contexts->sign)
        contexts->sign = jws_context_new(scheme, key->pkey, true);
    bool done = sign_with(contexts->sign, scheme, digest, out, size);
    pthread_mutex_unlock(&contexts->lock);
    return done;
}

vlt_result jws_sign_raw(struct jwk *key, struct bytes signing_input,
                        uint8_t ret_signature[JWS_SIGNATURE_MAX], size_t *ret_size) {
    enum jws_alg alg = jws_signing_alg(key);
    if (alg == JWS_ALG_UNKNOWN)
        return vlt_fail(VLT_BUG, "the key can not sign");
    const struct jws_scheme *scheme = jws_scheme_of(alg);
    uint8_t digest[DIGEST_SIZE_MAX], made[JWS_SIGNATURE_MAX];
    size_t size = sizeof made;
    bool done;
    if (scheme->family == JWS_EDWARDS) {
        done = sign_edwards(key->pkey, signing_input, made, &size);
    } else {
        VLT_TRY(digest_parts(scheme->digest, &signing_input, 1, digest));
        done = sign_digest(key, scheme, digest, made, &size);
    }
    if (!done)
        return algorithms_failed(VLT_CRYPTO, "signing failed");
    if (scheme->family != JWS_ECDSA) {
        memcpy(ret_signature, made, size);
        *ret_size = size;
    } else if (!jws_ecdsa_of_der(scheme->curve, bytes_of(made, size), ret_signature, ret_size)) {
        return algorithms_failed(VLT_CRYPTO, "signing failed");
    }
    return vlt_ok();
}

vlt_result jws_sign(struct jwk *key, struct bytes header_json, struct bytes payload_json,
                    struct buf *out) {
    size_t start = out->size, size = 0;
    uint8_t signature[JWS_SIGNATURE_MAX];
    b64u_encode(header_json, out);
    buf_put_byte(out, '.');
    b64u_encode(payload_json, out);
    if (buf_failed(out))
        return vlt_fail(VLT_LIMIT, "token is too long");
    VLT_TRY(jws_sign_raw(key, bytes_from(buf_bytes(out), start), signature, &size));
    buf_put_byte(out, '.');
    b64u_encode(bytes_of(signature, size), out);
    return buf_failed(out) ? vlt_fail(VLT_LIMIT, "token is too long") : vlt_ok();
}
