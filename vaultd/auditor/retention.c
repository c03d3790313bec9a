// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/retention.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "libvault/audit/log_verify.h"
#include "libvault/audit/tile.h"

static vlt_result say_pruned(int folder, uint64_t until, struct fault *fault) {
    char line[32];
    int size = snprintf(line, sizeof line, "%llu\n", (unsigned long long)until);
    return tile_file_write(folder, "pruned", bytes_of(line, (size_t)size), true, fault);
}

// ---- The archive ----

static vlt_result compare(int folder, int archive, const char *path, struct buf *ours,
                          struct buf *theirs, struct fault *fault) {
    buf_clear(ours);
    buf_clear(theirs);
    vlt_result result = tile_file_read(folder, path, TILE_BUNDLE_MAX, fault, ours);
    if (result.class == VLT_NOT_FOUND)
        return vlt_ok(); // gone already
    VLT_TRY(result);
    result = tile_file_read(archive, path, TILE_BUNDLE_MAX, fault, theirs);
    if (result.class == VLT_UNAVAILABLE)
        return vlt_fail(VLT_UNAVAILABLE, "audit.archive can not be read");
    if (vlt_is_ok(result) && bytes_equal(buf_bytes(ours), buf_bytes(theirs)) &&
        !tile_file_is_one(folder, archive, path)) // else what goes here would go there, too
        return vlt_ok();
    return fault_set(fault, VLT_CONFLICT, "audit.archive does not have these entries",
                     "audit.archive does not have %s as the log has it", path);
}

static vlt_result compare_all(int folder, int archive, uint64_t from, uint64_t until,
                              struct fault *fault) {
    char path[TILE_PATH_MAX];
    struct buf ours, theirs;
    vlt_result result = vlt_ok();
    buf_init(&ours, TILE_BUNDLE_MAX);
    buf_init(&theirs, TILE_BUNDLE_MAX);
    for (uint64_t number = from / TILE_WIDTH; vlt_is_ok(result) && number < until / TILE_WIDTH;
         number++) {
        tile_path(TILE_ENTRIES, number, TILE_WIDTH, path);
        result = compare(folder, archive, path, &ours, &theirs, fault);
    }
    buf_done(&ours);
    buf_done(&theirs);
    return result;
}

static vlt_result check_archive(int folder, const char *archive, uint64_t from, uint64_t until,
                                struct fault *fault) {
    if (!archive[0])
        return vlt_ok(); // who asked has looked
    int theirs = open(archive, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (theirs < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "audit.archive can not be read",
                         "audit.archive %s can not be opened: %s", archive, strerror(errno));
    vlt_result result = compare_all(folder, theirs, from, until, fault);
    close(theirs);
    return result;
}

// ---- Pruning ----

vlt_result retention_prune(int folder, const char *archive, const struct checkpoint *at,
                           uint64_t until, struct fault *fault, uint64_t *ret_pruned) {
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
    VLT_TRY(check_archive(folder, archive, from, until, fault));
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
