// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/retention.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "libvault/audit/log_verify.h"
#include "libvault/audit/tile.h"

static vlt_result say_pruned(int folder, uint64_t until, struct fault *fault) {
    char line[32];
    int size = snprintf(line, sizeof line, "%llu\n", (unsigned long long)until);
    return tile_file_write(folder, "pruned", bytes_of(line, (size_t)size), true, fault);
}

vlt_result retention_prune(int folder, const struct checkpoint *at, uint64_t until,
                           struct fault *fault, uint64_t *ret_pruned) {
    char path[TILE_PATH_MAX];
    uint64_t pruned = 0;
    if (until % TILE_WIDTH || until > at->size / TILE_WIDTH * TILE_WIDTH)
        return fault_set(fault, VLT_CONFLICT, "not what can be pruned",
                         "only full tiles behind the checkpoint of %llu entries can be pruned",
                         (unsigned long long)at->size);
    VLT_TRY(log_pruned(folder, fault, &pruned));
    // A crash may have left some of the last step behind: look at it again.
    uint64_t from = pruned > RETENTION_STEP ? pruned - RETENTION_STEP : 0;
    if (until > pruned + RETENTION_STEP)
        until = pruned + RETENTION_STEP;
    if (until > pruned)
        VLT_TRY(say_pruned(folder, until, fault));
    for (uint64_t number = from / TILE_WIDTH; number < until / TILE_WIDTH; number++) {
        tile_path(TILE_ENTRIES, number, TILE_WIDTH, path);
        if (unlinkat(folder, path, 0) != 0 && errno != ENOENT)
            return fault_set(fault, VLT_UNAVAILABLE, "a file of the log can not be removed",
                             "%s can not be removed: %s", path, strerror(errno));
    }
    *ret_pruned = until > pruned ? until : pruned;
    return vlt_ok();
}
