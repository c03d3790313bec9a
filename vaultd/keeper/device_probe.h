// SPDX-License-Identifier: Apache-2.0
// Notices that a device is gone, or back, before anybody needs it: every
// settings.device_probe_s each one must give its known answer. A device that
// hangs is noticed by the clock, not by its answer: a call that takes longer than
// settings.device_timeout_s is given up (device_thread.h).
//
// When none works, data keys that are unwrapped serve for settings.device_grace_s;
// then the vault seals itself, and unseals itself with the first device that is
// back.
#ifndef VLT_KEEPER_DEVICE_PROBE_H
#define VLT_KEEPER_DEVICE_PROBE_H

#include "vaultd/keeper/keeper.h"

vlt_result device_probe_new(struct keeper *keeper) VLT_MUST_USE;
void device_probe_done(struct keeper *keeper);
// Seconds until the vault seals itself; -1 when a device works.
int64_t device_grace_left_s(const struct keeper *keeper);

#endif
