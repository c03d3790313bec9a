// SPDX-License-Identifier: Apache-2.0
// Takes entries away that are in an archive (C2SP tlog-tiles lets a log
// prune entries). Only full bundles go; every hash stays, so that proofs, the
// growth of the log and all later entries verify as before. The file `pruned` says
// up to where, and is on the disk before the first bundle goes.
// Used by the auditor, whose folder it is.
#ifndef VLT_AUDITOR_RETENTION_H
#define VLT_AUDITOR_RETENTION_H

#include "libvault/audit/checkpoint.h"
#include "libvault/base/fault.h"

#define RETENTION_STEP 131072 // entries at most in one call: the publication waits meanwhile

// Entries below index `until`, which begins a tile, of the log in that folder. With an
// archive (the path of its folder; "": none is known here) nothing goes that is not there,
// byte for byte.
// *ret_pruned: up to where entries are gone now; less than `until`: call again.
// VLT_CONFLICT: `until` is beyond the full tiles of the checkpoint, or the archive does not
// have those entries. VLT_UNAVAILABLE: it can not be read.
vlt_result retention_prune(int folder, const char *archive, const struct checkpoint *at,
                           uint64_t until, struct fault *fault, uint64_t *ret_pruned) VLT_MUST_USE;

#endif
