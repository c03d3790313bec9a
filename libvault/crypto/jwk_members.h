// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/crypto: from the members of a JWK to OpenSSL's key.
#ifndef VLT_CRYPTO_JWK_MEMBERS_H
#define VLT_CRYPTO_JWK_MEMBERS_H

#include <pthread.h>

#include "libvault/crypto/jwk.h"

// What is made of a key on first use: OpenSSL contexts and its thumbprint. One thread
// at a time may use them: whoever does not get the lock makes a context for itself.
struct jwk_contexts {
    pthread_mutex_t lock;
    EVP_PKEY_CTX *verify[JWS_ALG_COUNT];
    EVP_PKEY_CTX *sign;
    bool has_thumbprint;
    uint8_t thumbprint[JWK_THUMBPRINT_SIZE];
};

// Each reads the members of its kty, with the private ones when key->is_private,
// and sets curve and pkey (or oct). VLT_NOT_FOUND: a curve that we do not know.
vlt_result jwk_build_rsa(const json_t *object, struct fault *fault, struct jwk *key) VLT_MUST_USE;
vlt_result jwk_build_ec(const json_t *object, struct fault *fault, struct jwk *key) VLT_MUST_USE;
vlt_result jwk_build_okp(const json_t *object, struct fault *fault, struct jwk *key) VLT_MUST_USE;
vlt_result jwk_build_oct(const json_t *object, struct fault *fault, struct jwk *key) VLT_MUST_USE;

// An EC key of its affine coordinates, each jwk_coordinate_bytes long, and of its
// private scalar (NULL: a public key). NULL when off the curve.
EVP_PKEY *jwk_ec_pkey(enum jwk_curve curve, const uint8_t *x, const uint8_t *y, const BIGNUM *d);
bool jwk_pkey_is_private(const EVP_PKEY *pkey);
size_t jwk_coordinate_bytes(enum jwk_curve curve); // 32, 48, 66
const char *jwk_curve_name(enum jwk_curve curve);  // "P-256", …

// Made by the library with the flaw of CVE-2017-15361 (ROCA)?
bool jwk_rsa_has_roca_fingerprint(const BIGNUM *n);
// Of small order, or y not reduced: one signature would fit many messages.
bool jwk_ed25519_is_weak(const uint8_t public_key[32]);

#endif
