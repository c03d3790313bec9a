// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/retention.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "libvault/audit/tile.h"

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

vlt_result retention_plan(const struct retention *order, uint64_t until, struct fault *fault,
                          struct retention_step *ret_step) {
    struct log_pruned pruned = {0};
    if (until % TILE_WIDTH || until > order->at.size / TILE_WIDTH * TILE_WIDTH)
        return fault_set(fault, VLT_CONFLICT, "not what can be pruned",
                         "only full tiles behind the checkpoint of %llu entries can be pruned",
                         (unsigned long long)order->at.size);
    VLT_TRY(log_pruned_prove(order->folder, &order->at, NULL, fault, &pruned));
    // A crash may have left some of the last step behind: look at it again.
    const struct retention_step step = {
        .from = pruned.until > RETENTION_STEP ? pruned.until - RETENTION_STEP : 0,
        .until = until < pruned.until + RETENTION_STEP ? until : pruned.until + RETENTION_STEP,
        .pruned = pruned.until};
    VLT_TRY(check_archive(order->folder, order->archive, step.from, step.until, fault));
    *ret_step = step;
    return vlt_ok();
}

// Nothing goes that the file does not say, and the file says nothing that the log does not.
static vlt_result say_pruned(const struct retention *order, const struct log_pruned *pruned,
                             struct fault *fault) {
    struct buf text;
    VLT_TRY(log_pruned_check(order->folder, &order->at, pruned, fault));
    buf_init(&text, 64);
    log_pruned_put(pruned, &text);
    vlt_result result =
        buf_failed(&text) ? vlt_fail(VLT_UNAVAILABLE, "out of memory")
                          : tile_file_write(order->folder, "pruned", buf_bytes(&text), true, fault);
    buf_done(&text);
    if (vlt_is_ok(result) && order->said)
        order->said(pruned->until, order->context);
    return result;
}

vlt_result retention_prune(const struct retention *order, const struct retention_step *step,
                           uint64_t sequence, struct fault *fault, uint64_t *ret_pruned) {
    char path[TILE_PATH_MAX];
    VLT_TRY(check_archive(order->folder, order->archive, step->from, step->until, fault));
    if (step->until > step->pruned)
        VLT_TRY(say_pruned(order, &(struct log_pruned){step->until, sequence}, fault));
    for (uint64_t number = step->from / TILE_WIDTH; number < step->until / TILE_WIDTH; number++) {
        tile_path(TILE_ENTRIES, number, TILE_WIDTH, path);
        if (unlinkat(order->folder, path, 0) != 0 && errno != ENOENT)
            return fault_set(fault, VLT_UNAVAILABLE, "a file of the log can not be removed",
                             "%s can not be removed: %s", path, strerror(errno));
    }
    *ret_pruned = step->until > step->pruned ? step->until : step->pruned;
    return vlt_ok();
}
