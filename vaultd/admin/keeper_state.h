// SPDX-License-Identifier: Apache-2.0
// What state the keeper is in, asked with a limit: who looks for the reason of a fault
// must not wait as long as whom it befell.
#ifndef VLT_ADMIN_KEEPER_STATE_H
#define VLT_ADMIN_KEEPER_STATE_H

#include "vaultd/admin/work.h"

// `done` as of ask_status, exactly once, and the work with it. A keeper that has not
// answered after KEEPER_STATE_MS: VLT_UNAVAILABLE with keeper_silent as the reason.
#define KEEPER_STATE_MS 3000
extern const char keeper_silent[];
void keeper_state_ask(struct admin_work *work, answer_status_fn *done);

#endif
