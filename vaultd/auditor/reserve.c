// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/reserve.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "libvault/base/clock.h"
#include "vaultd/log/log.h"

static bool is_decision(enum audit_kind kind) {
    return kind == AUDIT_ISSUE || kind == AUDIT_REDEEM || kind == AUDIT_INTROSPECT ||
           kind == AUDIT_EVALUATE;
}

static bool is_short(int folder) {
    struct statvfs status;
    if (fstatvfs(folder, &status) != 0 || status.f_blocks == 0)
        return false; // it does not say; a write will
    uint64_t size = (uint64_t)status.f_blocks * status.f_frsize;
    uint64_t left = (uint64_t)status.f_bavail * status.f_frsize;
    return left < (size / 16 < RESERVE_BYTES ? size / 16 : RESERVE_BYTES);
}

static void look(struct reserve *reserve, int folder) {
    int64_t now_ms = clock_elapsed_ms();
    if (reserve->has_looked && now_ms - reserve->looked_ms < RESERVE_LOOK_MS)
        return;
    bool was_touched = reserve->is_touched;
    reserve->has_looked = true;
    reserve->looked_ms = now_ms;
    reserve->is_touched = is_short(folder);
    if (reserve->is_touched && !was_touched)
        log_error("decisions stop: the disk of the audit log is full (%s); what is left is for "
                  "administration. Make room",
                  strerror(ENOSPC));
    else if (!reserve->is_touched && was_touched)
        log_notice("the disk of the audit log has room again; decisions go on");
}

bool reserve_is_touched(struct reserve *reserve, int folder) {
    look(reserve, folder);
    return reserve->is_touched;
}

vlt_result reserve_permit(struct reserve *reserve, int folder, enum audit_kind kind) {
    return reserve_is_touched(reserve, folder) && is_decision(kind)
               ? vlt_fail(VLT_UNAVAILABLE, "the disk of the audit log is full")
               : vlt_ok();
}
