// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/wrap.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "hsm/p11/result.h"

#define GCM_IV_BYTES 12
#define GCM_TAG_BYTES 16
#define MAC_BYTES 32
#define INNER_BYTES (HSM_DATA_KEY_BYTES + MAC_BYTES) // what key wrap encloses

// A failure while opening a blob: certain losses are the device's, anything
// else may be the blob's fault, and hsm.c finds out which.
static vlt_result p11_open_failed(struct hsm *hsm, CK_RV rv, struct fault *fault) {
    if (p11_result_is_lost(rv))
        return p11_result(hsm, rv, "unwrap a data key", fault);
    return vlt_fail(VLT_CRYPTO, "device refused the wrapped key");
}

// --- GCM --------------------------------------------------------------------

// The tag size is never left to a device: with 0 some encrypt without a tag.
static CK_GCM_PARAMS p11_gcm_params(uint8_t *iv, struct bytes aad) {
    return (CK_GCM_PARAMS){iv,       GCM_IV_BYTES,     GCM_IV_BYTES * 8, p11_in(aad.at),
                           aad.size, GCM_TAG_BYTES * 8};
}

vlt_result p11_gcm_wrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                        const struct secret *key32, struct fault *fault, struct buf *body) {
    const struct p11 *p11 = hsm->device;
    uint8_t iv[GCM_IV_BYTES], out[HSM_DATA_KEY_BYTES + GCM_TAG_BYTES + 16];
    if (RAND_bytes(iv, sizeof iv) != 1)
        return vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    CK_GCM_PARAMS params = p11_gcm_params(iv, aad);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    CK_ULONG size = sizeof out;
    CK_RV rv = p11->functions->C_EncryptInit(p11->session, &mechanism, key);
    if (rv == CKR_OK) {
        rv = p11->functions->C_Encrypt(p11->session, p11_in(secret_borrow(key32)),
                                       secret_size(key32), out, &size);
        secret_release(key32);
    }
    VLT_TRY(p11_result(hsm, rv, "wrap a data key", fault));
    if (size != HSM_DATA_KEY_BYTES + GCM_TAG_BYTES)
        return fault_set(
            fault, VLT_UNAVAILABLE, "device does not do AES-GCM properly",
            "device '%s' made an AES-GCM ciphertext of a wrong size; set the mechanism "
            "to key wrap",
            hsm->description.label);
    buf_put(body, bytes_of(iv, sizeof iv)); // some devices replace it by one of theirs
    buf_put(body, bytes_of(out, size));
    return vlt_ok();
}

vlt_result p11_gcm_unwrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                          struct bytes body, struct fault *fault, struct secret *ret_key32) {
    const struct p11 *p11 = hsm->device;
    if (body.size != P11_GCM_BODY_BYTES)
        return vlt_fail(VLT_CRYPTO, "wrapped key has a wrong size");
    uint8_t iv[GCM_IV_BYTES], out[HSM_DATA_KEY_BYTES + GCM_TAG_BYTES + 16];
    memcpy(iv, body.at, sizeof iv);
    struct bytes cipher = bytes_from(body, GCM_IV_BYTES);
    CK_GCM_PARAMS params = p11_gcm_params(iv, aad);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    CK_ULONG size = sizeof out; // larger than needed: some devices ask for room for the tag
    CK_RV rv = p11->functions->C_DecryptInit(p11->session, &mechanism, key);
    if (rv == CKR_OK)
        rv = p11->functions->C_Decrypt(p11->session, p11_in(cipher.at), cipher.size, out, &size);
    vlt_result result = rv != CKR_OK ? p11_open_failed(hsm, rv, fault)
                        : size != HSM_DATA_KEY_BYTES
                            ? vlt_fail(VLT_CRYPTO, "wrapped key has a wrong size")
                            : secret_set(ret_key32, out, size);
    secret_cleanse(out, sizeof out);
    return result;
}

// --- key wrap ---------------------------------------------------------------

static bool p11_context_mac(const uint8_t key[HSM_DATA_KEY_BYTES], struct bytes aad,
                            uint8_t mac[MAC_BYTES]) {
    static const char label[] = "vaultd context v1";
    uint8_t text[sizeof label - 1 + RECORD_AAD_MAX_BYTES];
    unsigned size = 0;
    if (aad.size > RECORD_AAD_MAX_BYTES)
        return false;
    memcpy(text, label, sizeof label - 1);
    memcpy(text + sizeof label - 1, aad.at, aad.size);
    return HMAC(EVP_sha256(), key, HSM_DATA_KEY_BYTES, text, sizeof label - 1 + aad.size, mac,
                &size) != NULL;
}

// A session object that holds key and MAC in the clear, for C_WrapKey to enclose.
static CK_RV p11_inner_put(const struct p11 *p11, uint8_t inner[INNER_BYTES],
                           CK_OBJECT_HANDLE *ret_object) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_TOKEN, &no, sizeof no},       {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &no, sizeof no},   {CKA_EXTRACTABLE, &yes, sizeof yes},
        {CKA_VALUE, inner, INNER_BYTES}};
    return p11->functions->C_CreateObject(p11->session, template,
                                          sizeof template / sizeof *template, ret_object);
}

vlt_result p11_keywrap_wrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                            const struct secret *key32, struct fault *fault, struct buf *body) {
    const struct p11 *p11 = hsm->device;
    uint8_t inner[INNER_BYTES], out[P11_KEY_WRAP_BODY_BYTES + 16];
    memcpy(inner, secret_borrow(key32), HSM_DATA_KEY_BYTES);
    secret_release(key32);
    CK_OBJECT_HANDLE object = 0;
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_ULONG size = sizeof out;
    CK_RV rv = CKR_FUNCTION_FAILED;
    if (p11_context_mac(inner, aad, inner + HSM_DATA_KEY_BYTES))
        rv = p11_inner_put(p11, inner, &object);
    secret_cleanse(inner, sizeof inner);
    if (rv == CKR_OK) {
        rv = p11->functions->C_WrapKey(p11->session, &mechanism, key, object, out, &size);
        (void)p11->functions->C_DestroyObject(p11->session, object);
    }
    VLT_TRY(p11_result(hsm, rv, "wrap a data key", fault));
    if (size != P11_KEY_WRAP_BODY_BYTES)
        return fault_set(fault, VLT_UNAVAILABLE, "device does not do AES key wrap properly",
                         "device '%s' made a wrapped key of a wrong size", hsm->description.label);
    buf_put(body, bytes_of(out, size));
    return vlt_ok();
}

// Unwraps into a session object and reads it.
static CK_RV p11_inner_get(const struct p11 *p11, CK_OBJECT_HANDLE key, struct bytes body,
                           uint8_t inner[INNER_BYTES]) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_TOKEN, &no, sizeof no},       {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &no, sizeof no},   {CKA_EXTRACTABLE, &yes, sizeof yes}};
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_OBJECT_HANDLE object = 0;
    CK_RV rv =
        p11->functions->C_UnwrapKey(p11->session, &mechanism, key, p11_in(body.at), body.size,
                                    template, sizeof template / sizeof *template, &object);
    if (rv != CKR_OK)
        return rv;
    CK_ATTRIBUTE value = {CKA_VALUE, inner, INNER_BYTES};
    rv = p11->functions->C_GetAttributeValue(p11->session, object, &value, 1);
    (void)p11->functions->C_DestroyObject(p11->session, object);
    return rv == CKR_OK && value.ulValueLen != INNER_BYTES ? CKR_WRAPPED_KEY_INVALID : rv;
}

vlt_result p11_keywrap_unwrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                              struct bytes body, struct fault *fault, struct secret *ret_key32) {
    if (body.size != P11_KEY_WRAP_BODY_BYTES)
        return vlt_fail(VLT_CRYPTO, "wrapped key has a wrong size");
    uint8_t inner[INNER_BYTES], mac[MAC_BYTES];
    CK_RV rv = p11_inner_get(hsm->device, key, body, inner);
    vlt_result result = vlt_ok();
    if (rv != CKR_OK)
        result = p11_open_failed(hsm, rv, fault);
    else if (!p11_context_mac(inner, aad, mac) ||
             !secret_equal(bytes_of(mac, sizeof mac),
                           bytes_of(inner + HSM_DATA_KEY_BYTES, MAC_BYTES)))
        result = vlt_fail(VLT_CRYPTO, "wrapped key belongs to another context");
    else
        result = secret_set(ret_key32, inner, HSM_DATA_KEY_BYTES);
    secret_cleanse(inner, sizeof inner);
    secret_cleanse(mac, sizeof mac);
    return result;
}
