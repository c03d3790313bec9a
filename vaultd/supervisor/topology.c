// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/topology.h"

//        agents, people, CI      administrators      forwarders      providers
//                |                     |                 |               |
//             broker                 admin            redeemer        rotator
//                |                     |                 |               |
//                +------------------ keeper -------------+---------------+   device, store
//                |                     |                 |
//                +------------------ auditor ------------+      audit log
//                                                                 |
//                      admin asks: shipper ---- reads ------------+----> receivers
const struct topology_role topology_roles[] = {
    {IPC_AUDITOR, "vaultd-auditor"},   {IPC_KEEPER, "vaultd-keeper"},
    {IPC_REDEEMER, "vaultd-redeemer"}, {IPC_ADMIN, "vaultd-admin"},
    {IPC_BROKER, "vaultd-broker"},     {IPC_SHIPPER, "vaultd-shipper"},
    {IPC_ROTATOR, "vaultd-rotator"},
};
const size_t topology_role_count = sizeof topology_roles / sizeof *topology_roles;

const struct topology_pair topology_pairs[] = {
    {IPC_BROKER, IPC_KEEPER},    {IPC_ADMIN, IPC_KEEPER},   {IPC_REDEEMER, IPC_KEEPER},
    {IPC_KEEPER, IPC_AUDITOR},   {IPC_BROKER, IPC_AUDITOR}, {IPC_ADMIN, IPC_AUDITOR},
    {IPC_REDEEMER, IPC_AUDITOR}, {IPC_ADMIN, IPC_SHIPPER},
    {IPC_ROTATOR, IPC_KEEPER},
};
const size_t topology_pair_count = sizeof topology_pairs / sizeof *topology_pairs;

unsigned topology_workers(const struct config *config, enum ipc_role role) {
    if (role == IPC_BROKER)
        return config->broker.workers;
    if (role == IPC_REDEEMER)
        return config->redeemer.workers;
    if (role == IPC_SHIPPER)
        return config_ships(config) ? 1 : 0;
    return 1;
}

const char *topology_user(const struct config *config, enum ipc_role role) {
    const struct config_users *users = &config->users;
    const char *const names[IPC_ROLE_COUNT] = {
        [IPC_SUPERVISOR] = "",
        [IPC_BROKER] = users->broker,
        [IPC_ADMIN] = users->admin,
        [IPC_REDEEMER] = users->redeemer,
        [IPC_KEEPER] = users->keeper,
        [IPC_AUDITOR] = users->auditor,
        [IPC_SHIPPER] = users->shipper,
        [IPC_ROTATOR] = users->rotator,
    };
    return names[role];
}
