// SPDX-License-Identifier: Apache-2.0
// Inside of a bind; for cli/bind*.c only.
#ifndef VLT_CLI_BIND_MEMBERS_H
#define VLT_CLI_BIND_MEMBERS_H

#include <pthread.h>

#include "cli/bind.h"

#define BIND_CONNECTIONS_MAX 64
#define BIND_SECRET_SIZE 64

struct bind {
    struct bind_settings settings;
    char origin[512];  // of the forwarder: scheme, host, port
    char host[512];    // the Host of requests to it
    char local[600];   // URL of the listener with the forwarder's path
    char secret[BIND_SECRET_SIZE];
    struct vault_key *key;
    int fd;            // listening
    pthread_t acceptor;
    pthread_mutex_t lock; // of what follows
    pthread_cond_t ended; // a connection did
    bool is_stopping;
    int clients[BIND_CONNECTIONS_MAX]; // descriptors of connections; -1: free
    size_t client_count;
    struct vault_token token;
    int64_t renew_at_ms; // clock_elapsed_ms
};

// Appends what a request to the forwarder carries: the token, and its proof for
// this method and path. EXIT_OK, or the failure was said.
int bind_authorize(struct bind *bind, const char *method, struct bytes path, struct buf *token,
                   struct buf *proof);
// Serves one connection and closes it.
void bind_relay(struct bind *bind, int client);

#endif
