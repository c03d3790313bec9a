// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/crypto: what each signature algorithm is made of.
#ifndef VLT_CRYPTO_JWS_SCHEME_H
#define VLT_CRYPTO_JWS_SCHEME_H

#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/jws.h"

enum jws_family { JWS_NO_FAMILY, JWS_PKCS1, JWS_PSS, JWS_ECDSA, JWS_EDWARDS, JWS_HMAC };

struct jws_scheme {
    enum jws_family family;
    enum digest_kind digest;
    enum jwk_curve curve; // ECDSA and EdDSA
};
const struct jws_scheme *jws_scheme_of(enum jws_alg alg);
// JWS_ALG_UNKNOWN for a scheme that is not one of jws_scheme_of.
enum jws_alg jws_alg_of_scheme(const struct jws_scheme *scheme);

// A context of the key, set up for the scheme; NULL when OpenSSL refuses.
EVP_PKEY_CTX *jws_context_new(const struct jws_scheme *scheme, EVP_PKEY *pkey, bool signs);

// One verification by a scheme that need not be JOSE's (test vectors pair curves
// and digests freely); jws_verify_signature comes down to the same code. The key
// is of the right kind.
bool jws_scheme_fits(const struct jws_scheme *scheme, struct jwk *key, struct bytes input,
                     struct bytes signature);

// ECDSA signatures: JOSE's r‖s (RFC 7518 section 3.4) and X9.62's DER.
#define JWS_ECDSA_DER_MAX 144
// false unless raw has exactly the width of the curve.
bool jws_ecdsa_to_der(enum jwk_curve curve, struct bytes raw, uint8_t der[JWS_ECDSA_DER_MAX],
                      size_t *ret_size);
bool jws_ecdsa_of_der(enum jwk_curve curve, struct bytes der, uint8_t *raw, size_t *ret_size);

#endif
