// SPDX-License-Identifier: Apache-2.0
// sd_notify(3) without libsystemd: READY=1 once every role serves.
#ifndef VLT_SUPERVISOR_NOTIFY_H
#define VLT_SUPERVISOR_NOTIFY_H

#include "vaultd/supervisor/supervisor.h"

void notify_when_ready(struct supervisor *supervisor);

#endif
