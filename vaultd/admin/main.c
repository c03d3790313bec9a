// SPDX-License-Identifier: Apache-2.0
// vaultd-admin: started by the supervisor, never by hand.
#include "vaultd/admin/admin.h"
#include "vaultd/role/role_server.h"
#include "vaultd/role/role_transfer.h"

static struct admin *of_role(struct role *role) {
    struct admin **slot = role_context(role);
    return *slot;
}

static vlt_result on_settings(struct role *role, struct bytes frame, bool is_first,
                              struct fault *fault) {
    struct admin **slot = role_context(role);
    return is_first ? admin_new(role_base(role), frame, fault, slot)
                    : admin_reload(*slot, frame, fault);
}

static void set_peer(struct role *role, enum ipc_role peer, struct channel *channel) {
    struct admin *admin = of_role(role);
    if (admin && peer == IPC_KEEPER)
        admin->keeper = channel;
    if (admin && peer == IPC_AUDITOR)
        admin->auditor = channel;
    if (admin && peer == IPC_SHIPPER)
        admin->shipper = channel;
}

static void on_peer(struct role *role, enum ipc_role peer, unsigned number,
                    struct channel *channel) {
    set_peer(role, peer, channel);
}

static void on_peer_gone(struct role *role, enum ipc_role peer, unsigned number) {
    set_peer(role, peer, NULL);
}

static void on_listener(struct role *role, struct bytes name, int fd) {
    role_server_listen(role, of_role(role)->server, name, fd, "administration is open");
}

static void on_drain(struct role *role, unsigned within_ms) {
    struct admin *admin = of_role(role);
    role_server_drain(role, admin ? admin->server : NULL, within_ms);
}

int main(void) {
    static struct admin *admin;
    static const struct role_hooks hooks = {
        .self = IPC_ADMIN,
        .settings = on_settings,
        .peer = on_peer,
        .peer_gone = on_peer_gone,
        .listener = on_listener,
        .drain = on_drain,
    };
    role_transfer_log();
    int status = role_run(&hooks, &admin);
    admin_free(admin);
    return status;
}
