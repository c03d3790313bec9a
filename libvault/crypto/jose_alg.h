// SPDX-License-Identifier: Apache-2.0
// Names of JOSE algorithms (RFC 7518, RFC 8037). Matching is exact: "es256" is
// not an algorithm, and "none" is not one either.
#ifndef VLT_CRYPTO_JOSE_ALG_H
#define VLT_CRYPTO_JOSE_ALG_H

#include "libvault/base/bytes.h"

enum jws_alg {
    JWS_ALG_UNKNOWN, // not one of ours, "none" in any spelling
    JWS_RS256,
    JWS_RS384,
    JWS_RS512,
    JWS_PS256,
    JWS_PS384,
    JWS_PS512,
    JWS_ES256,
    JWS_ES384,
    JWS_ES512,
    JWS_EDDSA,
    JWS_HS256, // test vectors only: never in the allow-list of an issuer
    JWS_HS384,
    JWS_HS512,
    JWS_ALG_COUNT
};

// A set of algorithms: JWS_BIT(JWS_RS256) | JWS_BIT(JWS_ES256).
#define JWS_BIT(alg) (1u << (alg))
// What an issuer or a DPoP proof may use.
#define JWS_ASYMMETRIC (JWS_BIT(JWS_HS256) - JWS_BIT(JWS_RS256))

const char *jws_alg_name(enum jws_alg alg); // "" for JWS_ALG_UNKNOWN
enum jws_alg jws_alg_of_name(struct bytes name);

enum jwe_alg { // key management
    JWE_ALG_UNKNOWN,
    JWE_DIR,
    JWE_A128KW,
    JWE_A192KW,
    JWE_A256KW,
    JWE_A128GCMKW,
    JWE_A192GCMKW,
    JWE_A256GCMKW,
    JWE_ECDH_ES,
    JWE_ECDH_ES_A128KW,
    JWE_ECDH_ES_A192KW,
    JWE_ECDH_ES_A256KW,
    JWE_RSA_OAEP,
    JWE_RSA_OAEP_256,
    JWE_ALG_COUNT
};
#define JWE_BIT(alg) (1u << (alg))
#define JWE_EVERY_ALG (JWE_BIT(JWE_ALG_COUNT) - JWE_BIT(JWE_DIR))
const char *jwe_alg_name(enum jwe_alg alg);
enum jwe_alg jwe_alg_of_name(struct bytes name);

enum jwe_enc { // content encryption
    JWE_ENC_UNKNOWN,
    JWE_A128GCM,
    JWE_A192GCM,
    JWE_A256GCM,
    JWE_A128CBC_HS256,
    JWE_A192CBC_HS384,
    JWE_A256CBC_HS512,
    JWE_ENC_COUNT
};
#define JWE_EVERY_ENC (JWE_BIT(JWE_ENC_COUNT) - JWE_BIT(JWE_A128GCM))
const char *jwe_enc_name(enum jwe_enc enc);
enum jwe_enc jwe_enc_of_name(struct bytes name);

#endif
