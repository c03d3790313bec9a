// SPDX-License-Identifier: Apache-2.0
// An NV index of type counter (TPM 2.0 Library part 1, 37.2.4): the TPM adds one,
// nobody sets it. Written and read with its own authorization, which takes no
// part in dictionary-attack lockout, in the encrypted session, so that a value
// cannot be forged on the bus.
//
// The functions are rows of the table in hsm/device.h, which says what each must do.
#ifndef VLT_HSM_TPM_COUNTER_H
#define VLT_HSM_TPM_COUNTER_H

#include "hsm/device.h"

vlt_result tpm_counter_create(struct hsm *hsm, struct record_counter *record,
                              struct fault *fault) VLT_MUST_USE;
vlt_result tpm_counter_read(struct hsm *hsm, const struct record_counter *record,
                            struct fault *fault, uint64_t *ret_value) VLT_MUST_USE;
vlt_result tpm_counter_advance(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) VLT_MUST_USE;
vlt_result tpm_counter_destroy(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) VLT_MUST_USE;

#endif
