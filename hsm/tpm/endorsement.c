// SPDX-License-Identifier: Apache-2.0
#include <tss2/tss2_mu.h>

#include "hsm/tpm/attest.h"
#include "hsm/tpm/boot.h"
#include "hsm/tpm/device.h"
#include "hsm/tpm/result.h"

// TCG EK Credential Profile 2.5, 2.2.1.4 (NV indices) and TCG TPM v2.0 Provisioning
// Guidance 1.0, 7.8 (persistent handles).
static const struct endorsement_place {
    enum area_endorsement kind;
    TPM2_HANDLE certificate, persistent; // persistent 0: nobody agreed on one
} endorsement_places[] = {
    {AREA_EK_RSA, 0x01c00002, 0x81010001},
    {AREA_EK_ECC, 0x01c0000a, 0},
};

#define NV_PIECE_BYTES 512 // every TPM reads that much at a time

static bool tpm_is_absent(TSS2_RC rc) {
    return (rc & ~(TSS2_RC_LAYER_MASK | 0xf40U)) == TPM2_RC_HANDLE;
}

// --- the certificate --------------------------------------------------------

static vlt_result tpm_nv_read(struct hsm *hsm, ESYS_TR index, const TPMS_NV_PUBLIC *about,
                              struct fault *fault, struct evidence_certificate *certificate) {
    struct tpm *tpm = hsm->device;
    ESYS_TR by = about->attributes & TPMA_NV_AUTHREAD ? index : ESYS_TR_RH_OWNER;
    certificate->size = 0;
    while (certificate->size < about->dataSize) {
        TPM2B_MAX_NV_BUFFER *piece = NULL;
        UINT16 left = (UINT16)(about->dataSize - certificate->size);
        UINT16 wanted = left < NV_PIECE_BYTES ? left : NV_PIECE_BYTES;
        TSS2_RC rc;
        TPM_SEND(rc, Esys_NV_Read(tpm->esys, by, index, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                  ESYS_TR_NONE, wanted, (UINT16)certificate->size, &piece));
        VLT_TRY(tpm_result(hsm, rc, "read its endorsement certificate", fault));
        bool fits = piece->size == wanted;
        if (fits)
            memcpy(certificate->at + certificate->size, piece->buffer, wanted);
        Esys_Free(piece);
        if (!fits)
            return vlt_fail(VLT_UNAVAILABLE, "the endorsement certificate can not be read");
        certificate->size += wanted;
    }
    return vlt_ok();
}

// Makers may leave room behind the certificate: its own length counts (X.690, 8.1.3).
static void tpm_trim(struct evidence_certificate *certificate) {
    const uint8_t *at = certificate->at;
    if (certificate->size < 4 || at[0] != 0x30 || at[1] != 0x82)
        return;
    size_t size = 4 + ((size_t)at[2] << 8 | at[3]);
    if (size < certificate->size)
        certificate->size = size;
}

// VLT_NOT_FOUND: nothing there.
static vlt_result tpm_certificate_read(struct hsm *hsm, TPM2_HANDLE place, struct fault *fault,
                                       struct evidence_certificate *certificate) {
    struct tpm *tpm = hsm->device;
    ESYS_TR index = ESYS_TR_NONE;
    TPM2B_NV_PUBLIC *about = NULL;
    TSS2_RC rc;
    TPM_SEND(rc, Esys_TR_FromTPMPublic(tpm->esys, place, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                       &index));
    if (tpm_is_absent(rc))
        return vlt_fail(VLT_NOT_FOUND, "no endorsement certificate there");
    VLT_TRY(tpm_result(hsm, rc, "find its endorsement certificate", fault));
    TPM_SEND(rc, Esys_NV_ReadPublic(tpm->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    &about, NULL));
    vlt_result result = tpm_result(hsm, rc, "describe its endorsement certificate", fault);
    if (vlt_is_ok(result) && about->nvPublic.dataSize > sizeof certificate->at)
        result = vlt_fail(VLT_NOT_FOUND, "the endorsement certificate is too large");
    if (vlt_is_ok(result))
        result = tpm_nv_read(hsm, index, &about->nvPublic, fault, certificate);
    Esys_Free(about);
    (void)Esys_TR_Close(tpm->esys, &index);
    tpm_trim(certificate);
    return result;
}

// --- the key ----------------------------------------------------------------

static bool tpm_area_of(const TPM2B_PUBLIC *from, struct area *area) {
    area->size = 0;
    return Tss2_MU_TPMT_PUBLIC_Marshal(&from->publicArea, area->at, sizeof area->at, &area->size) ==
           TSS2_RC_SUCCESS;
}

vlt_result tpm_endorsement_primary(struct hsm *hsm, const struct area *template,
                                   struct fault *fault, struct area *ret_area, ESYS_TR *ret_key) {
    struct tpm *tpm = hsm->device;
    const TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    const TPM2B_DATA outside = {.size = 0};
    const TPML_PCR_SELECTION pcrs = {.count = 0};
    TPM2B_PUBLIC wanted = {.size = 0}, *made = NULL;
    if (Tss2_MU_TPMT_PUBLIC_Unmarshal(template->at, template->size, NULL, &wanted.publicArea) !=
        TSS2_RC_SUCCESS)
        return vlt_fail(VLT_BUG, "a template is not a public area");
    TSS2_RC rc;
    TPM_SEND(rc, Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                    ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &wanted, &outside,
                                    &pcrs, ret_key, &made, NULL, NULL, NULL));
    VLT_TRY(tpm_result(hsm, rc, "make a key of its endorsement hierarchy", fault));
    bool fits = tpm_area_of(made, ret_area);
    Esys_Free(made);
    return fits ? vlt_ok() : vlt_fail(VLT_BUG, "a public area does not fit");
}

// Where the maker left it: saves some TPMs seconds of looking for primes.
static bool tpm_endorsement_persistent(struct hsm *hsm, TPM2_HANDLE handle, struct area *area,
                                       ESYS_TR *ret_key) {
    struct tpm *tpm = hsm->device;
    TPM2B_PUBLIC *found = NULL;
    enum area_endorsement kind;
    uint8_t unique[AREA_RSA_BYTES];
    TSS2_RC rc;
    if (!handle)
        return false;
    TPM_SEND(rc, Esys_TR_FromTPMPublic(tpm->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                       ret_key));
    if (rc != TSS2_RC_SUCCESS)
        return false;
    TPM_SEND(rc, Esys_ReadPublic(tpm->esys, *ret_key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 &found, NULL, NULL));
    bool is_it = rc == TSS2_RC_SUCCESS && tpm_area_of(found, area) &&
                 vlt_is_ok(area_read_endorsement(area, &kind, unique));
    Esys_Free(found);
    if (!is_it)
        (void)Esys_TR_Close(tpm->esys, ret_key);
    return is_it;
}

vlt_result tpm_endorsement_find(struct hsm *hsm, struct fault *fault, struct evidence *evidence,
                                ESYS_TR *ret_key) {
    for (size_t i = 0; i < sizeof endorsement_places / sizeof *endorsement_places; i++) {
        const struct endorsement_place *place = &endorsement_places[i];
        struct area template;
        vlt_result result = tpm_certificate_read(hsm, place->certificate, fault,
                                                 &evidence->endorsement_certificate);
        if (result.class == VLT_NOT_FOUND)
            continue;
        VLT_TRY(result);
        if (tpm_endorsement_persistent(hsm, place->persistent, &evidence->endorsement, ret_key))
            return vlt_ok();
        area_of_endorsement(place->kind, NULL, &template);
        return tpm_endorsement_primary(hsm, &template, fault, &evidence->endorsement, ret_key);
    }
    return fault_set(fault, VLT_NOT_FOUND, "the TPM has no endorsement certificate",
                     "TPM %s has no endorsement certificate (NV index 0x01c00002 or 0x01c0000a): "
                     "nobody vouches that it is genuine",
                     hsm->settings.tcti);
}

void tpm_endorsement_release(struct hsm *hsm, ESYS_TR *key) {
    struct tpm *tpm = hsm->device;
    // A persistent key can not be flushed, only forgotten.
    if (*key != ESYS_TR_NONE && hsm->link == HSM_LINK_HELD)
        tpm_flush(tpm, key);
    *key = ESYS_TR_NONE;
}

// --- a challenge ------------------------------------------------------------

// The policy of every endorsement key: whoever has the endorsement hierarchy's
// authorization, which is empty unless an owner set one.
static vlt_result tpm_endorsement_policy(struct hsm *hsm, struct fault *fault) {
    struct tpm *tpm = hsm->device;
    VLT_TRY(tpm_policy_begin(hsm, fault));
    TSS2_RC rc;
    TPM_SEND(rc, Esys_PolicySecret(tpm->esys, ESYS_TR_RH_ENDORSEMENT, tpm->policy, ESYS_TR_PASSWORD,
                                   ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL));
    return tpm_result(hsm, rc, "use its endorsement hierarchy", fault);
}

// TPMs report what does not decrypt as a failure of their own. One that is really in
// failure mode does nothing else either (part 1, 10.4).
static bool tpm_refuses(struct hsm *hsm, TSS2_RC rc) {
    struct tpm *tpm = hsm->device;
    TPM2B_DIGEST *random = NULL;
    if (rc != TPM2_RC_FAILURE)
        return tpm_result_is_parameter(rc);
    TSS2_RC alive = Esys_GetRandom(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, 8, &random);
    Esys_Free(random);
    return alive == TSS2_RC_SUCCESS;
}

vlt_result tpm_endorsement_activate(struct hsm *hsm, ESYS_TR endorsement, ESYS_TR attestation,
                                    const struct challenge *challenge, struct fault *fault,
                                    uint8_t ret_secret[CHALLENGE_SECRET_BYTES]) {
    struct tpm *tpm = hsm->device;
    TPM2B_ID_OBJECT credential = {.size = (UINT16)challenge->credential_bytes};
    TPM2B_ENCRYPTED_SECRET seed = {.size = (UINT16)challenge->seed_bytes};
    TPM2B_DIGEST *secret = NULL;
    memcpy(credential.credential, challenge->credential, challenge->credential_bytes);
    memcpy(seed.secret, challenge->seed, challenge->seed_bytes);
    VLT_TRY(tpm_endorsement_policy(hsm, fault));
    TSS2_RC rc;
    TPM_SEND(rc, Esys_ActivateCredential(tpm->esys, attestation, endorsement, ESYS_TR_PASSWORD,
                                         tpm->policy, ESYS_TR_NONE, &credential, &seed, &secret));
    if (rc != TSS2_RC_SUCCESS && tpm_refuses(hsm, rc))
        return fault_set(fault, VLT_CRYPTO, "the challenge is for another TPM",
                         "TPM %s can not answer this challenge (%s): it was made for another TPM, "
                         "or altered",
                         hsm->settings.tcti, tpm_result_name(rc));
    VLT_TRY(tpm_result(hsm, rc, "answer the challenge", fault));
    tpm_wipe_response(tpm);
    bool fits = secret->size == CHALLENGE_SECRET_BYTES;
    if (fits)
        memcpy(ret_secret, secret->buffer, CHALLENGE_SECRET_BYTES);
    secret_cleanse(secret, sizeof *secret);
    Esys_Free(secret);
    return fits ? vlt_ok() : vlt_fail(VLT_CRYPTO, "the challenge holds no secret of ours");
}
