// SPDX-License-Identifier: Apache-2.0
// `vaultctl exec --bind`: lets an unmodified program use a token that is bound to
// a key. A listener on loopback takes the program's requests, checks the secret
// of this run that the program got as its API key, takes it out, and sends the
// request on to the forwarder with the token and a fresh proof (RFC 9449) for
// each request. Bodies are streamed both ways.
//
// The key exists in this process only. The token is exchanged anew before it
// expires. One thread for each connection; one request for each connection.
#ifndef VLT_CLI_BIND_H
#define VLT_CLI_BIND_H

#include "cli/token_input.h"
#include "forward/core/profile.h"

struct bind;

struct bind_settings {
    struct command *command; // outlives the listener; used by it alone while it runs
    const struct token_wish *wish;
    const struct profile *profile; // where SDKs of this provider put their key
    const char *forwarder;         // "http://127.0.0.1:8080", "https://host/prefix"
    const char *ca_file;           // NULL: the system's roots
};
// Gets the first token, so that what is denied is said at once. EXIT_OK, or the
// failure was said.
int bind_start(const struct bind_settings *settings, struct bind **ret_bind);
// Cuts what is in flight.
void bind_stop(struct bind *bind); // NULL is fine

const char *bind_forwarder(const struct bind *bind); // URL of the listener
const char *bind_secret(const struct bind *bind);    // what the program gives as its key

#endif
