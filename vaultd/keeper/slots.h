// SPDX-License-Identifier: Apache-2.0
// The slots of every data key, one for each device of the vault: walks over the
// data keys, adds a slot where a device has none yet (it was added, was away while
// the key was made, or has a new generation), drops slots of keys that are retired
// or whose device leaves the vault, never the last one that a device of the vault
// can open. One call of a device at a time: whoever needs it meanwhile comes in
// between.
//
// Nothing of it is written down: slots and states of wrapping keys say what is to
// be done, so a keeper that was killed goes on.
#ifndef VLT_KEEPER_SLOTS_H
#define VLT_KEEPER_SLOTS_H

#include "vaultd/keeper/keeper.h"

// Something changed: wrapping keys, or which devices work. Fine at any time; a
// sealed vault looks by itself when it is unsealed.
void slots_touch(struct keeper *keeper);
// A data key of this tenant was made: other devices need a slot, too.
void slots_touch_tenant(struct keeper *keeper, uint32_t tenant);
void slots_tick(struct keeper *keeper);
void slots_stop(struct keeper *keeper);

struct slots_progress {
    uint64_t data_keys, remaining, done; // about: a tenant has one, or two while it is rotated
    int64_t started_ms;
};
bool slots_look(const struct keeper *keeper, struct slots_progress *ret_progress);

#endif
