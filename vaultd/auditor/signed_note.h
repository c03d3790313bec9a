// SPDX-License-Identifier: Apache-2.0
// What the keeper signed, as the files that are published: the checkpoint with
// the signature of every key that signs now, the verifier keys, newest first, and
// for each older key its handover to the newest (libvault/audit/handover.h).
#ifndef VLT_AUDITOR_SIGNED_NOTE_H
#define VLT_AUDITOR_SIGNED_NOTE_H

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/handover.h"
#include "vaultd/ipc/messages.h"

#define SIGNED_NOTE_OLDER_MAX 4

struct signed_handover {
    char path[HANDOVER_PATH_SIZE];
    struct buf note;
};
struct signed_note {
    struct buf note, vkeys;
    struct signed_handover handovers[SIGNED_NOTE_OLDER_MAX];
    size_t handover_count;
};
void signed_note_init(struct signed_note *note);
void signed_note_done(struct signed_note *note);
// Replaces what is in it. VLT_CRYPTO when a signature is not good: it would be
// published for nothing. VLT_MALFORMED, VLT_UNAVAILABLE.
vlt_result signed_note_make(struct signed_note *note, const struct checkpoint *checkpoint,
                            const struct answer_sign_checkpoint *answer) VLT_MUST_USE;

#endif
