// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/jws_scheme.h"

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "libvault/crypto/jwk_members.h"

static const struct jws_scheme schemes[JWS_ALG_COUNT] = {
    [JWS_RS256] = {JWS_PKCS1, DIGEST_SHA256, JWK_NO_CURVE},
    [JWS_RS384] = {JWS_PKCS1, DIGEST_SHA384, JWK_NO_CURVE},
    [JWS_RS512] = {JWS_PKCS1, DIGEST_SHA512, JWK_NO_CURVE},
    [JWS_PS256] = {JWS_PSS, DIGEST_SHA256, JWK_NO_CURVE},
    [JWS_PS384] = {JWS_PSS, DIGEST_SHA384, JWK_NO_CURVE},
    [JWS_PS512] = {JWS_PSS, DIGEST_SHA512, JWK_NO_CURVE},
    [JWS_ES256] = {JWS_ECDSA, DIGEST_SHA256, JWK_P256},
    [JWS_ES384] = {JWS_ECDSA, DIGEST_SHA384, JWK_P384},
    [JWS_ES512] = {JWS_ECDSA, DIGEST_SHA512, JWK_P521},
    [JWS_EDDSA] = {JWS_EDWARDS, DIGEST_SHA512, JWK_ED25519},
    [JWS_HS256] = {JWS_HMAC, DIGEST_SHA256, JWK_NO_CURVE},
    [JWS_HS384] = {JWS_HMAC, DIGEST_SHA384, JWK_NO_CURVE},
    [JWS_HS512] = {JWS_HMAC, DIGEST_SHA512, JWK_NO_CURVE},
};

const struct jws_scheme *jws_scheme_of(enum jws_alg alg) { return &schemes[alg]; }

enum jws_alg jws_alg_of_scheme(const struct jws_scheme *scheme) {
    bool is_ours = scheme > schemes && scheme < schemes + JWS_ALG_COUNT;
    return is_ours ? (enum jws_alg)(scheme - schemes) : JWS_ALG_UNKNOWN;
}

static bool set_up(const struct jws_scheme *scheme, EVP_PKEY_CTX *context) {
    const struct algorithms *all = algorithms();
    if (!all || EVP_PKEY_CTX_set_signature_md(context, all->digest[scheme->digest]) != 1)
        return false;
    if (scheme->family == JWS_PKCS1)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    if (scheme->family != JWS_PSS)
        return true;
    // RFC 7518 section 3.5: MGF1 with the same digest, salt as long as the digest.
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, all->digest[scheme->digest]) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

EVP_PKEY_CTX *jws_context_new(const struct jws_scheme *scheme, EVP_PKEY *pkey, bool signs) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (context && (signs ? EVP_PKEY_sign_init(context) : EVP_PKEY_verify_init(context)) == 1 &&
        set_up(scheme, context))
        return context;
    EVP_PKEY_CTX_free(context);
    return NULL;
}

// Appends the DER INTEGER of a big-endian unsigned number.
static void put_integer(struct bytes number, uint8_t *der, size_t *size) {
    while (number.size > 1 && number.at[0] == 0)
        number = bytes_from(number, 1);
    bool pads = number.at[0] & 0x80;
    der[(*size)++] = 0x02;
    der[(*size)++] = (uint8_t)(number.size + pads);
    if (pads)
        der[(*size)++] = 0;
    memcpy(der + *size, number.at, number.size);
    *size += number.size;
}

bool jws_ecdsa_to_der(enum jwk_curve curve, struct bytes raw, uint8_t der[JWS_ECDSA_DER_MAX],
                      size_t *ret_size) {
    size_t width = jwk_coordinate_bytes(curve), size = 0;
    uint8_t content[JWS_ECDSA_DER_MAX];
    if (raw.size != 2 * width)
        return false;
    put_integer(bytes_of(raw.at, width), content, &size);
    put_integer(bytes_from(raw, width), content, &size);
    size_t head = 0;
    der[head++] = 0x30;
    if (size > 127) // P-521 only; never above 255
        der[head++] = 0x81;
    der[head++] = (uint8_t)size;
    memcpy(der + head, content, size);
    *ret_size = head + size;
    return true;
}

bool jws_ecdsa_of_der(enum jwk_curve curve, struct bytes der, uint8_t *raw, size_t *ret_size) {
    int width = (int)jwk_coordinate_bytes(curve);
    const unsigned char *at = der.at;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der.size);
    bool done = signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, width) == width &&
                BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + width, width) == width;
    ECDSA_SIG_free(signature);
    if (done)
        *ret_size = 2 * (size_t)width;
    return done;
}
