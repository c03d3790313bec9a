// SPDX-License-Identifier: Apache-2.0
// A private data object (CKO_DATA) whose value is the number, 8 bytes big-endian.
// It is never changed in place: a new object is made, then the old one removed,
// and the highest counts, so that a crash in between loses nothing.
//
// The functions are rows of the table in hsm/device.h, which says what each must do.
#ifndef VLT_HSM_P11_COUNTER_H
#define VLT_HSM_P11_COUNTER_H

#include "hsm/p11/device.h"

vlt_result p11_counter_create(struct hsm *hsm, struct record_counter *record,
                              struct fault *fault) VLT_MUST_USE;
vlt_result p11_counter_read(struct hsm *hsm, const struct record_counter *record,
                            struct fault *fault, uint64_t *ret_value) VLT_MUST_USE;
vlt_result p11_counter_advance(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) VLT_MUST_USE;
vlt_result p11_counter_destroy(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) VLT_MUST_USE;

#endif
