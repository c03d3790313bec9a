// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/pkey.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/jwk_members.h"

vlt_result pkey_generate(enum pkey_kind kind, EVP_PKEY **ret_pkey) {
    EVP_PKEY *pkey = kind == PKEY_P256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                                       : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pkey)
        return algorithms_failed(VLT_UNAVAILABLE, "key generation failed");
    *ret_pkey = pkey;
    return vlt_ok();
}

static bool scalar_of(const EVP_PKEY *pkey, uint8_t *out) {
    BIGNUM *scalar = NULL;
    bool done = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1 &&
                BN_bn2binpad(scalar, out, PKEY_PRIVATE_SIZE) == PKEY_PRIVATE_SIZE;
    BN_clear_free(scalar);
    return done;
}

vlt_result pkey_to_secret(const EVP_PKEY *pkey, struct secret *private_key) {
    if (secret_capacity(private_key) < PKEY_PRIVATE_SIZE)
        return vlt_fail(VLT_LIMIT, "secret is too short for a private key");
    size_t size = PKEY_PRIVATE_SIZE;
    secret_wipe(private_key);
    uint8_t *room = secret_borrow_room(private_key);
    bool done = EVP_PKEY_is_a(pkey, "ED25519")
                    ? EVP_PKEY_get_raw_private_key(pkey, room, &size) == 1
                    : scalar_of(pkey, room);
    secret_release_sized(private_key, PKEY_PRIVATE_SIZE);
    if (done)
        return vlt_ok();
    secret_wipe(private_key);
    return algorithms_failed(VLT_BUG, "not a private key of ours");
}

static EVP_PKEY *p256_of_scalar(const uint8_t *octets) {
    uint8_t encoded[65];
    EVP_PKEY *pkey = NULL;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    BIGNUM *scalar = BN_bin2bn(octets, PKEY_PRIVATE_SIZE, NULL);
    if (point && scalar && !BN_is_zero(scalar) &&
        BN_cmp(scalar, EC_GROUP_get0_order(group)) < 0) {
        BN_set_flags(scalar, BN_FLG_CONSTTIME);
        if (EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) == 1 &&
            EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded,
                               sizeof encoded, NULL) == sizeof encoded)
            pkey = jwk_ec_pkey(JWK_P256, encoded + 1, encoded + 33, scalar);
    }
    BN_clear_free(scalar);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return pkey;
}

vlt_result pkey_of_secret(enum pkey_kind kind, const struct secret *private_key,
                          EVP_PKEY **ret_pkey) {
    if (secret_size(private_key) != PKEY_PRIVATE_SIZE)
        return vlt_fail(VLT_CRYPTO, "a private key has 32 bytes");
    const uint8_t *octets = secret_borrow(private_key);
    EVP_PKEY *pkey = kind == PKEY_P256
                         ? p256_of_scalar(octets)
                         : EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, octets,
                                                           PKEY_PRIVATE_SIZE);
    secret_release(private_key);
    if (!pkey)
        return algorithms_failed(VLT_CRYPTO, "private key is out of range");
    *ret_pkey = pkey;
    return vlt_ok();
}

vlt_result pkey_ed25519_public(const EVP_PKEY *pkey, uint8_t ret_public[32]) {
    uint8_t octets[32];
    size_t size = sizeof octets;
    if (!EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_get_raw_public_key(pkey, octets, &size) != 1)
        return algorithms_failed(VLT_BUG, "not an Ed25519 key");
    memcpy(ret_public, octets, sizeof octets);
    return vlt_ok();
}

vlt_result pkey_p256_public(const uint8_t x[32], const uint8_t y[32], EVP_PKEY **ret_pkey) {
    EVP_PKEY *pkey = jwk_ec_pkey(JWK_P256, x, y, NULL);
    if (!pkey)
        return algorithms_failed(VLT_CRYPTO, "the point is not on the curve");
    *ret_pkey = pkey;
    return vlt_ok();
}

static EVP_PKEY *rsa_of(const BIGNUM *n, const BIGNUM *e) {
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;
    bool is_built = builder && context &&
                    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
                    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
                    (params = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
                    EVP_PKEY_fromdata_init(context) == 1;
    if (is_built && EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

vlt_result pkey_rsa_public(struct bytes modulus, uint32_t exponent, EVP_PKEY **ret_pkey) {
    BIGNUM *n = BN_bin2bn(modulus.at, (int)modulus.size, NULL), *e = BN_new();
    int bits = n ? BN_num_bits(n) : 0;
    bool is_sound = n && e && bits >= 2048 && bits <= 4096 && BN_is_odd(n) && exponent >= 65537 &&
                    exponent % 2 == 1 && !jwk_rsa_has_roca_fingerprint(n);
    EVP_PKEY *pkey = is_sound && BN_set_word(e, exponent) == 1 ? rsa_of(n, e) : NULL;
    BN_free(n);
    BN_free(e);
    if (!pkey)
        return algorithms_failed(VLT_DENIED, "the RSA key is not one of 2048 to 4096 sound bits");
    *ret_pkey = pkey;
    return vlt_ok();
}
