// SPDX-License-Identifier: Apache-2.0
// The end of a device's part in the vault, in steps that the store remembers:
//
//   works ──asked for──▶ leaving ──no slot names it (slots.c)──▶ its keys destroyed in
//   the device, when it answers ──▶ forgotten ──▶ store file scrubbed (scrub.c)
#ifndef VLT_KEEPER_DEVICE_REMOVE_H
#define VLT_KEEPER_DEVICE_REMOVE_H

#include "vaultd/keeper/rotate_wrapping.h"

// A device may leave when another one that works can do without it. VLT_NOT_FOUND,
// VLT_CONFLICT.
vlt_result device_remove_check(struct keeper *keeper, const struct rotate_devices *devices,
                               const char *name) VLT_MUST_USE;
// Called when a whole pass over the slots is over.
void device_remove_go_on(struct keeper *keeper, const struct rotate_devices *devices);

#endif
