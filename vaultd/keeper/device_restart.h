// SPDX-License-Identifier: Apache-2.0
// A call that never returns takes its device's thread with it, and a module that
// hangs once can not be loaded anew in the same process. So the keeper is replaced
// when a call has not returned for settings.device_restart_s and that costs nothing:
//
//   unsealed, another device works, and this one did before: a moment
//   unsealed by this one only: never; loaded data keys serve for the grace, then sealed
//   sealed by itself, or not initialised, and no device works: nothing
//   sealed by an administrator: never, as a new keeper would unseal
#ifndef VLT_KEEPER_DEVICE_RESTART_H
#define VLT_KEEPER_DEVICE_RESTART_H

#include "vaultd/keeper/keeper.h"

void device_restart_look(struct keeper *keeper); // every now and then

#endif
