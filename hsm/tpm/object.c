// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/object.h"

#include <openssl/evp.h>
#include <tss2/tss2_mu.h>

#include "hsm/tpm/boot.h"
#include "hsm/tpm/device.h"
#include "hsm/tpm/result.h"

// Extending any PCR invalidates a policy that was begun before: begin again.
#define OBJECT_TRIES 3
#define TPM_OWN_TPM_ONLY (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT)

TPM2B_PUBLIC tpm_object_storage_template(void) {
    TPM2B_PUBLIC t = {.publicArea = {.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256}};
    t.publicArea.objectAttributes = TPM_OWN_TPM_ONLY | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED |
                                    TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA;
    TPMS_ECC_PARMS *ecc = &t.publicArea.parameters.eccDetail;
    ecc->symmetric.algorithm = TPM2_ALG_AES;
    ecc->symmetric.keyBits.aes = 128;
    ecc->symmetric.mode.aes = TPM2_ALG_CFB;
    ecc->scheme.scheme = TPM2_ALG_NULL;
    ecc->curveID = TPM2_ECC_NIST_P256;
    ecc->kdf.scheme = TPM2_ALG_NULL;
    return t;
}

// A key that is not bound is used with its authorization. A bound one is used with
// a policy, of which its authorization is a part.
static vlt_result tpm_object_template(const struct boot_binding *boot, TPM2B_PUBLIC *ret_template) {
    TPM2B_PUBLIC t = {.publicArea = {.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256}};
    t.publicArea.objectAttributes = TPM_OWN_TPM_ONLY | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                    TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA;
    if (boot->created.pcrs) {
        t.publicArea.authPolicy.size = BOOT_DIGEST_BYTES;
        VLT_TRY(boot_key_policy(boot, t.publicArea.authPolicy.buffer));
    } else {
        t.publicArea.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    }
    TPMS_ECC_PARMS *ecc = &t.publicArea.parameters.eccDetail;
    ecc->symmetric.algorithm = TPM2_ALG_NULL;
    ecc->scheme.scheme = TPM2_ALG_ECDH;
    ecc->scheme.details.ecdh.hashAlg = TPM2_ALG_SHA256;
    ecc->curveID = TPM2_ECC_NIST_P256;
    ecc->kdf.scheme = TPM2_ALG_NULL;
    *ret_template = t;
    return vlt_ok();
}

// Is a public area the template's in everything but its point?
static bool tpm_object_is_ours(const struct boot_binding *boot, const TPM2B_PUBLIC *public_area) {
    uint8_t wanted[RECORD_TPM_PUBLIC_MAX_BYTES], got[RECORD_TPM_PUBLIC_MAX_BYTES];
    size_t wanted_bytes = 0, got_bytes = 0;
    TPM2B_PUBLIC template;
    TPMT_PUBLIC bare = public_area->publicArea;
    if (bare.type != TPM2_ALG_ECC || !vlt_is_ok(tpm_object_template(boot, &template)))
        return false;
    bare.unique.ecc = template.publicArea.unique.ecc;
    return Tss2_MU_TPMT_PUBLIC_Marshal(&template.publicArea, wanted, sizeof wanted,
                                       &wanted_bytes) == TSS2_RC_SUCCESS &&
           Tss2_MU_TPMT_PUBLIC_Marshal(&bare, got, sizeof got, &got_bytes) == TSS2_RC_SUCCESS &&
           bytes_equal(bytes_of(wanted, wanted_bytes), bytes_of(got, got_bytes));
}

bool tpm_coordinate(const TPM2B_ECC_PARAMETER *from, uint8_t to[HPKE_DH_BYTES]) {
    if (from->size > HPKE_DH_BYTES)
        return false;
    memset(to, 0, HPKE_DH_BYTES - from->size);
    memcpy(to + HPKE_DH_BYTES - from->size, from->buffer, from->size);
    return true;
}

// --- making -----------------------------------------------------------------

static void tpm_auth_copy(const struct secret *auth, TPM2B_AUTH *copy) {
    copy->size = (UINT16)secret_size(auth);
    memcpy(copy->buffer, secret_borrow(auth), copy->size);
    secret_release(auth);
}

vlt_result tpm_object_make(struct hsm *hsm, const struct boot_binding *boot, struct tpm_key *state,
                           struct fault *fault) {
    struct tpm *tpm = hsm->device;
    TPM2B_PUBLIC template;
    VLT_TRY(tpm_object_template(boot, &template));
    const TPM2B_DATA outside = {.size = 0};
    const TPML_PCR_SELECTION pcrs = {.count = 0};
    TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    tpm_auth_copy(state->auth, &sensitive.sensitive.userAuth);
    TPM2B_PRIVATE *private_area = NULL;
    TPM2B_PUBLIC *public_area = NULL;
    TSS2_RC rc;
    TPM_SEND(rc, Esys_Create(tpm->esys, tpm->primary, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE,
                             &sensitive, &template, &outside, &pcrs, &private_area, &public_area,
                             NULL, NULL, NULL));
    secret_cleanse(&sensitive, sizeof sensitive);
    VLT_TRY(tpm_result(hsm, rc, "make a wrapping key", fault));
    state->private_area = *private_area;
    state->public_area = *public_area;
    Esys_Free(private_area);
    Esys_Free(public_area);
    return vlt_ok();
}

// Checks the public area and takes from it what we need.
vlt_result tpm_object_take_public(const struct boot_binding *boot, struct tpm_key *state,
                                  struct fault *fault) {
    const TPMS_ECC_POINT *q = &state->public_area.publicArea.unique.ecc;
    state->point[0] = 0x04;
    if (!tpm_object_is_ours(boot, &state->public_area) ||
        !tpm_coordinate(&q->x, state->point + 1) ||
        !tpm_coordinate(&q->y, state->point + 1 + HPKE_DH_BYTES) ||
        !hpke_point_is_valid(state->point))
        return fault_set(
            fault, VLT_CRYPTO, "wrapping key is not of our kind",
            "the wrapping key's public area is not that of a key that cannot leave its "
            "TPM: the store's record was altered; restore it from a backup");
    uint8_t marshalled[RECORD_TPM_PUBLIC_MAX_BYTES];
    size_t size = 0;
    unsigned hashed = 0;
    if (Tss2_MU_TPMT_PUBLIC_Marshal(&state->public_area.publicArea, marshalled, sizeof marshalled,
                                    &size) != TSS2_RC_SUCCESS ||
        EVP_Digest(marshalled, size, state->name + 2, &hashed, EVP_sha256(), NULL) != 1)
        return vlt_fail(VLT_BUG, "name of the wrapping key cannot be computed");
    state->name[0] = TPM2_ALG_SHA256 >> 8;
    state->name[1] = TPM2_ALG_SHA256 & 0xff;
    return vlt_ok();
}

// --- using ------------------------------------------------------------------

static vlt_result tpm_object_authorize(struct hsm *hsm, struct tpm *tpm,
                                       const struct tpm_key *state, struct fault *fault) {
    TPM2B_AUTH auth;
    tpm_auth_copy(state->auth, &auth);
    TSS2_RC rc = Esys_TR_SetAuth(tpm->esys, tpm->loaded, &auth);
    secret_cleanse(&auth, sizeof auth);
    return tpm_result(hsm, rc, "authorize the wrapping key", fault);
}

// Makes the key the one that is loaded. A TPM has three slots, of which the
// primary takes one, so we keep a single wrapping key there.
vlt_result tpm_object_load(struct hsm *hsm, const struct hsm_open_key *key, struct fault *fault) {
    struct tpm *tpm = hsm->device;
    const struct tpm_key *state = key->state;
    if (tpm->loaded != ESYS_TR_NONE &&
        bytes_equal(bytes_of(tpm->loaded_id, HSM_KEY_ID_BYTES),
                    bytes_of(key->record.id, HSM_KEY_ID_BYTES)))
        return vlt_ok();
    tpm_flush(tpm, &tpm->loaded);
    TSS2_RC rc;
    TPM_SEND(rc, Esys_Load(tpm->esys, tpm->primary, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE,
                           &state->private_area, &state->public_area, &tpm->loaded));
    if (rc != TSS2_RC_SUCCESS)
        tpm->loaded = ESYS_TR_NONE;
    if (tpm_result_is_parameter(rc))
        return fault_set(
            fault, VLT_CRYPTO, "TPM refused the key record",
            "TPM %s refused the wrapping key of the store's record (%s): the record was "
            "altered; restore it from a backup",
            hsm->settings.tcti, tpm_result_name(rc));
    VLT_TRY(tpm_result(hsm, rc, "load the wrapping key", fault));
    memcpy(tpm->loaded_id, key->record.id, sizeof tpm->loaded_id);
    TPM2B_NAME *name = NULL;
    rc = Esys_TR_GetName(tpm->esys, tpm->loaded, &name);
    VLT_TRY(tpm_result(hsm, rc, "name the wrapping key", fault));
    bool same =
        bytes_equal(bytes_of(name->name, name->size), bytes_of(state->name, sizeof state->name));
    Esys_Free(name);
    if (!same) {
        tpm_flush(tpm, &tpm->loaded);
        return vlt_fail(VLT_CRYPTO, "TPM loaded another key than the record's");
    }
    return tpm_object_authorize(hsm, tpm, state, fault);
}

vlt_result tpm_object_multiply(struct hsm *hsm, const struct hsm_open_key *key,
                                   const uint8_t point[HPKE_POINT_BYTES], struct fault *fault,
                                   struct secret *ret_dh) {
    struct tpm *tpm = hsm->device;
    TPM2B_ECC_POINT in = {.point = {.x.size = HPKE_DH_BYTES, .y.size = HPKE_DH_BYTES}};
    memcpy(in.point.x.buffer, point + 1, HPKE_DH_BYTES);
    memcpy(in.point.y.buffer, point + 1 + HPKE_DH_BYTES, HPKE_DH_BYTES);
    TPM2B_ECC_POINT *out = NULL;
    TSS2_RC rc = TPM2_RC_PCR_CHANGED;
    for (unsigned i = 0; i < OBJECT_TRIES && tpm_result_is_boot_change(rc); i++) {
        ESYS_TR session = tpm->session;
        VLT_TRY(tpm_object_load(hsm, key, fault));
        if (key->record.of.tpm.boot.created.pcrs)
            VLT_TRY(tpm_boot_session(hsm, &key->record.of.tpm.boot, fault, &session));
        TPM_SEND(rc, Esys_ECDH_ZGen(tpm->esys, tpm->loaded, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                    &in, &out));
    }
    VLT_TRY(tpm_result(hsm, rc, "use the wrapping key", fault));
    tpm_wipe_response(tpm);
    uint8_t dh[HPKE_DH_BYTES];
    vlt_result result = tpm_coordinate(&out->point.x, dh)
                            ? secret_set(ret_dh, dh, sizeof dh)
                            : vlt_fail(VLT_BUG, "TPM gave a point of a wrong size");
    secret_cleanse(dh, sizeof dh);
    secret_cleanse(out, sizeof *out);
    Esys_Free(out);
    return result;
}

