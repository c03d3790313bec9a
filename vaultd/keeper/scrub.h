// SPDX-License-Identifier: Apache-2.0
// After wrapped keys were removed for good: the file of the store must not hold
// them in pages that are free. The wish is a record (STORE_META "scrub", the ids of
// the wrapping keys, each byte inverted so that the record itself is not found), made
// by the commit that removes; a keeper that was killed goes on.
//
// At the end the file is searched for the ids, which every wrapped key begins with,
// and what was found is recorded: "store.scrubbed", or an error.
#ifndef VLT_KEEPER_SCRUB_H
#define VLT_KEEPER_SCRUB_H

#include "vaultd/keeper/change.h"

// Adds the wish to a change.
void scrub_want(struct keeper *keeper, struct change *change,
                const uint8_t (*ids)[RECORD_DEVICE_ID_SIZE], size_t count);
void scrub_tick(struct keeper *keeper);
bool scrub_is_wanted(struct keeper *keeper);

#endif
