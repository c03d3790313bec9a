// SPDX-License-Identifier: Apache-2.0
// Encrypts the credentials of one tenant again under its active data key, a
// hundred in a turn of the loop, so that a redeem waits for less than a
// millisecond. At most one tenant at a time.
//
// Passes: count who names an old key; if any, encrypt them and count again; if
// none, destroy the old keys. Every pass begins at the first record, so a keeper
// that was killed has lost nothing but the time of one pass.
#ifndef VLT_KEEPER_REENCRYPT_H
#define VLT_KEEPER_REENCRYPT_H

#include "vaultd/keeper/rotation.h"

// Begins with that tenant unless one is under way.
void reencrypt_begin(struct keeper *keeper, uint32_t tenant, uint32_t records_per_s);
// Stops; what was submitted is still committed.
void reencrypt_stop(struct keeper *keeper);
// Looks for tenants that have an old data key; a part of them in each tick.
void reencrypt_tick(struct keeper *keeper);

struct reencrypt_progress {
    uint32_t tenant;
    const char *phase; // "counting", "re-encrypting", "destroying"
    uint64_t records, remaining, done, damaged, records_per_s, left_s;
};
// false: nothing is under way for that tenant.
bool reencrypt_look(const struct keeper *keeper, uint32_t tenant,
                    struct reencrypt_progress *ret_progress);
void reencrypt_set_rate(struct keeper *keeper, uint32_t tenant, uint32_t records_per_s);

#endif
