// SPDX-License-Identifier: Apache-2.0
// What is left of a disk that is nearly full belongs to administration: whoever
// makes room by a command of ours (pruning the log, revoking, sealing) needs an
// entry for it. Decisions stop before that, not when the last byte is gone, also
// where the journal has room that was written ahead.
//
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_RESERVE_H
#define VLT_AUDITOR_RESERVE_H

#include "libvault/audit/event.h"

#define RESERVE_BYTES (1u << 20) // of a small file system a sixteenth
#define RESERVE_LOOK_MS 100

struct reserve { // all zero: nothing is known yet
    int64_t looked_ms;
    bool has_looked, is_touched;
};
// VLT_UNAVAILABLE: less than the reserve is left on the file system of `folder`,
// and the event is a decision. Looks there every RESERVE_LOOK_MS, and logs changes.
bool reserve_is_touched(struct reserve *reserve, int folder); // looks there, too
vlt_result reserve_permit(struct reserve *reserve, int folder, enum audit_kind kind) VLT_MUST_USE;

#endif
