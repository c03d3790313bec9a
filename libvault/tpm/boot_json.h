// SPDX-License-Identifier: Apache-2.0
// PCR values as JSON: {"4":"<64 hex digits>", …}. In records, in the Admin API and
// in evidence.
#ifndef VLT_TPM_BOOT_JSON_H
#define VLT_TPM_BOOT_JSON_H

#include <jansson.h>

#include "libvault/tpm/boot.h"

json_t *boot_json_values(const struct boot_state *state);
// VLT_MALFORMED with a fault unless it is an object of PCRs that may count.
vlt_result boot_json_read_values(const json_t *values, struct fault *fault,
                                 struct boot_state *ret_state) VLT_MUST_USE;

#endif
