// SPDX-License-Identifier: Apache-2.0
// Token signing keys that live in the device (tokens.signing_key: device): made
// before the commit that records them, destroyed after the commit that forgets
// them. What a crash in between leaves in the device signs nothing that
// verifies: a key counts by its record alone.
#ifndef VLT_KEEPER_ROTATE_SIGNER_H
#define VLT_KEEPER_ROTATE_SIGNER_H

#include "vaultd/keeper/change.h"

// Has the device make a key; then `made`, on the loop, with the change that it is
// for. `signer` is NULL when the result is not good. The key is destroyed again
// unless the change is committed: rotate_signer_settle says which.
typedef void rotate_signer_made_fn(struct change *change, vlt_result result,
                                   const struct hsm_signer *signer);
vlt_result rotate_signer_make(struct change *change, rotate_signer_made_fn *made) VLT_MUST_USE;
// A change of signing keys has ended. Before the keys are loaded again.
void rotate_signer_settle(struct change *change, bool is_committed);
// Has the device destroy a key that no record names. Not while the vault is
// sealed: then the device is closed, and the key stays there without a use.
void rotate_signer_destroy(struct keeper *keeper, const struct hsm_signer *signer);

#endif
