// SPDX-License-Identifier: Apache-2.0
// Who may say what. An entry of the log is believed because of who wrote it, so a
// role may tell only what it decides itself: a broker that was taken over can not
// write that an administrator did something, nor a redeemer that a credential was
// released, nor anybody when it was or how often.
//
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_SPEAKER_H
#define VLT_AUDITOR_SPEAKER_H

#include "libvault/audit/event.h"
#include "vaultd/ipc/messages.h"

// NULL, or why that role may not have this recorded: then it is no role of ours any
// more. What was permitted and done is told by the keeper alone.
const char *speaker_refusal(enum ipc_role role, const struct audit_event *event);

#endif
