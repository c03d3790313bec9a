// SPDX-License-Identifier: Apache-2.0
// Proof files (C2SP tlog-proof): an entry's index, its inclusion proof and the
// checkpoint to which it leads. What a third party needs to see that a decision
// is in the log, besides the entry itself.
#ifndef VLT_AUDIT_TLOG_PROOF_H
#define VLT_AUDIT_TLOG_PROOF_H

#include "libvault/audit/checkpoint.h"

struct tlog_proof {
    uint64_t index;
    struct merkle_proof proof;
    struct bytes extra;      // base64 text, as written; empty: none
    struct bytes checkpoint; // the signed note; borrowed
};
void tlog_proof_put(const struct tlog_proof *proof, struct buf *out);
// Borrows from `text`. VLT_MALFORMED, VLT_LIMIT.
vlt_result tlog_proof_parse(struct bytes text, struct tlog_proof *ret_proof) VLT_MUST_USE;
// The entry is in the log of that key. VLT_CRYPTO when it is not.
vlt_result tlog_proof_verify(const struct tlog_proof *proof, struct bytes entry,
                             const struct note_key *log_key,
                             struct checkpoint *ret_checkpoint) VLT_MUST_USE;

#endif
