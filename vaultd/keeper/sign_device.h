// SPDX-License-Identifier: Apache-2.0
// Signs a token with the key in the device. The loop goes on meanwhile; the
// device thread makes the signature and verifies it.
#ifndef VLT_KEEPER_SIGN_DEVICE_H
#define VLT_KEEPER_SIGN_DEVICE_H

#include "libvault/audit/event.h"
#include "libvault/token/claims.h"
#include "vaultd/keeper/keeper.h"
#include "vaultd/keeper/system_keys.h"

// More would wait too long for a device that signs some hundred times a second.
#define SIGN_DEVICE_PENDING_MAX 1024

// `done` is called once, on the loop: with the compact token, or with
// VLT_UNAVAILABLE. `event` and `token` are valid until it returns.
typedef void sign_device_done_fn(struct keeper *keeper, struct ipc_call *call, vlt_result result,
                                 struct audit_event *event, struct bytes token,
                                 uint64_t expires_at);
// Takes the call when the result is good. Event and claims are copied.
vlt_result sign_device(struct keeper *keeper, struct ipc_call *call,
                       const struct system_signer *signer, const struct token_claims *claims,
                       const struct audit_event *event, sign_device_done_fn *done) VLT_MUST_USE;

#endif
