// SPDX-License-Identifier: Apache-2.0
// What the store knows about measured boot: how the wrapping key in use is bound,
// and which states of the machine the approver signed.
#ifndef VLT_KEEPER_BOOT_H
#define VLT_KEEPER_BOOT_H

#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/keeper.h"

// Puts every approved state into the call. Inside a snapshot.
vlt_result boot_approvals_read(struct keeper *keeper, struct device_call *call) VLT_MUST_USE;
// How the TPM's wrapping key of the highest generation is bound (created.pcrs 0: it
// is not). VLT_NOT_FOUND when the store has no wrapping key of a TPM. Opens its own
// snapshot.
vlt_result boot_binding_read(struct keeper *keeper, struct boot_binding *ret_binding) VLT_MUST_USE;
// A state was approved: what waits for it goes on.
void boot_approved(struct keeper *keeper);

#endif
