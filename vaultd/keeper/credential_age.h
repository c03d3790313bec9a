// SPDX-License-Identifier: Apache-2.0
// Credentials grow old: a look at all of them, a few hundred in a turn of the
// loop. Before one is overdue (nine tenths of rotation.credential_days) and when it
// is, the log, the audit log and `status` say so, once for each.
#ifndef VLT_KEEPER_CREDENTIAL_AGE_H
#define VLT_KEEPER_CREDENTIAL_AGE_H

#include <jansson.h>

#include "libvault/store/record_tenant.h"
#include "vaultd/keeper/keeper.h"

struct credential_age {
    uint32_t tenant; // where the pass goes on; 0: none is under way
    uint8_t after[STORE_NAME_MAX]; // as a record may be named, not as it should be
    size_t after_bytes;
    int64_t began, before; // this pass, and the one before it (POSIX seconds)
    uint64_t due, overdue; // found by this pass so far
    uint64_t known_due, known_overdue, known_at; // by the last whole pass; at 0: none yet
};

// Once a second; within a pass every time, a new pass begins every 10 seconds.
void credential_age_tick(struct keeper *keeper);
// {"due":…, "overdue":…, "looked_at":…} for `status`.
json_t *credential_age_json(const struct keeper *keeper);

#endif
