// SPDX-License-Identifier: Apache-2.0
// Takes entries away that are in a verified archive (C2SP tlog-tiles lets a log
// prune entries). Only full bundles go; every hash stays, so that proofs, the
// growth of the log and all later entries verify as before. The file `pruned` says
// up to where, and is on the disk before the first bundle goes.
// Used by the auditor, whose folder it is.
#ifndef VLT_AUDITOR_RETENTION_H
#define VLT_AUDITOR_RETENTION_H

#include "libvault/audit/checkpoint.h"
#include "libvault/base/fault.h"

#define RETENTION_STEP 131072 // entries at most in one call: others wait for the loop

// Entries below index `until`, which begins a tile, of the log in that folder.
// *ret_pruned: up to where entries are gone now; less than `until`: call again.
// VLT_CONFLICT: `until` is beyond the full tiles of the checkpoint.
vlt_result retention_prune(int folder, const struct checkpoint *at, uint64_t until,
                           struct fault *fault, uint64_t *ret_pruned) VLT_MUST_USE;

#endif
