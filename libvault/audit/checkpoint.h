// SPDX-License-Identifier: Apache-2.0
// Checkpoints (C2SP tlog-checkpoint): origin, size and root of a log as the text
// of a signed note. We write and take exactly three lines, no extensions.
#ifndef VLT_AUDIT_CHECKPOINT_H
#define VLT_AUDIT_CHECKPOINT_H

#include "libvault/audit/merkle.h"
#include "libvault/audit/note.h"

struct checkpoint {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size;
    struct merkle_hash root;
};
// Appends the text, which ends with a line end.
void checkpoint_put(const struct checkpoint *checkpoint, struct buf *out);
vlt_result checkpoint_parse(struct bytes text, struct checkpoint *ret_checkpoint) VLT_MUST_USE;
// Decimal, no leading zeros or sign, at most 2^63 - 1.
vlt_result checkpoint_number_parse(struct bytes text, uint64_t *ret_number) VLT_MUST_USE;
// Exactly 32 bytes in standard base64.
vlt_result checkpoint_hash_parse(struct bytes text, struct merkle_hash *ret_hash) VLT_MUST_USE;

// A signed checkpoint: the note is parsed, signed by `log_key`, whose name is the
// origin. Other signatures are not looked at. Results as note_parse and
// note_verify.
vlt_result checkpoint_open(struct bytes note, const struct note_key *log_key,
                           struct checkpoint *ret_checkpoint) VLT_MUST_USE;
// The same for several keys, at most 64: one of those whose name is the origin must have
// signed (a log whose key was replaced has two).
vlt_result checkpoint_open_any(struct bytes note, const struct note_key *log_keys, size_t count,
                               struct checkpoint *ret_checkpoint) VLT_MUST_USE;

#endif
