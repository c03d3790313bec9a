// SPDX-License-Identifier: Apache-2.0
#include "cli/recovery_pem.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <string.h>

#include "cli/terminal.h"
#include "libvault/crypto/jwe.h"

#define PEM_MAX_BYTES 16384

// Takes pkey in every case.
static vlt_result jwk_of(EVP_PKEY *pkey, struct jwk **ret_key) {
    vlt_result result = jwk_of_pkey(pkey, NULL, ret_key);
    if (!vlt_is_ok(result))
        EVP_PKEY_free(pkey);
    return result;
}

static bool is_private(struct bytes pem) {
    static const char mark[] = "PRIVATE KEY-----";
    return pem.size > 0 && memmem(pem.at, pem.size, mark, sizeof mark - 1) != NULL;
}

static vlt_result not_a_key(const char *path, struct fault *fault) {
    return fault_set(fault, VLT_MALFORMED, "no recovery key",
                     "%s must be a PEM file with a public P-256 key, or an RSA key of 2048 to 4096 "
                     "bits (openssl pkey -in private.pem -pubout)",
                     path);
}

static vlt_result export_public(EVP_PKEY *pkey, const char *path, struct fault *fault,
                                json_t **ret_jwk) {
    struct jwk *key = NULL;
    VLT_TRY(jwk_of(pkey, &key));
    bool is_known = key->kty == JWK_RSA || (key->kty == JWK_EC && key->curve == JWK_P256);
    vlt_result result =
        is_known ? jwk_export(key, NULL, NULL, ret_jwk) : not_a_key(path, fault);
    jwk_free(key);
    return result;
}

vlt_result recovery_pem_public(const char *path, struct fault *fault, json_t **ret_jwk) {
    struct buf text;
    buf_init(&text, PEM_MAX_BYTES);
    vlt_result result = file_read(path, PEM_MAX_BYTES, &text, fault);
    struct bytes pem = buf_bytes(&text);
    if (vlt_is_ok(result) && is_private(pem))
        result = fault_set(fault, VLT_DENIED, "a private key",
                           "%s holds the private half: give the public one (openssl pkey -in %s "
                           "-pubout) and keep this file offline",
                           path, path);
    BIO *bio = vlt_is_ok(result) && pem.size ? BIO_new_mem_buf(pem.at, (int)pem.size) : NULL;
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (pkey)
        result = export_public(pkey, path, fault, ret_jwk);
    else if (vlt_is_ok(result))
        result = not_a_key(path, fault);
    buf_done(&text);
    return result;
}

static vlt_result read_private(const char *path, struct fault *fault, struct jwk **ret_key) {
    struct secret *text = secret_new(PEM_MAX_BYTES);
    file_warn_if_open("--private-key", path);
    vlt_result result = text ? file_read_secret(path, text, fault)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    EVP_PKEY *pkey = NULL;
    if (vlt_is_ok(result)) {
        BIO *bio = BIO_new_mem_buf(secret_borrow(text), (int)secret_size(text));
        pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
        secret_release(text);
    }
    secret_free(text);
    VLT_TRY(result);
    if (!pkey)
        return fault_set(fault, VLT_MALFORMED, "no private key",
                         "%s is not a PEM file with a private key, or its passphrase is another "
                         "one",
                         path);
    return jwk_of(pkey, ret_key);
}

vlt_result recovery_pem_open(const char *path, struct bytes jwe, struct fault *fault,
                             struct secret *ret_text) {
    struct jwk *key = NULL;
    struct jwe_parts parts;
    VLT_TRY(jwe_split(jwe, &parts));
    vlt_result result = read_private(path, fault, &key);
    if (vlt_is_ok(result)) {
        result = jwe_decrypt(&parts, 1u << JWE_ECDH_ES | 1u << JWE_RSA_OAEP_256,
                             1u << JWE_A256GCM, key, ret_text);
        if (!vlt_is_ok(result))
            result = fault_set(fault, VLT_CRYPTO, "another recovery key",
                               "%s does not open it: it was sealed to another recovery key", path);
    }
    jwk_free(key);
    jwe_parts_done(&parts);
    return result;
}
