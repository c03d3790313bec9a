// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/reserve.h"

#include "libvault/base/clock.h"
#include "vaultd/auditor/spare.h"
#include "vaultd/log/log.h"

static bool is_decision(enum audit_kind kind) {
    return kind == AUDIT_ISSUE || kind == AUDIT_REDEEM || kind == AUDIT_INTROSPECT ||
           kind == AUDIT_EVALUATE;
}

static void look(struct reserve *reserve, int folder) {
    int64_t now_ms = clock_elapsed_ms();
    if (reserve->has_looked && now_ms - reserve->looked_ms < RESERVE_LOOK_MS)
        return;
    bool was_touched = reserve->is_touched;
    reserve->has_looked = true;
    reserve->looked_ms = now_ms;
    reserve->is_touched = spare_disk_left(folder) < RESERVE_BYTES;
    if (reserve->is_touched && !was_touched)
        log_error("decisions stop: the disk of the audit log is full; the last %u KiB are for "
                  "administration. Make room",
                  RESERVE_BYTES >> 10);
    else if (!reserve->is_touched && was_touched)
        log_notice("the disk of the audit log has room again; decisions go on");
}

vlt_result reserve_permit(struct reserve *reserve, int folder, enum audit_kind kind) {
    look(reserve, folder);
    return reserve->is_touched && is_decision(kind)
               ? vlt_fail(VLT_UNAVAILABLE, "the disk of the audit log is full")
               : vlt_ok();
}
