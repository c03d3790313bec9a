// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/patrol.h"

#include "libvault/audit/log_verify.h"

// One look may have met a bundle that is being pruned, or a file descriptor short.
static vlt_result doubt(struct patrol *patrol, vlt_result result) {
    bool is_second = patrol->is_doubtful;
    if (result.class == VLT_UNAVAILABLE)
        return vlt_ok(); // nothing was seen, good or bad
    patrol->is_doubtful = true;
    return is_second ? vlt_fail(VLT_CONFLICT, "a file of the audit log is missing or was altered")
                     : vlt_ok();
}

vlt_result patrol_look(struct patrol *patrol, int folder, const struct checkpoint *at,
                       struct fault *fault) {
    uint64_t bundles = (at->size + TILE_WIDTH - 1) / TILE_WIDTH;
    if (patrol->next >= bundles)
        patrol->next = 0;
    if (bundles == 0)
        return vlt_ok();
    vlt_result result = log_verify_part(folder, at, patrol->next, PATROL_BUNDLES, fault);
    if (!vlt_is_ok(result))
        return doubt(patrol, result);
    patrol->is_doubtful = false;
    patrol->next += PATROL_BUNDLES;
    return vlt_ok();
}
