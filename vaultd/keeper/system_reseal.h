// SPDX-License-Identifier: Apache-2.0
// The vault's own records, from under one system data key to another: private
// halves of its keys (record_key.h) and what system_seal encrypts.
#ifndef VLT_KEEPER_SYSTEM_RESEAL_H
#define VLT_KEEPER_SYSTEM_RESEAL_H

#include "vaultd/keeper/change.h"
#include "vaultd/keeper/system_keys.h"

struct system_key_context { // associated data of a key's private half
    uint8_t at[RECORD_KEY_CONTEXT_MAX];
    size_t size; // 0: the kid is too long
};
void system_key_context(enum record_key_algorithm algorithm, enum record_key_use use,
                        const char *kid, struct system_key_context *ret_context);

// Adds every record that names another system data key than the active one, as it
// is to be, compared with its revision; a hundred at most, the rest follows. And the
// record of the epoch in any case when `with_epoch`. Within a snapshot.
// VLT_CRYPTO, VLT_MALFORMED: a record does not open, its key must stay.
vlt_result system_reseal_add(struct keeper *keeper, bool with_epoch,
                             struct change *change) VLT_MUST_USE;
// How many there are. Within a snapshot.
size_t system_reseal_count(struct keeper *keeper);

#endif
