// SPDX-License-Identifier: Apache-2.0
// Where TPM response codes end: the one place that turns a TSS2_RC into a
// result, a sentence for people, and a judgement about the connection
// (TPM 2.0 Library part 2, 6.6; TSS 2.0 overview, 3.2).
#ifndef VLT_HSM_TPM_RESULT_H
#define VLT_HSM_TPM_RESULT_H

#include <tss2/tss2_common.h>

#include "hsm/device.h"

// "TPM_RC_LOCKOUT" and the like: name for messages; never NULL.
const char *tpm_result_name(TSS2_RC rc);
// The TPM asks to send the same command again (RETRY, YIELDED, TESTING, NV_RATE).
bool tpm_result_is_wait(TSS2_RC rc);
// The TPM objects to a parameter: to bytes that we sent, not to a state.
bool tpm_result_is_parameter(TSS2_RC rc);
// A PCR was extended between the beginning of a policy and its use.
bool tpm_result_is_boot_change(TSS2_RC rc);
// `doing` completes "TPM … cannot …". Sets hsm->link.
vlt_result tpm_result(struct hsm *hsm, TSS2_RC rc, const char *doing,
                      struct fault *fault) VLT_MUST_USE;

#endif
