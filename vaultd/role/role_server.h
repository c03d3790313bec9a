// SPDX-License-Identifier: Apache-2.0
// What the roles that serve HTTP (broker, admin, redeemer) do alike with their
// server: take listeners from the supervisor, and end.
#ifndef VLT_ROLE_ROLE_SERVER_H
#define VLT_ROLE_ROLE_SERVER_H

#include "vaultd/net/http_server.h"
#include "vaultd/role/role.h"

// Takes the listener over and says so to the supervisor with `note`; the log says
// why when it can not.
void role_server_listen(struct role *role, struct http_server *server, struct bytes name, int fd,
                        const char *note);
// For hooks.drain: ends the role when the last request is answered, or after
// within_ms, cutting the rest. The server may be NULL: there were no settings yet.
void role_server_drain(struct role *role, struct http_server *server, unsigned within_ms);

#endif
