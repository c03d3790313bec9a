// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/jose_alg.h"

static const char *const jws_names[JWS_ALG_COUNT] = {
    "",      "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
};
static const char *const jwe_names[JWE_ALG_COUNT] = {
    "",        "dir",       "A128KW",    "A192KW",         "A256KW",         "A128GCMKW",
    "A192GCMKW", "A256GCMKW", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW",
    "RSA-OAEP", "RSA-OAEP-256",
};
static const char *const enc_names[JWE_ENC_COUNT] = {
    "", "A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512",
};

// 0, the unknown one, when no name is the same.
static unsigned find(const char *const *names, unsigned count, struct bytes name) {
    for (unsigned i = 1; i < count; i++)
        if (bytes_equal_text(name, names[i]))
            return i;
    return 0;
}

const char *jws_alg_name(enum jws_alg alg) { return jws_names[alg]; }
const char *jwe_alg_name(enum jwe_alg alg) { return jwe_names[alg]; }
const char *jwe_enc_name(enum jwe_enc enc) { return enc_names[enc]; }

enum jws_alg jws_alg_of_name(struct bytes name) {
    return (enum jws_alg)find(jws_names, JWS_ALG_COUNT, name);
}
enum jwe_alg jwe_alg_of_name(struct bytes name) {
    return (enum jwe_alg)find(jwe_names, JWE_ALG_COUNT, name);
}
enum jwe_enc jwe_enc_of_name(struct bytes name) {
    return (enum jwe_enc)find(enc_names, JWE_ENC_COUNT, name);
}
