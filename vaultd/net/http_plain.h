// SPDX-License-Identifier: Apache-2.0
// The bytes of a connection without TLS: a socket with two events of its own. A
// bufferevent asks for each read how much there is to read, and reads into memory
// of its own; a request that arrives in one piece costs one recv here, and its
// answer one sendmsg (http_exchange.c). What the socket does not take waits in an
// evbuffer, which can lend bytes.
//
// Used by http_connection.c. Inside vault_net only.
#ifndef VLT_NET_HTTP_PLAIN_H
#define VLT_NET_HTTP_PLAIN_H

#include <event2/event.h>

#include "libvault/base/buf.h"

struct evbuffer;
struct http_connection;

// A peer that sends while nobody takes it is read up to here, so that it is noticed
// when it goes. Also what one recv takes at most.
#define HTTP_READ_AHEAD 16384

struct http_plain {
    evutil_socket_t fd;
    struct event *readable, *writable; // NULL: closed, or there is TLS
    struct evbuffer *output;           // what the socket had no room for
    struct bytes fresh; // just received; in the server's room until the callback ends
    struct buf ahead;   // received earlier and not taken
    bool is_paused;     // HTTP_READ_AHEAD bytes wait
    bool is_over;       // the peer sends no more
};

// Takes the descriptor, also on failure (false: out of memory).
bool plain_open(struct http_connection *c, evutil_socket_t fd);
// Lent bytes that wait in the output go back to their owners.
void plain_close(struct http_plain *plain);
// Bytes that were received and not taken; `take` copies all of them to `to`.
size_t plain_unread(const struct http_plain *plain);
void plain_take(struct http_plain *plain, uint8_t *to);
void plain_drop(struct http_plain *plain);
// As if something had arrived, from the loop.
void plain_call_later(struct http_plain *plain);
// The output was added to: it leaves as the socket takes it.
void plain_push(struct http_plain *plain);

#endif
