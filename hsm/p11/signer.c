// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/signer.h"

#include <openssl/rand.h>
#include <stdio.h>

#include "hsm/p11/result.h"
#include "libvault/crypto/jws_scheme.h"
#include "libvault/crypto/pkey.h"

#define SIGNER_LABEL_BYTES 80

// OID of P-256 (RFC 5480, 2.1.1.1), as CKA_EC_PARAMS wants it: DER.
static const uint8_t p256_params[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t trial_digest[HSM_DIGEST_BYTES] = "vaultd trial of a signing key: 1";

// --- making a pair ----------------------------------------------------------

// Both halves stay: the public one helps people with other tools to see what it is.
static CK_RV p11_pair_generate(const struct p11 *p11, const char *label,
                               const uint8_t id[HSM_KEY_ID_BYTES], CK_OBJECT_HANDLE *ret_public,
                               CK_OBJECT_HANDLE *ret_private) {
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE public_half[] = {{CKA_TOKEN, &yes, sizeof yes},
                                  {CKA_EC_PARAMS, p11_in(p256_params), sizeof p256_params},
                                  {CKA_LABEL, p11_in(label), strlen(label)},
                                  {CKA_ID, p11_in(id), HSM_KEY_ID_BYTES}};
    CK_ATTRIBUTE private_half[] = {
        {CKA_TOKEN, &yes, sizeof yes},         {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes},     {CKA_EXTRACTABLE, &no, sizeof no},
        {CKA_SIGN, &yes, sizeof yes},          {CKA_LABEL, p11_in(label), strlen(label)},
        {CKA_ID, p11_in(id), HSM_KEY_ID_BYTES}};
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    return p11->functions->C_GenerateKeyPair(
        p11->session, &mechanism, public_half, sizeof public_half / sizeof *public_half,
        private_half, sizeof private_half / sizeof *private_half, ret_public, ret_private);
}

// CKA_EC_POINT is a DER OCTET STRING around the point; some modules leave that away.
static vlt_result p11_pair_point(struct hsm *hsm, CK_OBJECT_HANDLE object, struct fault *fault,
                                 uint8_t ret_point[HSM_POINT_BYTES]) {
    const struct p11 *p11 = hsm->device;
    uint8_t text[2 + HSM_POINT_BYTES + 16];
    CK_ATTRIBUTE wanted = {CKA_EC_POINT, text, sizeof text};
    CK_RV rv = p11->functions->C_GetAttributeValue(p11->session, object, &wanted, 1);
    VLT_TRY(p11_result(hsm, rv, "show a public key", fault));
    const uint8_t *point = text;
    if (wanted.ulValueLen == 2 + HSM_POINT_BYTES && text[0] == 0x04 && text[1] == HSM_POINT_BYTES)
        point = text + 2;
    else if (wanted.ulValueLen != HSM_POINT_BYTES)
        point = NULL;
    if (!point || point[0] != 0x04)
        return fault_set(fault, VLT_UNAVAILABLE, "device shows no P-256 point",
                         "device '%s' shows a public key that is not a point of P-256: it can not "
                         "keep the signing key; set tokens.signing_key to memory",
                         hsm->description.label);
    memcpy(ret_point, point, HSM_POINT_BYTES);
    return vlt_ok();
}

static vlt_result p11_signer_try(struct hsm *hsm, CK_OBJECT_HANDLE public_half,
                                 struct hsm_signer *signer, struct fault *fault) {
    uint8_t signature[HSM_SIGNATURE_BYTES];
    VLT_TRY(p11_pair_point(hsm, public_half, fault, signer->point));
    return p11_signer_sign(hsm, signer, trial_digest, fault, signature);
}

vlt_result p11_signer_create(struct hsm *hsm, struct hsm_signer *signer, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    char name[72], label[SIGNER_LABEL_BYTES];
    VLT_TRY(p11_object_label(hsm, 1, fault, name));
    (void)snprintf(label, sizeof label, "%s-signing", name);
    if (RAND_bytes(signer->id, sizeof signer->id) != 1)
        return vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    CK_OBJECT_HANDLE public_half = 0, private_half = 0;
    CK_RV rv = p11_pair_generate(p11, label, signer->id, &public_half, &private_half);
    VLT_TRY(p11_result(hsm, rv, "make a signing key", fault));
    vlt_result result = p11_signer_try(hsm, public_half, signer, fault);
    if (!vlt_is_ok(result)) { // a key that nobody has a record of must not stay
        (void)p11->functions->C_DestroyObject(p11->session, public_half);
        (void)p11->functions->C_DestroyObject(p11->session, private_half);
    }
    return result;
}

// --- finding it -------------------------------------------------------------

static CK_RV p11_signer_objects(const struct p11 *p11, CK_OBJECT_CLASS class,
                                const uint8_t id[HSM_KEY_ID_BYTES],
                                CK_OBJECT_HANDLE found[P11_FOUND_MAX], CK_ULONG *ret_count) {
    CK_KEY_TYPE type = CKK_EC;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_KEY_TYPE, &type, sizeof type},
                               {CKA_ID, p11_in(id), HSM_KEY_ID_BYTES}};
    return p11_find(p11, template, 3, found, ret_count);
}

static vlt_result p11_signer_absent(struct hsm *hsm, CK_ULONG count, struct fault *fault) {
    hsm->link = HSM_LINK_TRY_AGAIN; // a session whose device was away may just see nothing
    return fault_set(fault, count ? VLT_CONFLICT : VLT_NOT_FOUND,
                     "signing key is not in the device",
                     "device '%s' holds %lu keys with the id of the token signing key, not one: it "
                     "is another device, or keys were deleted or copied; make a new key with "
                     "vaultctl rotate signing --emergency",
                     hsm->description.label, (unsigned long)count);
}

static vlt_result p11_signer_check(struct hsm *hsm, CK_OBJECT_HANDLE object, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    CK_BBOOL sensitive = CK_FALSE, always = CK_FALSE, extractable = CK_TRUE, never = CK_FALSE;
    CK_ATTRIBUTE wanted[] = {{CKA_SENSITIVE, &sensitive, sizeof sensitive},
                             {CKA_ALWAYS_SENSITIVE, &always, sizeof always},
                             {CKA_EXTRACTABLE, &extractable, sizeof extractable},
                             {CKA_NEVER_EXTRACTABLE, &never, sizeof never}};
    CK_RV rv = p11->functions->C_GetAttributeValue(p11->session, object, wanted, 4);
    if (rv != CKR_ATTRIBUTE_TYPE_INVALID && rv != CKR_ATTRIBUTE_SENSITIVE)
        VLT_TRY(p11_result(hsm, rv, "show the attributes of the signing key", fault));
    if (rv == CKR_OK && sensitive && always && !extractable && never)
        return vlt_ok();
    return fault_set(fault, VLT_CRYPTO, "signing key is not protected",
                     "the token signing key in device '%s' was not made there or can leave it "
                     "(sensitive %d, extractable %d, always sensitive %d, never extractable %d): "
                     "make a new one with vaultctl rotate signing --emergency",
                     hsm->description.label, sensitive, extractable, always, never);
}

static vlt_result p11_signer_open(struct hsm *hsm, const struct hsm_signer *signer,
                                  struct fault *fault) {
    struct p11 *p11 = hsm->device;
    CK_OBJECT_HANDLE found[P11_FOUND_MAX];
    CK_ULONG count = 0;
    const struct hsm_signer *is = &p11->signer.is;
    if (p11->signer.pkey &&
        bytes_equal(bytes_of(is->id, sizeof is->id), bytes_of(signer->id, sizeof signer->id)) &&
        bytes_equal(bytes_of(is->point, sizeof is->point),
                    bytes_of(signer->point, sizeof signer->point)))
        return vlt_ok();
    CK_RV rv = p11_signer_objects(p11, CKO_PRIVATE_KEY, signer->id, found, &count);
    VLT_TRY(p11_result(hsm, rv, "look for the signing key", fault));
    if (count != 1)
        return p11_signer_absent(hsm, count, fault);
    VLT_TRY(p11_signer_check(hsm, found[0], fault));
    EVP_PKEY *pkey = NULL;
    VLT_TRY(pkey_p256_public(signer->point + 1, signer->point + 33, &pkey));
    EVP_PKEY_free(p11->signer.pkey);
    p11->signer = (struct p11_signer){.object = found[0], .is = *signer, .pkey = pkey};
    return vlt_ok();
}

// --- signing ----------------------------------------------------------------

static bool p11_signature_is_good(EVP_PKEY *pkey, const uint8_t digest[HSM_DIGEST_BYTES],
                                  const uint8_t signature[HSM_SIGNATURE_BYTES]) {
    uint8_t der[JWS_ECDSA_DER_MAX];
    size_t size = 0;
    if (!jws_ecdsa_to_der(JWK_P256, bytes_of(signature, HSM_SIGNATURE_BYTES), der, &size))
        return false;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool is_good = ctx && EVP_PKEY_verify_init(ctx) == 1 &&
                   EVP_PKEY_verify(ctx, der, size, digest, HSM_DIGEST_BYTES) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_good;
}

vlt_result p11_signer_sign(struct hsm *hsm, const struct hsm_signer *signer,
                           const uint8_t digest[HSM_DIGEST_BYTES], struct fault *fault,
                           uint8_t ret_signature[HSM_SIGNATURE_BYTES]) {
    const struct p11 *p11 = hsm->device;
    uint8_t out[HSM_SIGNATURE_BYTES + 16];
    VLT_TRY(p11_signer_open(hsm, signer, fault));
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_ULONG size = sizeof out;
    CK_RV rv = p11->functions->C_SignInit(p11->session, &mechanism, p11->signer.object);
    if (rv == CKR_OK)
        rv = p11->functions->C_Sign(p11->session, p11_in(digest), HSM_DIGEST_BYTES, out, &size);
    VLT_TRY(p11_result(hsm, rv, "sign a token", fault));
    // A fault in the device must not become a token: wrong signatures of ECDSA
    // can even give the key away.
    if (size == HSM_SIGNATURE_BYTES && p11_signature_is_good(p11->signer.pkey, digest, out)) {
        memcpy(ret_signature, out, HSM_SIGNATURE_BYTES);
        return vlt_ok();
    }
    hsm->link = HSM_LINK_TRY_AGAIN;
    return fault_set(fault, VLT_UNAVAILABLE, "device makes wrong signatures",
                     "device '%s' made a signature of a token that does not verify: the device or "
                     "its module is broken, or another key took the place of the signing key",
                     hsm->description.label);
}

// --- the end ----------------------------------------------------------------

static vlt_result p11_signer_remove(struct hsm *hsm, CK_OBJECT_CLASS class,
                                    const struct hsm_signer *signer, struct fault *fault,
                                    CK_ULONG *removed) {
    const struct p11 *p11 = hsm->device;
    CK_OBJECT_HANDLE found[P11_FOUND_MAX];
    CK_ULONG count = 0;
    CK_RV rv = p11_signer_objects(p11, class, signer->id, found, &count);
    for (CK_ULONG i = 0; i < count && rv == CKR_OK; i++)
        rv = p11->functions->C_DestroyObject(p11->session, found[i]);
    VLT_TRY(p11_result(hsm, rv, "delete a signing key", fault));
    *removed += count;
    return vlt_ok();
}

vlt_result p11_signer_destroy(struct hsm *hsm, const struct hsm_signer *signer,
                              struct fault *fault) {
    struct p11 *p11 = hsm->device;
    CK_ULONG removed = 0;
    EVP_PKEY_free(p11->signer.pkey); // it may be the one that was used last
    p11->signer = (struct p11_signer){.pkey = NULL};
    VLT_TRY(p11_signer_remove(hsm, CKO_PRIVATE_KEY, signer, fault, &removed));
    VLT_TRY(p11_signer_remove(hsm, CKO_PUBLIC_KEY, signer, fault, &removed));
    if (removed)
        return vlt_ok();
    return fault_set(fault, VLT_NOT_FOUND, "signing key is not in the device",
                     "device '%s' does not hold that signing key", hsm->description.label);
}
