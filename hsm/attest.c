// SPDX-License-Identifier: Apache-2.0
#include "hsm/device.h"

static vlt_result step_attest(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->attest(hsm, hsm_newest_key(hsm), call->nonce, call->challenge, fault,
                            call->ret_evidence);
}

vlt_result hsm_attest(struct hsm *hsm, const char *nonce, const struct challenge *challenge,
                      struct fault *fault, struct evidence *ret_evidence) {
    if (!hsm->ops->attest)
        return fault_set(fault, VLT_NOT_FOUND, "the device can not attest",
                         "only a TPM can attest where its keys are");
    if (!hsm->key_count)
        return vlt_fail(VLT_BUG, "no wrapping key is open");
    if (!nonce == !challenge || (nonce && !evidence_nonce_is_valid(nonce)))
        return vlt_fail(VLT_MALFORMED, "give a nonce (8 to 128 characters) or a challenge");
    struct hsm_call call = {
        .step = step_attest, .nonce = nonce, .challenge = challenge, .ret_evidence = ret_evidence};
    return hsm_run(hsm, &call, fault);
}
