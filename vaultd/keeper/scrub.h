// SPDX-License-Identifier: Apache-2.0
// What was destroyed for good must not stay in free pages of the store's file.
// Two wishes, each a record that is made by the commit that destroys; a keeper that
// was killed goes on:
//
//   STORE_META "shred"  a wrapped key, a key of the vault or a version of a
//                       credential was removed. Change and sweep add it by themselves
//   STORE_META "scrub"  a device or one of its wrapping keys is gone. Holds the ids of
//                       wrapping keys, which every key wrapped by them begins with
//                       (each byte inverted, so that the record itself is not found);
//                       at the end the file is searched for them
//
// One run fulfils all wishes of before it. It takes steps of some milliseconds
// between commits, and then rests; not before a device's wish, for which people
// wait. A run that was done is recorded as "store.scrub"; one that could not be,
// because somebody reads an old snapshot, is told in the log and tried again.
#ifndef VLT_KEEPER_SCRUB_H
#define VLT_KEEPER_SCRUB_H

#include "vaultd/keeper/change.h"

// Does any of the changes destroy what must not be found again?
bool scrub_is_due_to(const struct store_change *changes, size_t count);
// The change that wishes for it; static memory.
struct store_change scrub_wish(void);
// Is it that wish, made or fulfilled? Nobody's authority or cache depends on it.
bool scrub_is_wish(const struct store_change *change);
// Adds the wish of a device to a change.
void scrub_want(struct keeper *keeper, struct change *change,
                const uint8_t (*ids)[RECORD_DEVICE_ID_SIZE], size_t count);
void scrub_tick(struct keeper *keeper);
// How long a run rests that took so long for so many pages: 20 times as long, at
// least 10 s, and no longer than such a file explains (160 ms for each MiB).
int64_t scrub_rest_ms(int64_t took_ms, uint64_t pages);
bool scrub_is_wanted_by_device(struct keeper *keeper);

#endif
