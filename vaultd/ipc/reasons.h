// SPDX-License-Identifier: Apache-2.0
// A reason of a vlt_result is a static string; one that came over a channel is
// kept here for the life of the process. Bounded: peers have finitely many
// reasons, and one that invents more gets a general one.
#ifndef VLT_IPC_REASONS_H
#define VLT_IPC_REASONS_H

#include "libvault/base/bytes.h"

// Reasons on which the asking role acts: which of them it was decides what the
// client is told. The keeper uses these texts and no others for them.
#define REASON_TOKEN_EXPIRED "token expired" // as token_verify says it
#define REASON_TOKEN_REVOKED "the token was revoked"
#define REASON_PROOF_REPLAYED "the proof of possession was used before"
#define REASON_PROOF_OLD "the proof of possession is too old"
// Of a channel: what came of the call is not known, perhaps all that it asked for.
#define REASON_UNANSWERED "that process ended before it answered: it may have been done"
// Of the audit log: a role refuses without asking anybody. Behind it ": " and the rule that
// was broken, or the member that was wrong; never what stood there.
#define REASON_MALFORMED "malformed request"
#define REASON_VERSION_STAGED "a version is staged: promote or abandon it first"

#define REASON_MAX_BYTES 200
const char *reason_intern(struct bytes text);

#endif
