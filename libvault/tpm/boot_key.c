// SPDX-License-Identifier: Apache-2.0
#include "libvault/tpm/boot_key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>

#define PEM_MAX_BYTES 65536

typedef EVP_PKEY *read_fn(BIO *bio, EVP_PKEY **key, pem_password_cb *ask, void *context);

static EVP_PKEY *key_read(struct bytes pem, read_fn *read) {
    BIO *bio =
        pem.size > 0 && pem.size <= PEM_MAX_BYTES ? BIO_new_mem_buf(pem.at, (int)pem.size) : NULL;
    EVP_PKEY *key = bio ? read(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static bool key_take_point(const EVP_PKEY *key, uint8_t point[BOOT_POINT_BYTES]) {
    char curve[32] = "";
    size_t size = 0;
    uint8_t room[BOOT_POINT_BYTES];
    if (!EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof curve,
                                        NULL) ||
        strcmp(curve, "prime256v1") != 0 ||
        !EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, room, sizeof room,
                                         &size) ||
        size != BOOT_POINT_BYTES || room[0] != 0x04)
        return false;
    memcpy(point, room, BOOT_POINT_BYTES);
    return true;
}

vlt_result boot_key_point(struct bytes pem, struct fault *fault,
                          uint8_t ret_point[BOOT_POINT_BYTES]) {
    static const char private_key[] = "PRIVATE KEY-----";
    bool is_private = memmem(pem.at, pem.size, private_key, sizeof private_key - 1) != NULL;
    EVP_PKEY *key = key_read(pem, is_private ? PEM_read_bio_PrivateKey : PEM_read_bio_PUBKEY);
    bool is_right = key && key_take_point(key, ret_point);
    EVP_PKEY_free(key);
    return is_right ? vlt_ok()
                    : fault_set(fault, VLT_MALFORMED, "no P-256 key",
                                "the approver's key must be a P-256 key in a PEM file (openssl "
                                "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)");
}

vlt_result boot_signature_read(struct bytes signature,
                               uint8_t ret_signature[BOOT_SIGNATURE_BYTES]) {
    if (signature.size == BOOT_SIGNATURE_BYTES) { // DER of two such numbers is longer
        memcpy(ret_signature, signature.at, BOOT_SIGNATURE_BYTES);
        return vlt_ok();
    }
    uint8_t raw[BOOT_SIGNATURE_BYTES];
    const uint8_t *at = signature.at;
    ECDSA_SIG *parsed =
        signature.size <= 80 ? d2i_ECDSA_SIG(NULL, &at, (long)signature.size) : NULL;
    bool fits = parsed && at == signature.at + signature.size &&
                !BN_is_negative(ECDSA_SIG_get0_r(parsed)) &&
                !BN_is_negative(ECDSA_SIG_get0_s(parsed)) &&
                BN_bn2binpad(ECDSA_SIG_get0_r(parsed), raw, 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(parsed), raw + 32, 32) == 32;
    ECDSA_SIG_free(parsed);
    if (!fits)
        return vlt_fail(VLT_MALFORMED, "not an ECDSA signature of P-256 (DER, or 64 bytes)");
    memcpy(ret_signature, raw, sizeof raw);
    return vlt_ok();
}

static vlt_result key_sign(EVP_PKEY *key, const struct boot_state *state,
                           uint8_t signature[BOOT_SIGNATURE_BYTES]) {
    uint8_t message[BOOT_TO_SIGN_BYTES], der[80];
    size_t size = sizeof der;
    VLT_TRY(boot_to_sign(state, message));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, der, &size, message, sizeof message) == 1;
    EVP_MD_CTX_free(context);
    return done ? boot_signature_read(bytes_of(der, size), signature)
                : vlt_fail(VLT_CRYPTO, "the approver's key does not sign");
}

vlt_result boot_key_sign(struct bytes pem, const struct boot_state *state, struct fault *fault,
                         uint8_t ret_signature[BOOT_SIGNATURE_BYTES]) {
    uint8_t point[BOOT_POINT_BYTES];
    EVP_PKEY *key = key_read(pem, PEM_read_bio_PrivateKey);
    vlt_result result =
        key && key_take_point(key, point)
            ? key_sign(key, state, ret_signature)
            : fault_set(fault, VLT_MALFORMED, "no private P-256 key",
                        "the file holds no private P-256 key in PEM, or the passphrase is wrong");
    EVP_PKEY_free(key);
    return result;
}
