// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/result.h"

#include <tss2/tss2_tpm2_types.h>

#include "hsm/tpm/device.h"

// Part 2, 6.6.2: format 1 codes carry the number of the handle, session or
// parameter in bits that do not belong to the error itself.
static TSS2_RC tpm_code(TSS2_RC rc) {
    rc &= ~TSS2_RC_LAYER_MASK;
    return rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

// Did the TPM itself (perhaps through a resource manager) say it?
static bool tpm_is_from_tpm(TSS2_RC rc) {
    TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;
    return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

bool tpm_result_is_parameter(TSS2_RC rc) {
    return tpm_is_from_tpm(rc) && (rc & TPM2_RC_FMT1) && (rc & TPM2_RC_P);
}

bool tpm_result_is_boot_change(TSS2_RC rc) {
    TSS2_RC code = tpm_code(rc);
    return tpm_is_from_tpm(rc) && (code == TPM2_RC_PCR_CHANGED || code == TPM2_RC_POLICY_FAIL);
}

static const struct tpm_code_text {
    TSS2_RC code;
    const char *name;
} tpm_code_texts[] = {
    {TPM2_RC_INITIALIZE, "TPM_RC_INITIALIZE"},
    {TPM2_RC_FAILURE, "TPM_RC_FAILURE"},
    {TPM2_RC_DISABLED, "TPM_RC_DISABLED"},
    {TPM2_RC_REBOOT, "TPM_RC_REBOOT"},
    {TPM2_RC_HIERARCHY, "TPM_RC_HIERARCHY"},
    {TPM2_RC_AUTH_FAIL, "TPM_RC_AUTH_FAIL"},
    {TPM2_RC_BAD_AUTH, "TPM_RC_BAD_AUTH"},
    {TPM2_RC_INTEGRITY, "TPM_RC_INTEGRITY"},
    {TPM2_RC_BINDING, "TPM_RC_BINDING"},
    {TPM2_RC_ECC_POINT, "TPM_RC_ECC_POINT"},
    {TPM2_RC_HANDLE, "TPM_RC_HANDLE"},
    {TPM2_RC_VALUE, "TPM_RC_VALUE"},
    {TPM2_RC_SIZE, "TPM_RC_SIZE"},
    {TPM2_RC_ATTRIBUTES, "TPM_RC_ATTRIBUTES"},
    {TPM2_RC_CURVE, "TPM_RC_CURVE"},
    {TPM2_RC_OBJECT_MEMORY, "TPM_RC_OBJECT_MEMORY"},
    {TPM2_RC_SESSION_MEMORY, "TPM_RC_SESSION_MEMORY"},
    {TPM2_RC_SESSION_HANDLES, "TPM_RC_SESSION_HANDLES"},
    {TPM2_RC_MEMORY, "TPM_RC_MEMORY"},
    {TPM2_RC_CONTEXT_GAP, "TPM_RC_CONTEXT_GAP"},
    {TPM2_RC_YIELDED, "TPM_RC_YIELDED"},
    {TPM2_RC_CANCELED, "TPM_RC_CANCELED"},
    {TPM2_RC_TESTING, "TPM_RC_TESTING"},
    {TPM2_RC_NV_RATE, "TPM_RC_NV_RATE"},
    {TPM2_RC_LOCKOUT, "TPM_RC_LOCKOUT"},
    {TPM2_RC_RETRY, "TPM_RC_RETRY"},
    {TPM2_RC_NV_UNAVAILABLE, "TPM_RC_NV_UNAVAILABLE"},
    {TPM2_RC_PCR_CHANGED, "TPM_RC_PCR_CHANGED"},
    {TPM2_RC_POLICY_FAIL, "TPM_RC_POLICY_FAIL"},
    {TPM2_RC_SIGNATURE, "TPM_RC_SIGNATURE"},
    {TPM2_RC_TICKET, "TPM_RC_TICKET"},
};

const char *tpm_result_name(TSS2_RC rc) {
    if (!tpm_is_from_tpm(rc))
        return "TSS2_RC";
    for (size_t i = 0; i < sizeof tpm_code_texts / sizeof *tpm_code_texts; i++)
        if (tpm_code_texts[i].code == tpm_code(rc))
            return tpm_code_texts[i].name;
    return "TPM_RC";
}

bool tpm_result_is_wait(TSS2_RC rc) {
    TSS2_RC code = tpm_code(rc);
    return tpm_is_from_tpm(rc) && (code == TPM2_RC_RETRY || code == TPM2_RC_YIELDED ||
                                   code == TPM2_RC_TESTING || code == TPM2_RC_NV_RATE);
}

// A key, session or whole state that was there is not any more: the TPM was
// restarted or somebody flushed it. Reaching it anew brings everything back.
static bool tpm_is_forgotten(TSS2_RC code) {
    return (code >= TPM2_RC_REFERENCE_H0 && code <= TPM2_RC_REFERENCE_S6) ||
           code == TPM2_RC_HANDLE || code == TPM2_RC_INITIALIZE || code == TPM2_RC_REBOOT ||
           code == TPM2_RC_CONTEXT_GAP || code == TPM2_RC_CANCELED ||
           code == TPM2_RC_OBJECT_MEMORY || code == TPM2_RC_SESSION_MEMORY ||
           code == TPM2_RC_SESSION_HANDLES || code == TPM2_RC_MEMORY;
}

static vlt_result tpm_link_result(struct hsm *hsm, TSS2_RC rc, const char *doing,
                                  struct fault *fault) {
    const struct tpm *tpm = hsm->device;
    if (tpm && tpm_link_timed_out(tpm->link)) {
        hsm->link = HSM_LINK_BROKEN; // trying again at once would only wait again
        return fault_set(fault, VLT_UNAVAILABLE, "TPM does not answer in time",
                         "TPM %s does not answer within %u ms (cannot %s): it hangs, or another "
                         "program holds it; the next call tries again",
                         hsm->settings.tcti, tpm_timeout_ms(hsm), doing);
    }
    hsm->link = HSM_LINK_TRY_AGAIN;
    return fault_set(fault, VLT_UNAVAILABLE, "connection to the TPM is broken",
                     "connection to TPM %s is broken (cannot %s, code 0x%x): is it, or its daemon, "
                     "still running? The next call tries again",
                     hsm->settings.tcti, doing, (unsigned)rc);
}

vlt_result tpm_result(struct hsm *hsm, TSS2_RC rc, const char *doing, struct fault *fault) {
    if (rc == TSS2_RC_SUCCESS)
        return vlt_ok();
    if (!tpm_is_from_tpm(rc))
        return tpm_link_result(hsm, rc, doing, fault);
    const char *tcti = hsm->settings.tcti, *name = tpm_result_name(rc);
    TSS2_RC code = tpm_code(rc);
    if (code == TPM2_RC_BAD_AUTH || code == TPM2_RC_AUTH_FAIL)
        return fault_set(fault, VLT_DENIED, "TPM refused the authorization",
                         "TPM %s refused the authorization (cannot %s, %s): the PIN file is not "
                         "the one this key was made with, or the owner hierarchy has a password",
                         tcti, doing, name);
    if (code == TPM2_RC_LOCKOUT)
        return fault_set(
            fault, VLT_UNAVAILABLE, "TPM is in dictionary-attack lockout",
            "TPM %s is in dictionary-attack lockout (cannot %s): another program "
            "tried wrong passwords; wait, or run tpm2_dictionarylockout --clear-lockout",
            tcti, doing);
    if (tpm_result_is_boot_change(rc))
        return fault_set(fault, VLT_UNAVAILABLE, "boot state changes while the key is used",
                         "TPM %s cannot %s (%s): PCRs are being extended right now; the next call "
                         "tries again",
                         tcti, doing, name);
    if (code == TPM2_RC_INTEGRITY || code == TPM2_RC_BINDING || code == TPM2_RC_ECC_POINT)
        return fault_set(fault, VLT_CRYPTO, "TPM refused altered bytes",
                         "TPM %s refused altered bytes (cannot %s, %s): restore the store from a "
                         "backup",
                         tcti, doing, name);
    if (tpm_is_forgotten(code))
        hsm->link = HSM_LINK_TRY_AGAIN;
    return fault_set(fault, VLT_UNAVAILABLE, "TPM reports an error",
                     "TPM %s cannot %s (%s, 0x%x)%s", tcti, doing, name, (unsigned)rc,
                     code == TPM2_RC_FAILURE ? ": it is in failure mode; restart the machine"
                     : code == TPM2_RC_HIERARCHY
                         ? ": the owner hierarchy is disabled in the firmware"
                     : tpm_is_forgotten(code) ? ": it was restarted, or other programs use up its "
                                                "slots; prefer device:/dev/tpmrm0"
                                              : "");
}
