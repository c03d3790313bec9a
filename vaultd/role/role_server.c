// SPDX-License-Identifier: Apache-2.0
#include "vaultd/role/role_server.h"

#include <stdlib.h>

#include "vaultd/log/log.h"

void role_server_listen(struct role *role, struct http_server *server, struct bytes name, int fd,
                        const char *note) {
    struct fault fault = {0};
    vlt_result result =
        http_server_listen_fd(server, fd, bytes_equal_text(name, "tls"), &fault);
    if (vlt_is_ok(result))
        role_ready(role, note);
    else
        log_error("can not listen: %s", fault_or_reason(&fault, result));
}

static void on_drained(void *context) {
    role_finish(context, EXIT_SUCCESS);
}

static void on_late(evutil_socket_t fd, short what, void *context) {
    log_notice("requests were cut: they did not end in time");
    role_finish(context, EXIT_SUCCESS);
}

void role_server_drain(struct role *role, struct http_server *server, unsigned within_ms) {
    const struct timeval limit = {within_ms / 1000, within_ms % 1000 * 1000};
    if (!server) {
        role_finish(role, EXIT_SUCCESS);
        return;
    }
    event_base_once(role_base(role), -1, EV_TIMEOUT, on_late, role, &limit);
    http_server_drain(server, on_drained, role);
}
