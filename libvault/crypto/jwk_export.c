// SPDX-License-Identifier: Apache-2.0
#include <openssl/bn.h>
#include <openssl/core_names.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/jwk_members.h"

#define OCTETS_MAX 600

bool jwk_pkey_is_private(const EVP_PKEY *pkey) {
    size_t size = 0;
    if (EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_is_a(pkey, "X25519"))
        return EVP_PKEY_get_raw_private_key(pkey, NULL, &size) == 1;
    BIGNUM *d = NULL;
    const char *name =
        EVP_PKEY_is_a(pkey, "RSA") ? OSSL_PKEY_PARAM_RSA_D : OSSL_PKEY_PARAM_PRIV_KEY;
    bool found = EVP_PKEY_get_bn_param(pkey, name, &d) == 1;
    BN_clear_free(d);
    return found;
}

static bool set_octets(json_t *object, const char *name, const uint8_t *octets, size_t size) {
    char text[B64U_SIZE(OCTETS_MAX) + 1];
    b64u_encode_text(bytes_of(octets, size), text);
    return json_object_set_new(object, name, json_string(text)) == 0;
}

static bool set_number(json_t *object, const char *name, const EVP_PKEY *pkey, const char *param) {
    BIGNUM *number = NULL;
    uint8_t octets[OCTETS_MAX];
    bool done = EVP_PKEY_get_bn_param(pkey, param, &number) == 1 &&
                BN_num_bytes(number) <= OCTETS_MAX && BN_bn2bin(number, octets) > 0 &&
                set_octets(object, name, octets, (size_t)BN_num_bytes(number));
    BN_free(number);
    return done;
}

static bool set_point(json_t *object, const struct jwk *key) {
    uint8_t point[1 + 2 * 66];
    size_t size = jwk_coordinate_bytes(key->curve), got = 0;
    return EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                           &got) == 1 &&
           got == 1 + 2 * size && set_octets(object, "x", point + 1, size) &&
           set_octets(object, "y", point + 1 + size, size);
}

static bool set_raw(json_t *object, const struct jwk *key) {
    uint8_t octets[32];
    size_t size = sizeof octets;
    return EVP_PKEY_get_raw_public_key(key->pkey, octets, &size) == 1 &&
           set_octets(object, "x", octets, size);
}

// Only the members that identify the key (RFC 7638 section 3.2).
static bool set_required(json_t *object, const struct jwk *key) {
    static const char *const kty[] = {"RSA", "EC", "OKP"};
    if (json_object_set_new(object, "kty", json_string(kty[key->kty])) != 0)
        return false;
    if (key->kty == JWK_RSA)
        return set_number(object, "n", key->pkey, OSSL_PKEY_PARAM_RSA_N) &&
               set_number(object, "e", key->pkey, OSSL_PKEY_PARAM_RSA_E);
    if (json_object_set_new(object, "crv", json_string(jwk_curve_name(key->curve))) != 0)
        return false;
    return key->kty == JWK_EC ? set_point(object, key) : set_raw(object, key);
}

vlt_result jwk_export(const struct jwk *key, const char *alg, const char *use,
                      json_t **ret_object) {
    if (key->kty == JWK_OCT)
        return vlt_fail(VLT_BUG, "a symmetric key has no public part");
    json_t *object = json_object();
    bool done = object && set_required(object, key);
    if (done && key->has_kid)
        done = json_object_set_new(object, "kid", json_string(key->kid)) == 0;
    if (done && alg)
        done = json_object_set_new(object, "alg", json_string(alg)) == 0;
    if (done && use)
        done = json_object_set_new(object, "use", json_string(use)) == 0;
    if (!done) {
        json_decref(object);
        return algorithms_failed(VLT_BUG, "key does not export");
    }
    *ret_object = object;
    return vlt_ok();
}

// The same members as text, in lexical order. base64url and our own names need no
// escapes, so this is the canonical form without a tree: proofs of possession
// ask for it on every request.
static bool put_octets(struct buf *out, const char *name, const uint8_t *octets, size_t size) {
    buf_put_text(out, name);
    b64u_encode(bytes_of(octets, size), out);
    buf_put_byte(out, '"');
    return true;
}

static bool put_number(struct buf *out, const char *name, const EVP_PKEY *pkey, const char *param) {
    BIGNUM *number = NULL;
    uint8_t octets[OCTETS_MAX];
    bool done = EVP_PKEY_get_bn_param(pkey, param, &number) == 1 &&
                BN_num_bytes(number) <= OCTETS_MAX && BN_bn2bin(number, octets) > 0 &&
                put_octets(out, name, octets, (size_t)BN_num_bytes(number));
    BN_free(number);
    return done;
}

static bool put_required(struct buf *out, const struct jwk *key) {
    uint8_t octets[1 + 2 * 66];
    size_t size = jwk_coordinate_bytes(key->curve), got = sizeof octets;
    if (key->kty == JWK_RSA) {
        bool done = put_number(out, "{\"e\":\"", key->pkey, OSSL_PKEY_PARAM_RSA_E);
        buf_put_text(out, ",\"kty\":\"RSA\"");
        return done && put_number(out, ",\"n\":\"", key->pkey, OSSL_PKEY_PARAM_RSA_N);
    }
    buf_put_text(out, "{\"crv\":\"");
    buf_put_text(out, jwk_curve_name(key->curve));
    if (key->kty == JWK_OKP) {
        buf_put_text(out, "\",\"kty\":\"OKP\"");
        return EVP_PKEY_get_raw_public_key(key->pkey, octets, &got) == 1 &&
               put_octets(out, ",\"x\":\"", octets, got);
    }
    buf_put_text(out, "\",\"kty\":\"EC\"");
    return EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, octets,
                                           sizeof octets, &got) == 1 &&
           got == 1 + 2 * size && put_octets(out, ",\"x\":\"", octets + 1, size) &&
           put_octets(out, ",\"y\":\"", octets + 1 + size, size);
}

static vlt_result make_thumbprint(const struct jwk *key, uint8_t *thumbprint) {
    struct buf text;
    buf_init(&text, 2048);
    bool done = put_required(&text, key);
    buf_put_byte(&text, '}');
    vlt_result result = done && !buf_failed(&text)
                            ? digest_sha256(buf_bytes(&text), thumbprint)
                            : algorithms_failed(VLT_BUG, "key does not export");
    buf_done(&text);
    return result;
}

vlt_result jwk_thumbprint(const struct jwk *key, uint8_t ret_thumbprint[JWK_THUMBPRINT_SIZE]) {
    if (key->kty == JWK_OCT) // RFC 7638 section 7: it would give the key away to a guess
        return vlt_fail(VLT_BUG, "thumbprint of a symmetric key");
    struct jwk_contexts *made = key->contexts;
    vlt_result result = vlt_ok();
    pthread_mutex_lock(&made->lock);
    if (!made->has_thumbprint)
        result = make_thumbprint(key, made->thumbprint);
    made->has_thumbprint = vlt_is_ok(result);
    if (made->has_thumbprint)
        memcpy(ret_thumbprint, made->thumbprint, sizeof made->thumbprint);
    pthread_mutex_unlock(&made->lock);
    return result;
}

vlt_result jwk_thumbprint_text(const struct jwk *key, char ret_text[JWK_THUMBPRINT_TEXT_SIZE]) {
    uint8_t thumbprint[JWK_THUMBPRINT_SIZE];
    VLT_TRY(jwk_thumbprint(key, thumbprint));
    b64u_encode_text(bytes_of(thumbprint, sizeof thumbprint), ret_text);
    return vlt_ok();
}
