// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/attest.h"

#include <tss2/tss2_mu.h>

#include "hsm/tpm/boot.h"
#include "hsm/tpm/device.h"
#include "hsm/tpm/object.h"
#include "hsm/tpm/result.h"

// Quoted when the wrapping key is not bound to any: firmware, boot loader, Secure Boot.
#define QUOTED_PCRS 0xffu

// --- statements -------------------------------------------------------------

// Frees both.
static vlt_result tpm_take_statement(TPM2B_ATTEST *attested, TPMT_SIGNATURE *signature,
                                     struct evidence_statement *statement) {
    const TPMS_SIGNATURE_ECC *ecdsa = &signature->signature.ecdsa;
    bool fits = attested->size <= sizeof statement->at && signature->sigAlg == TPM2_ALG_ECDSA &&
                tpm_coordinate(&ecdsa->signatureR, statement->signature) &&
                tpm_coordinate(&ecdsa->signatureS, statement->signature + 32);
    if (fits) {
        memcpy(statement->at, attested->attestationData, attested->size);
        statement->size = attested->size;
    }
    Esys_Free(attested);
    Esys_Free(signature);
    return fits ? vlt_ok() : vlt_fail(VLT_BUG, "what the TPM attests does not fit");
}

static const TPMT_SIG_SCHEME tpm_scheme_of_key = {.scheme = TPM2_ALG_NULL};

static vlt_result tpm_certify(struct hsm *hsm, ESYS_TR attestation, const TPM2B_DATA *qualifier,
                              struct fault *fault, struct evidence *evidence) {
    struct tpm *tpm = hsm->device;
    TPM2B_ATTEST *attested = NULL;
    TPMT_SIGNATURE *signature = NULL;
    TSS2_RC rc;
    TPM_SEND(rc, Esys_Certify(tpm->esys, tpm->loaded, attestation, tpm->session, ESYS_TR_PASSWORD,
                              ESYS_TR_NONE, qualifier, &tpm_scheme_of_key, &attested, &signature));
    VLT_TRY(tpm_result(hsm, rc, "certify the wrapping key", fault));
    return tpm_take_statement(attested, signature, &evidence->certify);
}

static vlt_result tpm_quote(struct hsm *hsm, ESYS_TR attestation, const TPM2B_DATA *qualifier,
                            struct fault *fault, struct evidence *evidence) {
    struct tpm *tpm = hsm->device;
    uint32_t pcrs = evidence->boot.created.pcrs ? evidence->boot.created.pcrs : QUOTED_PCRS;
    const TPML_PCR_SELECTION selection = tpm_boot_selection(pcrs);
    TPM2B_ATTEST *attested = NULL;
    TPMT_SIGNATURE *signature = NULL;
    TSS2_RC rc;
    VLT_TRY(tpm_boot_read(hsm, pcrs, fault, &evidence->quoted));
    TPM_SEND(rc, Esys_Quote(tpm->esys, attestation, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                            qualifier, &tpm_scheme_of_key, &selection, &attested, &signature));
    VLT_TRY(tpm_result(hsm, rc, "quote its PCRs", fault));
    return tpm_take_statement(attested, signature, &evidence->quote);
}

static vlt_result tpm_state(struct hsm *hsm, const struct hsm_open_key *key, const char *nonce,
                            ESYS_TR attestation, struct fault *fault, struct evidence *evidence) {
    const struct tpm_key *state = key->state;
    TPM2B_DATA qualifier = {.size = BOOT_DIGEST_BYTES};
    VLT_TRY(evidence_qualifier(nonce, qualifier.buffer));
    evidence->boot = key->record.of.tpm.boot;
    evidence->wrapping.size = 0;
    if (Tss2_MU_TPMT_PUBLIC_Marshal(&state->public_area.publicArea, evidence->wrapping.at,
                                    sizeof evidence->wrapping.at,
                                    &evidence->wrapping.size) != TSS2_RC_SUCCESS)
        return vlt_fail(VLT_BUG, "a public area does not fit");
    VLT_TRY(tpm_object_load(hsm, key, fault));
    VLT_TRY(tpm_certify(hsm, attestation, &qualifier, fault, evidence));
    return tpm_quote(hsm, attestation, &qualifier, fault, evidence);
}

// --- the whole --------------------------------------------------------------

static vlt_result tpm_answer_challenge(struct hsm *hsm, const struct challenge *challenge,
                                       ESYS_TR endorsement, ESYS_TR attestation,
                                       const struct evidence *evidence, struct fault *fault,
                                       char nonce[CHALLENGE_NONCE_SIZE]) {
    uint8_t secret[CHALLENGE_SECRET_BYTES];
    VLT_TRY(tpm_endorsement_activate(hsm, endorsement, attestation, challenge, fault, secret));
    vlt_result result =
        challenge_nonce(secret, &evidence->endorsement, &evidence->attestation, nonce);
    secret_cleanse(secret, sizeof secret);
    return result;
}

vlt_result tpm_attest(struct hsm *hsm, const struct hsm_open_key *key, const char *nonce,
                      const struct challenge *challenge, struct fault *fault,
                      struct evidence *ret_evidence) {
    struct tpm *tpm = hsm->device;
    ESYS_TR endorsement = ESYS_TR_NONE, attestation = ESYS_TR_NONE;
    char answered[CHALLENGE_NONCE_SIZE];
    struct area template;
    memset(ret_evidence, 0, sizeof *ret_evidence);
    // A TPM has three slots: storage key, and two of endorsement, attestation, wrapping key.
    tpm_flush(tpm, &tpm->loaded);
    vlt_result result = tpm_endorsement_find(hsm, fault, ret_evidence, &endorsement);
    area_of_attestation(NULL, &template);
    if (vlt_is_ok(result))
        result = tpm_endorsement_primary(hsm, &template, fault, &ret_evidence->attestation,
                                         &attestation);
    if (vlt_is_ok(result) && challenge) {
        result = tpm_answer_challenge(hsm, challenge, endorsement, attestation, ret_evidence, fault,
                                      answered);
        nonce = answered;
    }
    tpm_endorsement_release(hsm, &endorsement);
    if (vlt_is_ok(result))
        result = tpm_state(hsm, key, nonce, attestation, fault, ret_evidence);
    if (hsm->link == HSM_LINK_HELD)
        tpm_flush(tpm, &attestation);
    secret_cleanse(answered, sizeof answered);
    return result;
}
