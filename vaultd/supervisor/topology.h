// SPDX-License-Identifier: Apache-2.0
// Which processes there are and who may talk to whom: the architecture, as a
// list. What each may say is the table in vaultd/ipc/messages.h.
#ifndef VLT_SUPERVISOR_TOPOLOGY_H
#define VLT_SUPERVISOR_TOPOLOGY_H

#include "vaultd/ipc/messages.h"
#include "vaultd/supervisor/config.h"

struct topology_role {
    enum ipc_role role;
    const char *program;
};
// In order of start; drained in reverse, so that the auditor is last to go.
extern const struct topology_role topology_roles[];
extern const size_t topology_role_count;

struct topology_pair {
    enum ipc_role one, other;
};
extern const struct topology_pair topology_pairs[];
extern const size_t topology_pair_count;

#define TOPOLOGY_WORKERS_MAX 16
unsigned topology_workers(const struct config *config, enum ipc_role role);
// The user of that role; "" when vaultd does not change users.
const char *topology_user(const struct config *config, enum ipc_role role);

#endif
