// SPDX-License-Identifier: Apache-2.0
// The token signing key of a PKCS#11 device: a P-256 pair that the device made,
// sensitive and not extractable from birth, with the one usage of signing
// (PKCS#11 2.40, 2.3.6: CKM_ECDSA signs a digest, the signature is r and s).
//
// The functions are rows of the table in hsm/device.h, which says what each must do.
#ifndef VLT_HSM_P11_SIGNER_H
#define VLT_HSM_P11_SIGNER_H

#include "hsm/p11/device.h"

vlt_result p11_signer_create(struct hsm *hsm, struct hsm_signer *signer,
                             struct fault *fault) VLT_MUST_USE;
vlt_result p11_signer_sign(struct hsm *hsm, const struct hsm_signer *signer,
                           const uint8_t digest[HSM_DIGEST_BYTES], struct fault *fault,
                           uint8_t ret_signature[HSM_SIGNATURE_BYTES]) VLT_MUST_USE;
vlt_result p11_signer_destroy(struct hsm *hsm, const struct hsm_signer *signer,
                              struct fault *fault) VLT_MUST_USE;

#endif
