// SPDX-License-Identifier: Apache-2.0
// A new data key of a tenant, or of the vault itself: wrapped by the device, which
// also proves that it can unwrap it, before the commit that makes it the active one
// and retires the one before.
#ifndef VLT_KEEPER_DATAKEY_MAKE_H
#define VLT_KEEPER_DATAKEY_MAKE_H

#include "vaultd/keeper/rotate_datakeys.h"

// The device gave the key back, the change is about to be run. On failure it is
// refused instead. Nobody has to wait for the device because of a key that is kept
// here.
typedef vlt_result datakey_made_fn(struct change *change, uint32_t tenant, uint32_t number,
                                   const struct secret *key32);
// Takes the change, which may be one without a call. Whoever answers it counts
// keeper->wraps_in_flight down.
void datakey_make(struct keeper *keeper, uint32_t tenant, const struct rotate_datakeys *keys,
                  struct change *change, datakey_made_fn *made);

#endif
