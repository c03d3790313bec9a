// SPDX-License-Identifier: Apache-2.0
// A vault on new hardware: with the recovery key every data key is opened from
// its offline slot and wrapped for the device that the configuration names now.
// Slots of other devices are dropped: they are taken to be lost.
//
// Commits go in batches, the record of the new device comes last: a recovery that
// was cut short leaves a vault that can be recovered again.
#ifndef VLT_KEEPER_RECOVER_RUN_H
#define VLT_KEEPER_RECOVER_RUN_H

#include "vaultd/keeper/recovery.h"

// `data_keys` of them were wrapped anew. The device is closed again and the vault
// still sealed: unseal as usual.
typedef void recover_done_fn(vlt_result result, const struct fault *fault, uint32_t data_keys,
                             void *context);
// Takes the key (recovery_key_done). The vault is sealed and no unsealing is
// under way; none starts until `done`.
void recover_run(struct keeper *keeper, struct recovery_key *key, recover_done_fn *done,
                 void *context);

#endif
