// SPDX-License-Identifier: Apache-2.0
// STORE_BOOT_APPROVAL: a state of the machine that the approver signed, in which
// wrapping keys that are bound to measured boot may be used.
// JSON: schemas/boot-approval.schema.json. Needs no secrecy, and no protection: a
// TPM accepts it only with the approver's signature.
#ifndef VLT_STORE_RECORD_BOOT_H
#define VLT_STORE_RECORD_BOOT_H

#include "libvault/store/record_tenant.h"
#include "libvault/tpm/boot.h"

struct record_boot {
    struct boot_approval approval; // its name is the record's name
    int64_t approved_at;
};
vlt_result record_boot_parse(struct bytes json, struct fault *fault,
                             struct record_boot *ret_boot) VLT_MUST_USE;
json_t *record_boot_json(const struct record_boot *boot);

#endif
