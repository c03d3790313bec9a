// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <unistd.h>

#include "vaultd/log/log.h"
#include "vaultd/supervisor/listen.h"
#include "vaultd/supervisor/supervisor.h"

// Everybody may connect to a unix socket without a group of its own: the role
// looks at the peer's credentials before it reads a byte.
#define MODE_EVERYBODY 0666
#define MODE_GROUP 0660

static const char *wanted_address(const struct config *c, size_t i) {
    const char *const addresses[LISTENER_COUNT] = {
        c->broker.listen, c->admin.socket, c->admin.listen, c->redeemer.socket, c->redeemer.listen};
    return addresses[i];
}

static const struct listener empty_listeners[LISTENER_COUNT] = {
    {IPC_BROKER, "tls", "", -1},    {IPC_ADMIN, "unix", "", -1}, {IPC_ADMIN, "tls", "", -1},
    {IPC_REDEEMER, "unix", "", -1}, {IPC_REDEEMER, "tls", "", -1},
};

static vlt_result open_unix(const struct config *config, enum ipc_role role, const char *path,
                            struct fault *fault, int *ret_fd) {
    const char *name = role == IPC_REDEEMER ? config->redeemer.socket_group : "";
    if (!name[0])
        return listen_unix(path, MODE_EVERYBODY, (gid_t)-1, fault, ret_fd);
    const struct group *group = getgrnam(name);
    if (!group)
        return fault_set(fault, VLT_NOT_FOUND, "an unknown group",
                         "redeemer.socket_group: there is no group %s", name);
    return listen_unix(path, MODE_GROUP, group->gr_gid, fault, ret_fd);
}

static vlt_result open_one(const struct config *config, struct listener *listener,
                           const char *address, struct fault *fault) {
    int fd = -1;
    if (strlen(address) >= sizeof listener->address)
        return fault_set(fault, VLT_LIMIT, "an address is too long", "the address %s is too long",
                         address);
    if (address[0])
        VLT_TRY(listener->name[0] == 'u' ? open_unix(config, listener->role, address, fault, &fd)
                                         : listen_tcp(address, fault, &fd));
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = fd;
    snprintf(listener->address, sizeof listener->address, "%s", address);
    return vlt_ok();
}

vlt_result listeners_open(struct supervisor *supervisor, struct fault *fault) {
    memcpy(supervisor->listeners, empty_listeners, sizeof empty_listeners);
    for (size_t i = 0; i < LISTENER_COUNT; i++)
        VLT_TRY(open_one(supervisor->config, &supervisor->listeners[i],
                         wanted_address(supervisor->config, i), fault));
    return vlt_ok();
}

static void tell_one(const struct listener *listener, const struct child *child) {
    struct tell_listener tell = {.name = bytes_of_text(listener->name)};
    int copy = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0)
        tell_listener(child->channel, &tell, copy);
    else
        log_error("no descriptor for a listener of the %s: %s", ipc_role_name(listener->role),
                  strerror(errno));
}

void listeners_tell(struct supervisor *supervisor, const struct child *child) {
    for (size_t i = 0; i < LISTENER_COUNT; i++)
        if (supervisor->listeners[i].role == child->row->role && supervisor->listeners[i].fd >= 0)
            tell_one(&supervisor->listeners[i], child);
}

static void tell_workers(struct supervisor *supervisor, const struct listener *listener) {
    for (unsigned n = 0; n < TOPOLOGY_WORKERS_MAX; n++)
        if (supervisor->children[listener->role][n].channel)
            tell_one(listener, &supervisor->children[listener->role][n]);
}

void listeners_reload(struct supervisor *supervisor) {
    for (size_t i = 0; i < LISTENER_COUNT; i++) {
        struct listener *listener = &supervisor->listeners[i];
        const char *address = wanted_address(supervisor->config, i);
        struct fault fault = {0};
        if (strcmp(address, listener->address) == 0)
            continue;
        vlt_result result = open_one(supervisor->config, listener, address, &fault);
        if (!vlt_is_ok(result))
            log_error("still listening on %s: %s", listener->address,
                      fault_or_reason(&fault, result));
        else if (listener->fd >= 0)
            tell_workers(supervisor, listener);
    }
}

void listeners_close(struct supervisor *supervisor) {
    for (size_t i = 0; i < LISTENER_COUNT; i++) {
        struct listener *listener = &supervisor->listeners[i];
        if (!listener->name || listener->fd < 0) // no name: never came as far as opening them
            continue;
        close(listener->fd);
        if (listener->name[0] == 'u')
            unlink(listener->address);
        listener->fd = -1;
    }
}
