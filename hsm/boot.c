// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "hsm/device.h"

vlt_result hsm_approvals_set(struct hsm *hsm, const struct boot_approval *approvals, size_t count) {
    if (count > HSM_APPROVALS_MAX)
        return vlt_fail(VLT_LIMIT, "too many approved boot states");
    struct boot_approval *copy = calloc(count ? count : 1, sizeof *copy);
    if (!copy)
        return vlt_fail(VLT_LIMIT, "out of memory");
    for (size_t i = 0; i < count; i++) {
        copy[i] = approvals[i];
        copy[i].name[sizeof copy[i].name - 1] = 0;
    }
    free(hsm->approvals);
    hsm->approvals = copy;
    hsm->approval_count = count;
    return vlt_ok();
}

vlt_result hsm_boot_bind(struct hsm *hsm, uint32_t pcrs, const uint8_t approver[BOOT_POINT_BYTES],
                         struct fault *fault) {
    if (pcrs)
        VLT_TRY(boot_pcrs_check(pcrs, fault));
    hsm->settings.boot_pcrs = pcrs;
    memcpy(hsm->settings.boot_approver, approver, BOOT_POINT_BYTES);
    return vlt_ok();
}

static vlt_result step_boot_read(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->boot_read(hsm, (uint32_t)call->value, fault, call->ret_boot);
}

vlt_result hsm_boot_read(struct hsm *hsm, uint32_t pcrs, struct fault *fault,
                         struct boot_state *ret_state) {
    if (!hsm->ops->boot_read)
        return fault_set(fault, VLT_NOT_FOUND, "the device knows nothing of measured boot",
                         "only a TPM knows what this machine booted");
    struct boot_state state = {.pcrs = 0};
    struct hsm_call call = {.step = step_boot_read, .value = pcrs, .ret_boot = &state};
    VLT_TRY(hsm_run(hsm, &call, fault));
    *ret_state = state;
    return vlt_ok();
}

vlt_result hsm_key_boot(const struct hsm_key *key, struct boot_binding *ret_binding) {
    struct hsm_record record;
    if (key->size > sizeof key->at)
        return vlt_fail(VLT_BUG, "key record has no valid size");
    VLT_TRY(hsm_record_decode(bytes_of(key->at, key->size), &record));
    struct boot_binding none = {.created = {.pcrs = 0}};
    *ret_binding = record.kind == HSM_TPM ? record.of.tpm.boot : none;
    return vlt_ok();
}
