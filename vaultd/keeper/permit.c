// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/permit.h"

bool permit_states(unsigned states, enum keeper_state state) {
    return (states >> state & 1u) != 0;
}

vlt_result permit_ask(unsigned message, enum ipc_role from, enum keeper_state state) {
    const struct ipc_message_row *row = ipc_message_row(message);
    if (!row || !row->is_ask || !(row->to & R(KEEPER)))
        return vlt_fail(VLT_DENIED, "the keeper does not answer this message");
    if ((unsigned)from >= IPC_ROLE_COUNT || !(row->from >> from & 1u))
        return vlt_fail(VLT_DENIED, "this role may not ask this");
    if (permit_states(row->states, state))
        return vlt_ok();
    if (state == KEEPER_UNINITIALISED)
        return vlt_fail(VLT_UNAVAILABLE, "the vault is not initialised");
    if (state == KEEPER_STARTING)
        return vlt_fail(VLT_UNAVAILABLE, "the keeper is starting");
    if (state == KEEPER_SEALED)
        return vlt_fail(VLT_UNAVAILABLE, "the vault is sealed");
    return vlt_fail(VLT_CONFLICT, "the vault is initialised already");
}
