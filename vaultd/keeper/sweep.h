// SPDX-License-Identifier: Apache-2.0
// What is tidied up in the background, in small steps: revocations of tokens that
// have expired, versions of credentials whose grace is over, idle data keys, and
// readers of the store that died.
#ifndef VLT_KEEPER_SWEEP_H
#define VLT_KEEPER_SWEEP_H

#include "vaultd/keeper/keeper.h"

vlt_result sweep_new(struct keeper *keeper) VLT_MUST_USE;
void sweep_done(struct keeper *keeper);
// One step now, whatever the timer says (tests).
void sweep_step(struct keeper *keeper);

#endif
