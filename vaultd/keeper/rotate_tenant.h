// SPDX-License-Identifier: Apache-2.0
// Rotation of a tenant's data key: a new one encrypts what is written from now
// on, every record of the old one is encrypted again in the background, and an
// old one is destroyed when a whole pass over the records found nobody that
// names it.
//
//   active ──another one was made──▶ retired ──no record names it──▶ destroyed
#ifndef VLT_KEEPER_ROTATE_TENANT_H
#define VLT_KEEPER_ROTATE_TENANT_H

#include "vaultd/keeper/rotate_datakeys.h"

void rotate_tenant_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                       struct audit_event *event);
// Makes a new data key. `change` may be one without a call.
void rotate_tenant_begin(struct keeper *keeper, uint32_t tenant, const struct rotate_datakeys *keys,
                         struct change *change);
void rotate_tenant_destroy(struct keeper *keeper, struct ipc_call *call,
                           const struct ask_key_destroy *ask, struct audit_event *event);
void rotate_tenant_schedule(struct keeper *keeper, uint32_t tenant, uint32_t age_s);

#endif
