// SPDX-License-Identifier: Apache-2.0
// The receipt of a decision: its entry, and the proof (C2SP tlog-proof) that the
// entry is in the log of the last checkpoint. Reads a few files of the log.
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_RECEIPT_H
#define VLT_AUDITOR_RECEIPT_H

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"

#define RECEIPT_PROOF_MAX 32768 // bytes; most of it is the checkpoint's

// Appends to both. VLT_NOT_FOUND: no checkpoint speaks of that entry yet, or there
// is no such entry. VLT_CONFLICT: the files do not give the root that was signed.
vlt_result receipt_make(const char *folder, uint64_t sequence, struct fault *fault,
                        struct buf *proof, struct buf *entry) VLT_MUST_USE;

#endif
