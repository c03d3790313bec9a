// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/patrol.h"

#include "libvault/audit/log_pruned.h"
#include "libvault/audit/log_verify.h"

// One look may have met a file that somebody was about to put back, and several no file
// descriptor or no memory.
static vlt_result doubt(struct patrol *patrol, vlt_result result) {
    bool is_unread = result.class == VLT_UNAVAILABLE;
    patrol->bad_looks++;
    if (patrol->bad_looks < (is_unread ? PATROL_UNREAD_LOOKS : PATROL_BAD_LOOKS))
        return vlt_ok();
    return vlt_fail(VLT_CONFLICT, is_unread ? "a file of the audit log can not be read"
                                            : "a file of the audit log is missing or was altered");
}

// What is gone is met only when its turn comes; the file is there at once, or is not.
static vlt_result look_at_pruned(struct patrol *patrol, int folder, struct fault *fault) {
    struct log_pruned pruned;
    VLT_TRY(log_pruned_read(folder, fault, &pruned));
    if (pruned.until < patrol->pruned)
        return fault_set(fault, VLT_CRYPTO, "the file pruned was removed or altered",
                         "the file pruned does not say any more that entries 1 to %llu are gone: "
                         "`vaultctl audit verify` says what belongs into it",
                         (unsigned long long)patrol->pruned);
    if (pruned.until > patrol->pruned)
        return fault_set(fault, VLT_CRYPTO, "the file pruned was altered",
                         "the file pruned says that entries 1 to %llu are gone, and the vault has "
                         "pruned %llu: restore that file, or remove it if there was none, and "
                         "restore the entries from the archive",
                         (unsigned long long)pruned.until, (unsigned long long)patrol->pruned);
    return vlt_ok();
}

vlt_result patrol_look(struct patrol *patrol, int folder, const struct checkpoint *at,
                       struct fault *fault) {
    uint64_t bundles = (at->size + TILE_WIDTH - 1) / TILE_WIDTH;
    if (patrol->next >= bundles)
        patrol->next = 0;
    if (bundles == 0)
        return vlt_ok();
    vlt_result result = log_verify_part(folder, at, patrol->next, PATROL_BUNDLES, fault);
    if (vlt_is_ok(result))
        result = look_at_pruned(patrol, folder, fault);
    if (!vlt_is_ok(result))
        return doubt(patrol, result);
    patrol->bad_looks = 0;
    patrol->next += PATROL_BUNDLES;
    return vlt_ok();
}
