// SPDX-License-Identifier: Apache-2.0
// What the auditor says of itself: for `vaultctl status` and GET /v1/ready.
#ifndef VLT_AUDITOR_LOG_STATE_H
#define VLT_AUDITOR_LOG_STATE_H

#include "libvault/base/buf.h"

struct log_state {
    uint64_t entries, published; // durable; in the signed checkpoint
    int64_t sync_ms;             // of the last write, or of the present one so far
    const char *stopped;         // why nothing is recorded; NULL: it is
    const char *unpublished;     // why the checkpoint does not follow; NULL or "": it does
    bool is_slow;
};
// {"records":true,"entries":…,"published":…,"sync_ms":…,"problem":"…"}; `problem` only
// where there is one.
void log_state_put(const struct log_state *state, struct buf *out);

#endif
