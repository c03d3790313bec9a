// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/notify.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vaultd/log/log.h"

static bool all_are_ready(const struct supervisor *supervisor) {
    for (size_t i = 0; i < topology_role_count; i++)
        for (unsigned n = 0; n < topology_workers(supervisor->config, topology_roles[i].role); n++)
            if (!supervisor->children[topology_roles[i].role][n].is_ready)
                return false;
    return true;
}

static void send_ready(const char *path) {
    static const char text[] = "READY=1";
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size >= sizeof name.sun_path)
        return;
    memcpy(name.sun_path, path, size + 1);
    if (path[0] == '@')
        name.sun_path[0] = 0; // the abstract name space
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, text, sizeof text - 1, MSG_NOSIGNAL, (const struct sockaddr *)&name,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) < 0)
        log_warning("the service manager could not be told that vaultd is ready");
    close(fd);
}

void notify_when_ready(struct supervisor *supervisor) {
    if (supervisor->is_announced || !all_are_ready(supervisor))
        return;
    supervisor->is_announced = true;
    log_notice("every role is ready");
    report_event(supervisor, "vault.start", "every role is ready", false);
    const char *path = getenv("NOTIFY_SOCKET");
    if (path && (path[0] == '/' || path[0] == '@'))
        send_ready(path);
}
