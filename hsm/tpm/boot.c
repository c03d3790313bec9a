// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/boot.h"

#include <tss2/tss2_mu.h>

#include "hsm/tpm/device.h"
#include "hsm/tpm/result.h"
#include "libvault/crypto/digest.h"

// --- reading ----------------------------------------------------------------

TPML_PCR_SELECTION tpm_boot_selection(uint32_t pcrs) {
    TPML_PCR_SELECTION s = {.count = 1};
    s.pcrSelections[0].hash = TPM2_ALG_SHA256;
    s.pcrSelections[0].sizeofSelect = 3;
    for (unsigned i = 0; i < 3; i++)
        s.pcrSelections[0].pcrSelect[i] = (uint8_t)(pcrs >> (8 * i));
    return s;
}

// What one answer holds: values of the PCRs that it names, in their order.
// Returns those PCRs; 0 when it is not one that fits the question.
static uint32_t tpm_boot_take(const TPML_PCR_SELECTION *told, const TPML_DIGEST *values,
                              struct boot_state *state) {
    uint32_t got = 0;
    UINT32 next = 0;
    if (told->count != 1 || told->pcrSelections[0].hash != TPM2_ALG_SHA256)
        return 0;
    for (unsigned i = 0; i < BOOT_PCRS && i / 8 < told->pcrSelections[0].sizeofSelect; i++) {
        if (!(told->pcrSelections[0].pcrSelect[i / 8] >> (i % 8) & 1))
            continue;
        if (next == values->count || values->digests[next].size != BOOT_PCR_BYTES)
            return 0;
        memcpy(state->values[i], values->digests[next++].buffer, BOOT_PCR_BYTES);
        got |= 1u << i;
    }
    return got;
}

vlt_result tpm_boot_read(struct hsm *hsm, uint32_t pcrs, struct fault *fault,
                         struct boot_state *ret_state) {
    struct tpm *tpm = hsm->device;
    struct boot_state state = {.pcrs = pcrs};
    for (uint32_t left = pcrs; left;) { // a TPM tells at most eight at a time
        const TPML_PCR_SELECTION wanted = tpm_boot_selection(left);
        TPML_PCR_SELECTION *told = NULL;
        TPML_DIGEST *values = NULL;
        TSS2_RC rc;
        TPM_SEND(rc, Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted,
                                   NULL, &told, &values));
        VLT_TRY(tpm_result(hsm, rc, "read its PCRs", fault));
        uint32_t got = tpm_boot_take(told, values, &state) & left;
        Esys_Free(told);
        Esys_Free(values);
        if (!got)
            return fault_set(fault, VLT_UNAVAILABLE, "TPM does not tell its PCRs",
                             "TPM %s does not tell the SHA-256 values of all the PCRs that were "
                             "asked for: is its SHA-256 bank switched on in the firmware?",
                             hsm->settings.tcti);
        left &= ~got;
    }
    *ret_state = state;
    return vlt_ok();
}

vlt_result tpm_boot_bind(struct hsm *hsm, struct fault *fault, struct boot_binding *ret_binding) {
    struct boot_binding binding = {.created = {.pcrs = 0}};
    if (hsm->settings.boot_pcrs)
        VLT_TRY(tpm_boot_read(hsm, hsm->settings.boot_pcrs, fault, &binding.created));
    memcpy(binding.approver, hsm->settings.boot_approver, sizeof binding.approver);
    *ret_binding = binding;
    return vlt_ok();
}

// --- which state is this? ---------------------------------------------------

// Whoever can write the store can write approvals: one that the approver did not
// sign is as good as none.
static bool tpm_boot_counts(const struct boot_approval *approval,
                            const struct boot_binding *binding) {
    return approval->state.pcrs == binding->created.pcrs &&
           vlt_is_ok(boot_approval_verify(approval, binding->approver));
}

static vlt_result tpm_boot_refuse(struct hsm *hsm, const struct boot_binding *binding,
                                  const struct boot_state *now, struct fault *fault) {
    char differing[BOOT_LIST_SIZE], nearest_differing[BOOT_LIST_SIZE] = "";
    const struct boot_approval *nearest = NULL;
    for (size_t i = 0; i < hsm->approval_count; i++) {
        const struct boot_approval *a = &hsm->approvals[i];
        if (tpm_boot_counts(a, binding) &&
            (!nearest || __builtin_popcount(boot_difference(now, &a->state)) <
                             __builtin_popcount(boot_difference(now, &nearest->state))))
            nearest = a;
    }
    boot_list(boot_difference(now, &binding->created), differing);
    if (nearest)
        boot_list(boot_difference(now, &nearest->state), nearest_differing);
    return fault_set(fault, VLT_DENIED, "boot state is not approved",
                     "this machine booted something that is not approved: PCR %s differ from the "
                     "state in which the wrapping key was made%s%s%s%s%s; when that is right, "
                     "approve it: vaultctl device authorize-boot; else boot what was approved",
                     differing, nearest ? ", PCR " : "", nearest_differing,
                     nearest ? " from the approved state '" : "", nearest ? nearest->name : "",
                     nearest ? "'" : "");
}

// *ret_approval is NULL when it is the state in which the key was made.
static vlt_result tpm_boot_recognise(struct hsm *hsm, const struct boot_binding *binding,
                                     const struct boot_state *now, struct fault *fault,
                                     const struct boot_approval **ret_approval) {
    hsm->description.boot_name[0] = 0;
    *ret_approval = NULL;
    if (!boot_difference(now, &binding->created))
        return vlt_ok();
    for (size_t i = 0; i < hsm->approval_count; i++)
        if (!boot_difference(now, &hsm->approvals[i].state) &&
            tpm_boot_counts(&hsm->approvals[i], binding)) {
            *ret_approval = &hsm->approvals[i];
            memcpy(hsm->description.boot_name, hsm->approvals[i].name,
                   sizeof hsm->description.boot_name);
            return vlt_ok();
        }
    return tpm_boot_refuse(hsm, binding, now, fault);
}

// --- the policy session -----------------------------------------------------

vlt_result tpm_policy_begin(struct hsm *hsm, struct fault *fault) {
    struct tpm *tpm = hsm->device;
    if (tpm->policy == ESYS_TR_NONE)
        return tpm_start_session(hsm, TPM2_SE_POLICY, fault, &tpm->policy);
    TSS2_RC rc;
    TPM_SEND(rc,
             Esys_PolicyRestart(tpm->esys, tpm->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE));
    return tpm_result(hsm, rc, "begin a policy", fault);
}

// The approver's key in the TPM, for as long as it takes to check one signature.
static vlt_result tpm_boot_verify(struct hsm *hsm, const struct boot_binding *binding,
                                  const struct boot_approval *approval, struct fault *fault,
                                  TPMT_TK_VERIFIED *ret_ticket) {
    struct tpm *tpm = hsm->device;
    uint8_t area[BOOT_APPROVER_PUBLIC_BYTES], message[BOOT_TO_SIGN_BYTES];
    TPM2B_PUBLIC public_area = {.size = 0};
    TPM2B_DIGEST digest = {.size = BOOT_DIGEST_BYTES};
    ESYS_TR approver = ESYS_TR_NONE;
    TPMT_TK_VERIFIED *ticket = NULL;
    TPMT_SIGNATURE signature = {.sigAlg = TPM2_ALG_ECDSA};
    TPMS_SIGNATURE_ECC *ecdsa = &signature.signature.ecdsa;
    ecdsa->hash = TPM2_ALG_SHA256;
    ecdsa->signatureR.size = ecdsa->signatureS.size = 32;
    memcpy(ecdsa->signatureR.buffer, approval->signature, 32);
    memcpy(ecdsa->signatureS.buffer, approval->signature + 32, 32);
    boot_approver_public(binding->approver, area);
    VLT_TRY(boot_to_sign(&approval->state, message));
    VLT_TRY(digest_sha256(bytes_of(message, sizeof message), digest.buffer));
    if (Tss2_MU_TPMT_PUBLIC_Unmarshal(area, sizeof area, NULL, &public_area.publicArea) !=
        TSS2_RC_SUCCESS)
        return vlt_fail(VLT_BUG, "the approver's public area is not one");
    TSS2_RC rc;
    TPM_SEND(rc, Esys_LoadExternal(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
                                   &public_area, ESYS_TR_RH_OWNER, &approver));
    VLT_TRY(tpm_result(hsm, rc, "load the approver's key", fault));
    TPM_SEND(rc, Esys_VerifySignature(tpm->esys, approver, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                      &digest, &signature, &ticket));
    vlt_result result = tpm_result(hsm, rc, "check the approval of its boot state", fault);
    if (vlt_is_ok(result))
        *ret_ticket = *ticket;
    Esys_Free(ticket);
    if (vlt_is_ok(result) || hsm->link == HSM_LINK_HELD)
        tpm_flush(tpm, &approver);
    return result;
}

static vlt_result tpm_boot_authorize(struct hsm *hsm, const struct boot_binding *binding,
                                     const struct boot_approval *approval, struct fault *fault) {
    struct tpm *tpm = hsm->device;
    TPMT_TK_VERIFIED ticket;
    TPM2B_DIGEST approved = {.size = BOOT_DIGEST_BYTES};
    TPM2B_NONCE reference = {.size = sizeof BOOT_POLICY_REF - 1};
    TPM2B_NAME name = {.size = RECORD_TPM_NAME_BYTES};
    memcpy(reference.buffer, BOOT_POLICY_REF, reference.size);
    VLT_TRY(boot_state_policy(&approval->state, approved.buffer));
    VLT_TRY(boot_approver_name(binding->approver, name.name));
    VLT_TRY(tpm_boot_verify(hsm, binding, approval, fault, &ticket));
    TSS2_RC rc;
    TPM_SEND(rc, Esys_PolicyAuthorize(tpm->esys, tpm->policy, ESYS_TR_NONE, ESYS_TR_NONE,
                                      ESYS_TR_NONE, &approved, &reference, &name, &ticket));
    return tpm_result(hsm, rc, "accept the approval of its boot state", fault);
}

static vlt_result tpm_boot_either(struct hsm *hsm, const struct boot_binding *binding,
                                  struct fault *fault) {
    struct tpm *tpm = hsm->device;
    TPML_DIGEST branches = {.count = 2};
    branches.digests[0].size = branches.digests[1].size = BOOT_DIGEST_BYTES;
    VLT_TRY(boot_state_policy(&binding->created, branches.digests[0].buffer));
    VLT_TRY(boot_approver_policy(binding->approver, branches.digests[1].buffer));
    TSS2_RC rc;
    TPM_SEND(rc, Esys_PolicyOR(tpm->esys, tpm->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               &branches));
    VLT_TRY(tpm_result(hsm, rc, "choose a branch of the policy", fault));
    TPM_SEND(
        rc, Esys_PolicyAuthValue(tpm->esys, tpm->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE));
    return tpm_result(hsm, rc, "add the authorization to the policy", fault);
}

vlt_result tpm_boot_session(struct hsm *hsm, const struct boot_binding *binding,
                            struct fault *fault, ESYS_TR *ret_session) {
    struct tpm *tpm = hsm->device;
    const TPML_PCR_SELECTION selection = tpm_boot_selection(binding->created.pcrs);
    const TPM2B_DIGEST as_they_are = {.size = 0};
    const struct boot_approval *approval;
    struct boot_state now;
    VLT_TRY(tpm_boot_read(hsm, binding->created.pcrs, fault, &now));
    VLT_TRY(tpm_boot_recognise(hsm, binding, &now, fault, &approval));
    VLT_TRY(tpm_policy_begin(hsm, fault));
    TSS2_RC rc;
    TPM_SEND(rc, Esys_PolicyPCR(tpm->esys, tpm->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                &as_they_are, &selection));
    VLT_TRY(tpm_result(hsm, rc, "look at its PCRs", fault));
    if (approval)
        VLT_TRY(tpm_boot_authorize(hsm, binding, approval, fault));
    VLT_TRY(tpm_boot_either(hsm, binding, fault));
    *ret_session = tpm->policy;
    return vlt_ok();
}
