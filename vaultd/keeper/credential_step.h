// SPDX-License-Identifier: Apache-2.0
// The edges of a staged version (docs/rotation.md), for the calls of an
// administrator and of the rotator. Each is VLT_CONFLICT with what to do where the
// state does not have that edge. Within a snapshot; the caller then adds `there`.
#ifndef VLT_KEEPER_CREDENTIAL_STEP_H
#define VLT_KEEPER_CREDENTIAL_STEP_H

#include "vaultd/ipc/credential_change.h"
#include "vaultd/keeper/credential_there.h"

vlt_result credential_step_verify(struct credential_there *there) VLT_MUST_USE;
// In use from the commit on; the version before opens for grace_s.
vlt_result credential_step_promote(struct keeper *keeper, uint32_t tenant, uint32_t grace_s,
                                   struct credential_there *there,
                                   struct change *change) VLT_MUST_USE;
vlt_result credential_step_abandon(uint32_t tenant, struct credential_there *there,
                                   struct change *change) VLT_MUST_USE;

#endif
