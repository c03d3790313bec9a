// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/derive.h"

#include <openssl/rand.h>

#include "hsm/p11/result.h"
#include "libvault/base/b64u.h"
#include "libvault/crypto/aead.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/kdf.h"

#define SIGNATURE_MAX_BYTES 512 // RSA-4096

static const char purpose[] = "vaultd wrap by signature v1";
static const uint8_t no_iv[12];

// --- the public half --------------------------------------------------------

static void derive_put_number(struct buf *text, const char *member, const uint8_t *at,
                              size_t size) {
    while (size && !*at) { // some modules pad, a JWK must not
        at++;
        size--;
    }
    buf_put_text(text, member);
    b64u_encode(bytes_of(at, size), text);
}

// As a JWK: there the checks of RSA keys are, from size to known bad generators
// (ROCA came out of TPMs and cards).
vlt_result p11_derive_open(struct hsm *hsm, CK_OBJECT_HANDLE object, struct fault *fault,
                           struct p11_pair *ret_pair) {
    const struct p11 *p11 = hsm->device;
    uint8_t modulus[SIGNATURE_MAX_BYTES], exponent[64];
    CK_ATTRIBUTE wanted[] = {{CKA_MODULUS, modulus, sizeof modulus},
                             {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent}};
    CK_RV rv = p11->functions->C_GetAttributeValue(p11->session, object, wanted, 2);
    VLT_TRY(p11_result(hsm, rv, "show a public key", fault));
    struct buf text;
    struct jwk *key = NULL;
    buf_init(&text, 4 * (size_t)SIGNATURE_MAX_BYTES);
    derive_put_number(&text, "{\"kty\":\"RSA\",\"n\":\"", modulus, wanted[0].ulValueLen);
    derive_put_number(&text, "\",\"e\":\"", exponent, wanted[1].ulValueLen);
    buf_put_text(&text, "\"}");
    vlt_result result = buf_failed(&text) ? vlt_fail(VLT_UNAVAILABLE, "out of memory")
                                          : jwk_parse(buf_bytes(&text), 0, NULL, &key);
    buf_done(&text);
    if (!vlt_is_ok(result))
        return fault_set(fault, VLT_CRYPTO, "RSA key of the device is weak",
                         "device '%s' holds or makes an RSA key that is not to be used: %s",
                         hsm->description.label, result.reason);
    *ret_pair = (struct p11_pair){.object = object, .public_half = key};
    return vlt_ok();
}

// --- wrap and unwrap --------------------------------------------------------

static vlt_result derive_signature(struct hsm *hsm, const struct p11_pair *pair,
                                   const uint8_t nonce[P11_DERIVE_NONCE_BYTES], struct fault *fault,
                                   struct secret *signature) {
    const struct p11 *p11 = hsm->device;
    uint8_t text[sizeof purpose - 1 + P11_DERIVE_NONCE_BYTES];
    memcpy(text, purpose, sizeof purpose - 1);
    memcpy(text + sizeof purpose - 1, nonce, P11_DERIVE_NONCE_BYTES);
    CK_MECHANISM mechanism = {CKM_SHA256_RSA_PKCS, NULL, 0};
    CK_ULONG size = SIGNATURE_MAX_BYTES;
    CK_RV rv = p11->functions->C_SignInit(p11->session, &mechanism, pair->object);
    if (rv == CKR_OK) {
        rv = p11->functions->C_Sign(p11->session, text, sizeof text, secret_borrow_room(signature),
                                    &size);
        bool has_some = rv == CKR_OK && size <= SIGNATURE_MAX_BYTES;
        secret_release_sized(signature, has_some ? size : 0);
    }
    // No blob can be at fault here: any nonce can be signed.
    VLT_TRY(p11_result(hsm, rv, "sign for a wrapped key", fault));
    vlt_result result =
        jws_verify_signature(JWS_RS256, pair->public_half, bytes_of(text, sizeof text),
                             bytes_of(secret_borrow(signature), secret_size(signature)));
    secret_release(signature);
    if (vlt_is_ok(result))
        return result;
    hsm->link = HSM_LINK_TRY_AGAIN;
    return fault_set(fault, VLT_UNAVAILABLE, "device makes wrong signatures",
                     "device '%s' made an RSA signature that does not verify: the device or its "
                     "module is broken",
                     hsm->description.label);
}

// The key of one body.
static vlt_result derive_key(struct hsm *hsm, const struct p11_pair *pair,
                             const uint8_t nonce[P11_DERIVE_NONCE_BYTES], struct fault *fault,
                             struct secret *derived) {
    struct secret *signature = secret_new(SIGNATURE_MAX_BYTES);
    if (!signature)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    vlt_result result = derive_signature(hsm, pair, nonce, fault, signature);
    if (vlt_is_ok(result))
        result = hkdf_sha256(signature, bytes_of(nonce, P11_DERIVE_NONCE_BYTES),
                             bytes_of(purpose, sizeof purpose - 1), HSM_DATA_KEY_BYTES, derived);
    secret_free(signature);
    return result;
}

vlt_result p11_derive_wrap(struct hsm *hsm, const struct p11_pair *pair, struct bytes aad,
                           const struct secret *key32, struct fault *fault, struct buf *body) {
    uint8_t nonce[P11_DERIVE_NONCE_BYTES], cipher[HSM_DATA_KEY_BYTES], tag[AEAD_TAG_SIZE];
    struct secret *derived = secret_new(HSM_DATA_KEY_BYTES);
    vlt_result result = derived && RAND_bytes(nonce, sizeof nonce) == 1
                            ? derive_key(hsm, pair, nonce, fault, derived)
                            : vlt_fail(VLT_UNAVAILABLE, "no secret memory or no random bytes");
    if (vlt_is_ok(result)) {
        result = aes_gcm_seal(derived, bytes_of(no_iv, sizeof no_iv), aad, secret_borrow(key32),
                              secret_size(key32), cipher, tag);
        secret_release(key32);
    }
    secret_free(derived);
    VLT_TRY(result);
    buf_put(body, bytes_of(nonce, sizeof nonce));
    buf_put(body, bytes_of(cipher, sizeof cipher));
    buf_put(body, bytes_of(tag, sizeof tag));
    return vlt_ok();
}

vlt_result p11_derive_unwrap(struct hsm *hsm, const struct p11_pair *pair, struct bytes aad,
                             struct bytes body, struct fault *fault, struct secret *ret_key32) {
    if (body.size != P11_DERIVE_BODY_BYTES)
        return vlt_fail(VLT_CRYPTO, "wrapped key has a wrong size");
    struct bytes cipher = bytes_of(body.at + P11_DERIVE_NONCE_BYTES, HSM_DATA_KEY_BYTES);
    struct bytes tag = bytes_from(body, P11_DERIVE_NONCE_BYTES + HSM_DATA_KEY_BYTES);
    struct secret *derived = secret_new(HSM_DATA_KEY_BYTES),
                  *plain = secret_new(HSM_DATA_KEY_BYTES);
    vlt_result result = derived && plain ? derive_key(hsm, pair, body.at, fault, derived)
                                         : vlt_fail(VLT_LIMIT, SECRET_EXHAUSTED);
    if (vlt_is_ok(result))
        result = aes_gcm_open(derived, bytes_of(no_iv, sizeof no_iv), aad, cipher, tag, plain);
    if (vlt_is_ok(result)) { // the caller's secret stays as it was on failure
        result = secret_set(ret_key32, secret_borrow(plain), secret_size(plain));
        secret_release(plain);
    }
    secret_free(plain);
    secret_free(derived);
    return result;
}
