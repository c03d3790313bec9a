// SPDX-License-Identifier: Apache-2.0
// What the store knows about measured boot: how the wrapping key in use is bound,
// and which states of the machine the approver signed.
#ifndef VLT_KEEPER_BOOT_H
#define VLT_KEEPER_BOOT_H

#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/keeper.h"

// Puts every approved state into the call. Inside a snapshot.
vlt_result boot_approvals_read(struct keeper *keeper, struct device_call *call) VLT_MUST_USE;
// How the wrapping key of the highest generation of that TPM is bound (created.pcrs
// 0: it is not). VLT_NOT_FOUND when the store has none of it. Opens its own snapshot.
vlt_result boot_binding_read(struct keeper *keeper, const char *device,
                             struct boot_binding *ret_binding) VLT_MUST_USE;
// The device of that name; without a name, the first TPM of the configuration, one
// that works before one that does not. VLT_NOT_FOUND.
vlt_result boot_device(struct keeper *keeper, struct bytes name,
                       struct device **ret_device) VLT_MUST_USE;
// A state was approved: what waits for it goes on.
void boot_approved(struct keeper *keeper);

#endif
