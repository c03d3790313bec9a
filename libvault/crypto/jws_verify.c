// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/jwk_members.h"
#include "libvault/crypto/jws_scheme.h"

static bool key_fits(enum jws_alg alg, const struct jwk *key) {
    const struct jws_scheme *scheme = jws_scheme_of(alg);
    if (key->use == JWK_USE_ENC || (key->has_alg && key->jws_alg != alg))
        return false;
    switch (scheme->family) {
    case JWS_PKCS1:
    case JWS_PSS:
        return key->kty == JWK_RSA;
    case JWS_ECDSA:
    case JWS_EDWARDS:
        return key->curve == scheme->curve;
    case JWS_HMAC: // RFC 7518 section 3.2: a key as long as the digest, at least
        return key->kty == JWK_OCT && secret_size(key->oct) >= digest_size(scheme->digest);
    case JWS_NO_FAMILY:
        break;
    }
    return false;
}

static bool hmac_fits(const struct jws_scheme *scheme, const struct jwk *key, struct bytes input,
                      struct bytes signature) {
    uint8_t mac[DIGEST_SIZE_MAX];
    vlt_result result = hmac_with_key(scheme->digest, secret_borrow(key->oct),
                                      secret_size(key->oct), &input, 1, mac);
    secret_release(key->oct);
    bool fits = vlt_is_ok(result) &&
                secret_equal(bytes_of(mac, digest_size(scheme->digest)), signature);
    secret_cleanse(mac, sizeof mac); // the right MAC of a forged token is a secret
    return fits;
}

// Ed25519 takes the whole message, not a digest.
static bool edwards_fits(EVP_PKEY *pkey, struct bytes input, struct bytes signature) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool fits = context &&
                EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, pkey, NULL) == 1 &&
                EVP_DigestVerify(context, signature.at, signature.size, input.at, input.size) == 1;
    EVP_MD_CTX_free(context);
    return fits;
}

static bool verify_with(EVP_PKEY_CTX *context, const struct jws_scheme *scheme,
                        struct bytes signature, const uint8_t *digest) {
    return context && EVP_PKEY_verify(context, signature.at, signature.size, digest,
                                      digest_size(scheme->digest)) == 1;
}

static bool digest_fits_once(const struct jws_scheme *scheme, struct jwk *key,
                             struct bytes signature, const uint8_t *digest) {
    EVP_PKEY_CTX *own = jws_context_new(scheme, key->pkey, false);
    bool fits = verify_with(own, scheme, signature, digest);
    EVP_PKEY_CTX_free(own);
    return fits;
}

// The context kept with the key when nobody else uses it, else one of our own.
static bool digest_fits(const struct jws_scheme *scheme, struct jwk *key, struct bytes signature,
                        const uint8_t *digest) {
    struct jwk_contexts *contexts = key->contexts;
    enum jws_alg alg = jws_alg_of_scheme(scheme);
    if (alg == JWS_ALG_UNKNOWN || pthread_mutex_trylock(&contexts->lock) != 0)
        return digest_fits_once(scheme, key, signature, digest);
    if (!contexts->verify[alg])
        contexts->verify[alg] = jws_context_new(scheme, key->pkey, false);
    bool fits = verify_with(contexts->verify[alg], scheme, signature, digest);
    pthread_mutex_unlock(&contexts->lock);
    return fits;
}

bool jws_scheme_fits(const struct jws_scheme *scheme, struct jwk *key, struct bytes input,
                     struct bytes signature) {
    if (scheme->family == JWS_HMAC)
        return hmac_fits(scheme, key, input, signature);
    if (scheme->family == JWS_EDWARDS)
        return edwards_fits(key->pkey, input, signature);
    uint8_t digest[DIGEST_SIZE_MAX], der[JWS_ECDSA_DER_MAX];
    if (!vlt_is_ok(digest_parts(scheme->digest, &input, 1, digest)))
        return false;
    if (scheme->family == JWS_ECDSA) {
        size_t size = 0; // OpenSSL checks that r and s are in 1…n-1
        if (!jws_ecdsa_to_der(scheme->curve, signature, der, &size))
            return false;
        return digest_fits(scheme, key, bytes_of(der, size), digest);
    }
    // OpenSSL would take a PSS signature with its leading zero octets cut off.
    if (signature.size != (size_t)EVP_PKEY_get_size(key->pkey))
        return false;
    return digest_fits(scheme, key, signature, digest);
}

vlt_result jws_verify_signature(enum jws_alg alg, struct jwk *key, struct bytes signing_input,
                                struct bytes signature) {
    if (alg == JWS_ALG_UNKNOWN || !key_fits(alg, key))
        return vlt_fail(VLT_CRYPTO, "the key does not fit the algorithm");
    if (!jws_scheme_fits(jws_scheme_of(alg), key, signing_input, signature))
        return algorithms_failed(VLT_CRYPTO, "the signature is wrong");
    return vlt_ok();
}

vlt_result jws_verify(const struct jws_parts *parts, unsigned allowed_algs, struct jwk *key) {
    if (!(allowed_algs & JWS_BIT(parts->alg)))
        return vlt_fail(VLT_CRYPTO, "the algorithm is not allowed here");
    return jws_verify_signature(parts->alg, key, parts->signing_input, parts->signature);
}

bool jws_set_serves(const struct jwk_set *set, unsigned algs) {
    for (size_t i = 0; i < set->count; i++)
        for (enum jws_alg alg = JWS_ALG_UNKNOWN + 1; alg < JWS_ALG_COUNT; alg++)
            if ((algs & JWS_BIT(alg)) && key_fits(alg, set->keys[i]))
                return true;
    return false;
}
