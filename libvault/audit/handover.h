// SPDX-License-Identifier: Apache-2.0
// When the key that signs the checkpoints of a log is replaced, the old key signs
// who comes after it: a signed note (C2SP signed-note) of three lines,
//
//   vaultd audit log key handover v1
//   <origin of the log>
//   <verifier key of its successor>
//
// in the log's folder as handover/<id of the old key in hex>. Its first line is no
// name of a log, so it can not pass for a checkpoint. Who trusts the first key of
// a log finds the one of today without asking anybody. After an emergency there is
// none: then the old key may be in foreign hands, and its word counts for nothing.
#ifndef VLT_AUDIT_HANDOVER_H
#define VLT_AUDIT_HANDOVER_H

#include "libvault/audit/note.h"
#include "libvault/base/fault.h"

#define HANDOVER_PATH_SIZE sizeof "handover/01234567"

// The text that the old key signs. Both keys have the log's origin as their name.
void handover_put(const struct note_key *successor, struct buf *out);
void handover_path(const struct note_key *old_key, char ret_path[HANDOVER_PATH_SIZE]);
// VLT_MALFORMED; VLT_CRYPTO, VLT_NOT_FOUND as note_verify: not signed by that key.
// note_key_done frees.
vlt_result handover_open(struct bytes note, const struct note_key *old_key,
                         struct note_key *ret_successor) VLT_MUST_USE;

// Goes on from `key` along the handovers in the folder of a log until a key has
// signed its checkpoint, and replaces `key` by that one; *ret_steps says how many
// there were. VLT_NOT_FOUND, and `key` as it was: no chain of handovers leads from
// it to the checkpoint.
vlt_result handover_follow(int folder, struct note_key *key, struct fault *fault,
                           unsigned *ret_steps) VLT_MUST_USE;

#endif
