// SPDX-License-Identifier: Apache-2.0
#include "hsm/device.h"

static vlt_result signer_check_kind(const struct hsm *hsm, struct fault *fault) {
    if (hsm->ops->sign)
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "this kind of device does not sign tokens",
                     "only a PKCS#11 device can keep the token signing key; set "
                     "tokens.signing_key to memory");
}

static vlt_result step_signer_create(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->signer_create(hsm, call->signer, fault);
}

vlt_result hsm_signer_create(struct hsm *hsm, struct fault *fault, struct hsm_signer *ret_signer) {
    VLT_TRY(signer_check_kind(hsm, fault));
    struct hsm_signer signer;
    struct hsm_call call = {.step = step_signer_create, .is_once = true, .signer = &signer};
    VLT_TRY(hsm_run(hsm, &call, fault));
    *ret_signer = signer;
    return vlt_ok();
}

static vlt_result step_sign(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->sign(hsm, call->signer, call->digest, fault, call->ret_signature);
}

// Twice at most, like an unwrap: a signature that was lost is worth nothing.
vlt_result hsm_sign(struct hsm *hsm, const struct hsm_signer *signer,
                    const uint8_t digest[HSM_DIGEST_BYTES], struct fault *fault,
                    uint8_t ret_signature[HSM_SIGNATURE_BYTES]) {
    VLT_TRY(signer_check_kind(hsm, fault));
    struct hsm_signer copy = *signer;
    uint8_t signature[HSM_SIGNATURE_BYTES] = {0};
    struct hsm_call call = {
        .step = step_sign, .signer = &copy, .digest = digest, .ret_signature = signature};
    VLT_TRY(hsm_run(hsm, &call, fault));
    memcpy(ret_signature, signature, sizeof signature);
    return vlt_ok();
}

static vlt_result step_signer_destroy(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->signer_destroy(hsm, call->signer, fault);
}

vlt_result hsm_signer_destroy(struct hsm *hsm, const uint8_t id[HSM_KEY_ID_BYTES],
                              struct fault *fault) {
    VLT_TRY(signer_check_kind(hsm, fault));
    struct hsm_signer signer = {.point = {0}};
    memcpy(signer.id, id, sizeof signer.id);
    struct hsm_call call = {.step = step_signer_destroy, .is_once = true, .signer = &signer};
    return hsm_run(hsm, &call, fault);
}
