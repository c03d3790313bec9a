// SPDX-License-Identifier: Apache-2.0
// Keys that are bound to measured boot: reading PCRs, and the policy session that
// lets such a key be used once (libvault/tpm/boot.h has the policy).
#ifndef VLT_HSM_TPM_BOOT_H
#define VLT_HSM_TPM_BOOT_H

#include <tss2/tss2_esys.h>

#include "hsm/device.h"

TPML_PCR_SELECTION tpm_boot_selection(uint32_t pcrs);
// Begins a policy in the device's policy session (tpm->policy).
vlt_result tpm_policy_begin(struct hsm *hsm, struct fault *fault) VLT_MUST_USE;
vlt_result tpm_boot_read(struct hsm *hsm, uint32_t pcrs, struct fault *fault,
                         struct boot_state *ret_state) VLT_MUST_USE;
// How a key that is made now is bound: as the settings say, to the state of now.
vlt_result tpm_boot_bind(struct hsm *hsm, struct fault *fault,
                         struct boot_binding *ret_binding) VLT_MUST_USE;
// A session that satisfies the policy of a key so bound, for one command; owned by
// the device. VLT_DENIED, with the PCRs that differ, when nobody approved the
// state of now.
vlt_result tpm_boot_session(struct hsm *hsm, const struct boot_binding *binding,
                            struct fault *fault, ESYS_TR *ret_session) VLT_MUST_USE;

#endif
