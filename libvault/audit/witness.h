// SPDX-License-Identifier: Apache-2.0
// What a witness decides (C2SP tlog-witness): it cosigns a checkpoint of a log
// that it knows, if that log only grew since the last one it cosigned. So nobody
// can be shown another history of the log than the others.
//
// Used by vault-witness. One thread, one process for each folder.
#ifndef VLT_AUDIT_WITNESS_H
#define VLT_AUDIT_WITNESS_H

#include "libvault/audit/checkpoint.h"
#include "libvault/base/fault.h"

#define WITNESS_LOGS_MAX 64
#define WITNESS_PROOF_MAX 63 // hashes of one request
#define WITNESS_BODY_MAX (NOTE_MAX_BYTES + 8192)
#define WITNESS_SIZE_MEDIA "text/x.tlog.size"

struct witness {
    int folder;                             // of what was cosigned last, a file each log
    struct note_key logs[WITNESS_LOGS_MAX]; // Ed25519 keys; the name is the origin. A log
                                            // may have several
    size_t log_count;
    struct note_key key;                    // our own, NOTE_COSIGNATURE
    struct jwk *signer;                     // its private half
};
// Answers the body of POST /add-checkpoint: the HTTP status; `out` gets the
// signature line (200), the size that we know (409 on another old size) or a
// sentence. The new state is on the disk before a cosignature is in `out`.
unsigned witness_add_checkpoint(struct witness *witness, struct bytes body, uint64_t now_s,
                                struct buf *out);

#endif
