// SPDX-License-Identifier: Apache-2.0
// When the keys of the vault are rotated by age, and what is said when that does
// not happen: a warning when a key has reached its age and is still there, and
// again when it is a tenth beyond; in the log, in the audit log, in `status`.
#ifndef VLT_KEEPER_KEY_AGE_H
#define VLT_KEEPER_KEY_AGE_H

#include <jansson.h>

#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/keeper.h"

enum key_lateness { KEY_ON_TIME, KEY_DUE, KEY_OVERDUE };

struct key_age { // zeroed is empty; of each kind of key
    struct {
        enum key_lateness lateness;
        int64_t seen_ms, said_ms; // since the start of the process; 0: never
    } kinds[ROTATION_KIND_COUNT];
};

// Has what was made then reached that age? Up to a tenth of it earlier, by a `seed`
// that stays with the key, so that what was made together is not rotated together.
// age_s 0: never.
bool key_age_is_reached(int64_t created_at, uint32_t age_s, uint32_t seed);
// Is a key of that age to be rotated now? Says when it is late, once an hour for each kind. age_s
// 0: never. `key` names it for people.
bool key_age_is_due(struct keeper *keeper, enum rotation_kind kind, const char *key,
                    int64_t created_at, uint32_t age_s, uint32_t seed);
// {"due": [kinds], "overdue": [kinds]}, of the last ten minutes, for `status`.
json_t *key_age_json(const struct keeper *keeper);

#endif
