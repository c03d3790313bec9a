// SPDX-License-Identifier: Apache-2.0
// What a TPM says about a wrapping key: TPM2_Certify and TPM2_Quote by an
// attestation key, a primary of the endorsement hierarchy that every TPM makes again
// from its seed (libvault/tpm/evidence.h says what that proves).
#ifndef VLT_HSM_TPM_ATTEST_H
#define VLT_HSM_TPM_ATTEST_H

#include <tss2/tss2_esys.h>

#include "hsm/device.h"

vlt_result tpm_attest(struct hsm *hsm, const struct hsm_open_key *key, const char *nonce,
                      const struct challenge *challenge, struct fault *fault,
                      struct evidence *ret_evidence) VLT_MUST_USE;

// --- hsm/tpm/endorsement.c ----------------------------------------------------

// The endorsement certificate from NV memory and the key that it is for, made again
// or found where its maker left it. VLT_NOT_FOUND: the TPM has none that we know.
// The caller releases *ret_key with tpm_endorsement_release.
vlt_result tpm_endorsement_find(struct hsm *hsm, struct fault *fault, struct evidence *evidence,
                                ESYS_TR *ret_key) VLT_MUST_USE;
void tpm_endorsement_release(struct hsm *hsm, ESYS_TR *key);
// The secret of a challenge: needs both keys of this TPM.
vlt_result tpm_endorsement_activate(struct hsm *hsm, ESYS_TR endorsement, ESYS_TR attestation,
                                    const struct challenge *challenge, struct fault *fault,
                                    uint8_t ret_secret[CHALLENGE_SECRET_BYTES]) VLT_MUST_USE;
// A primary of the endorsement hierarchy by its template; its public area.
vlt_result tpm_endorsement_primary(struct hsm *hsm, const struct area *template,
                                   struct fault *fault, struct area *ret_area,
                                   ESYS_TR *ret_key) VLT_MUST_USE;

#endif
