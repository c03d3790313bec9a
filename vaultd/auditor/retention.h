// SPDX-License-Identifier: Apache-2.0
// Takes entries away that are in an archive (C2SP tlog-tiles lets a log
// prune entries). Only full bundles go; every hash stays, so that proofs, the
// growth of the log and all later entries verify as before.
//
// In this order, so that nobody can remove files and call it pruning: the archive has
// them (retention_plan), the log has an entry audit.prune that names them, a signed
// checkpoint has that entry, the file `pruned` leads there (libvault/audit/log_pruned.h),
// and then they go (retention_prune). What a crash in between leaves is removed by the
// next step.
// Used by the auditor, whose folder it is.
#ifndef VLT_AUDITOR_RETENTION_H
#define VLT_AUDITOR_RETENTION_H

#include "libvault/audit/log_pruned.h"

#define RETENTION_STEP 131072 // entries at most in one step: the publication waits meanwhile

struct retention {
    int folder;          // of the log
    const char *archive; // path of its folder: nothing goes that is not there, byte for byte;
                         // "": none is known here
    struct checkpoint at; // the newest that is on the disk
    // Called when the file `pruned` says that, before anything is removed. May be NULL.
    void (*said)(uint64_t until, void *context);
    void *context;
};
// Indexes of entries, each the first of a tile.
struct retention_step {
    uint64_t from, until; // what goes; until: what the entry audit.prune must name
    uint64_t pruned;      // was gone before, except for what a crash left
};
// What the next step towards `until` takes away.
// VLT_CONFLICT: that is beyond the full tiles of the checkpoint, or the archive does not
// have those entries. VLT_CRYPTO, VLT_MALFORMED: the file `pruned` is forged or damaged.
// VLT_UNAVAILABLE: the archive, or a file of the log, can not be read.
vlt_result retention_plan(const struct retention *order, uint64_t until, struct fault *fault,
                          struct retention_step *ret_step) VLT_MUST_USE;
// Takes it away: entry `sequence`, which `at` has, says so. *ret_pruned: up to where entries
// are gone now; less than what was wanted: plan again. VLT_CRYPTO: the entry does not say
// so; nothing went. VLT_CONFLICT, VLT_UNAVAILABLE: as above.
vlt_result retention_prune(const struct retention *order, const struct retention_step *step,
                           uint64_t sequence, struct fault *fault,
                           uint64_t *ret_pruned) VLT_MUST_USE;

#endif
