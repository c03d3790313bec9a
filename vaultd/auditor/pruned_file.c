// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/pruned_file.h"

#include <stdio.h>

#include "libvault/audit/log_pruned.h"

static vlt_result write_again(int folder, const struct log_pruned *pruned, struct fault *fault,
                              char ret_rewritten[PRUNED_FILE_SAID_SIZE]) {
    struct buf text;
    buf_init(&text, 64);
    log_pruned_put(pruned, &text);
    vlt_result result = buf_failed(&text)
                            ? vlt_fail(VLT_UNAVAILABLE, "out of memory")
                            : tile_file_write(folder, "pruned", buf_bytes(&text), true, fault);
    buf_done(&text);
    if (vlt_is_ok(result))
        snprintf(ret_rewritten, PRUNED_FILE_SAID_SIZE,
                 "pruned (entries 1 to %llu are gone, as entry %llu says)",
                 (unsigned long long)pruned->until, (unsigned long long)pruned->sequence);
    return result;
}

// An earlier version wrote how much is gone, and not which entry says so. The entry counts,
// as everywhere: whoever can write one line could as well write the two, so nothing is
// believed that was not before. It must permit exactly that much: a file that says less or
// more is not what that version left. To find it may take reading every entry that is left
// (seconds for some millions): that happens once, and nobody knows where it is.
static vlt_result rewrite_old(const struct log_file *file, uint64_t until, struct fault *fault,
                              char ret_rewritten[PRUNED_FILE_SAID_SIZE]) {
    const int folder = log_file_folder_open(file);
    struct log_pruned found;
    VLT_TRY(log_pruned_find(folder, log_file_checkpoint(file), until, fault, &found));
    if (found.until == until)
        return write_again(folder, &found, fault, ret_rewritten);
    return fault_set(fault, VLT_CRYPTO, "no entry says what was pruned",
                     "the file pruned has one line, as earlier versions wrote it, and no entry "
                     "audit.prune of the signed checkpoint says that just entries 1 to %llu are "
                     "gone: it must be two lines, how many entries are gone and the number of "
                     "the entry that says so",
                     (unsigned long long)until);
}

// Whoever removed old entries while nobody looked may have written that they were pruned.
vlt_result pruned_file_take_up(const struct log_file *file, struct fault *fault,
                               uint64_t *ret_until, char ret_rewritten[PRUNED_FILE_SAID_SIZE]) {
    const int folder = log_file_folder_open(file);
    const uint64_t old = log_pruned_read_old(folder);
    struct log_pruned pruned;
    struct fault why = {0};
    ret_rewritten[0] = 0;
    vlt_result result = old ? rewrite_old(file, old, &why, ret_rewritten) : vlt_ok();
    if (vlt_is_ok(result))
        result = log_pruned_prove(folder, log_file_checkpoint(file), NULL, &why, &pruned);
    if (vlt_is_ok(result)) {
        *ret_until = pruned.until;
        return result;
    }
    if (result.class == VLT_UNAVAILABLE)
        return fault_set(fault, result.class, result.reason, "audit folder %s: %s",
                         log_file_folder(file), fault_or_reason(&why, result));
    return fault_set(fault, VLT_CONFLICT, "the audit log was altered",
                     "audit folder %s was altered: %s. Restore what is missing from the archive; "
                     "`vaultctl audit verify` says what it is",
                     log_file_folder(file), fault_or_reason(&why, result));
}
