// SPDX-License-Identifier: Apache-2.0
// Which role may ask what in which state. The table is IPC_MESSAGES in
// vaultd/ipc/messages.h; this file applies it a second time, inside the keeper,
// so that the trusted core does not depend on the channel having done so.
#ifndef VLT_KEEPER_PERMIT_H
#define VLT_KEEPER_PERMIT_H

#include "vaultd/ipc/messages.h"

// VLT_DENIED: not from that role, not an ask, not for the keeper.
// VLT_UNAVAILABLE: not in this state.
vlt_result permit_ask(unsigned message, enum ipc_role from, enum keeper_state state) VLT_MUST_USE;
bool permit_states(unsigned states, enum keeper_state state);

#endif
