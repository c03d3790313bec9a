// SPDX-License-Identifier: Apache-2.0
// Rotation of the system data key, under which the vault's own keys and records
// are encrypted:
//
//   (nothing) ──▶ active ──▶ retired (decrypts) ──no record names it──▶ destroyed
//
// They are some dozens, so one commit re-encrypts all of them; each tick looks for
// those that still name a retired key, and destroys it when there are none.
#ifndef VLT_KEEPER_ROTATE_SYSTEM_H
#define VLT_KEEPER_ROTATE_SYSTEM_H

#include "vaultd/keeper/rotate_datakeys.h"

void rotate_system_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                       struct audit_event *event);
void rotate_system_destroy(struct keeper *keeper, struct ipc_call *call,
                           const struct ask_key_destroy *ask, struct audit_event *event);
void rotate_system_tick(struct keeper *keeper);
void rotate_system_schedule(struct keeper *keeper, uint32_t age_s);

#endif
