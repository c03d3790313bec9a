// SPDX-License-Identifier: Apache-2.0
// What the parts of the server share: http_server.c (listeners, time, drain),
// http_connection.c (bytes in, close), http_plain.c (sockets without TLS),
// http_exchange.c (answers). Inside vault_net only.
//
// A connection and its one exchange are one allocation. It is freed in one
// place, the server's reaper, when it is closed and no answer is owed any more;
// so nothing that runs in a callback can lose the ground under its feet.
#ifndef VLT_NET_HTTP_CONNECTION_H
#define VLT_NET_HTTP_CONNECTION_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/queue.h>

#include "libvault/base/buf.h"
#include "libvault/base/clock.h"
#include "libvault/http/http_write.h"
#include "vaultd/net/http_plain.h"
#include "vaultd/net/http_server.h"

enum connection_state {
    CONNECTION_HANDSHAKE, // TLS not yet up
    CONNECTION_READING,   // a request is awaited or arriving; the first one from accept on
    CONNECTION_IDLE,      // between two requests
    CONNECTION_ANSWERING, // the handler has it
    CONNECTION_STREAMING,
    CONNECTION_FLUSHING,  // the answer is on its way out
    CONNECTION_LINGERING, // said all, passes over what still comes so that the peer can read it
    CONNECTION_CLOSED     // no descriptor any more
};

struct http_exchange {
    struct http_connection *connection;
    bool is_owed;       // the handler has it and has not replied
    bool was_abandoned; // answered for the handler (503); its reply is dropped
    const char *route;  // for the log; NULL: none takes it
    int64_t begun_ms;   // 0: the log does not show it
    http_release *gone; // stream: told once when the peer goes
    void *gone_ctx;
    const struct http_review *review; // NULL: its answer leaves as it is
    void *review_ctx;
};

struct http_connection {
    TAILQ_ENTRY(http_connection) link;      // of server->connections, until freed
    STAILQ_ENTRY(http_connection) dead_link; // of server->dead
    struct http_server *server; // NULL when the server is gone before the answer
    struct bufferevent *bev;    // TLS; NULL when closed or there is none
    struct http_plain plain;    // when there is no TLS
    enum connection_state state;
    bool closes;       // after the answer
    bool peer_is_done; // has sent all that it will send
    bool lingers;      // after the flush, instead of closing at once
    bool is_advancing; // connection_advance is on the stack
    bool is_queued_dead;
    int64_t deadline_ms; // 0: none
    int64_t slow_ms;     // from then on a handshake or request that is not whole makes room
    struct http_peer peer;
    struct http_exchange exchange;
    struct http_reader reader;
    struct buf in;    // from in_at on: the message that is being read
    size_t in_at;
};

struct http_listener {
    STAILQ_ENTRY(http_listener) link;
    struct http_server *server;
    struct event *accepting;
    struct event *pause_over; // timer after descriptors ran out
    evutil_socket_t fd;
    bool with_tls;
};

struct http_server {
    struct http_server_settings settings;
    struct event_base *base;
    struct ssl_ctx_st *tls;
    TAILQ_HEAD(, http_connection) connections; // longest idle first among the idle
    STAILQ_HEAD(, http_connection) dead;
    STAILQ_HEAD(, http_listener) listeners;
    struct event *sweep, *reap, *drained;
    int64_t now_ms;   // of the last sweep
    int64_t date_s;
    char date[HTTP_DATE_SIZE];
    struct buf head;  // scratch of replies
    uint8_t *received; // HTTP_READ_AHEAD bytes, scratch of plain sockets
    bool is_draining;
    http_release *on_drained;
    void *on_drained_ctx;
    struct http_server_counters counters;
};

// http_connection.c
void connection_open(struct http_server *server, evutil_socket_t fd, const struct http_peer *peer,
                     bool with_tls);
// Reads and handles what has arrived until nothing is complete.
void connection_advance(struct http_connection *c);
void connection_advance_later(struct http_connection *c); // from the loop
void connection_close(struct http_connection *c);
void connection_invite_body(struct http_connection *c); // 100 Continue, where it is waited for
// The answer is complete in the output or sent: on to the next request, or out.
void connection_answered(struct http_connection *c);
void connection_expire(struct http_connection *c); // its deadline has passed
void connection_free(struct http_connection *c);
// What its bytes tell it.
void connection_arrived(struct http_connection *c); // there is something to be taken
void connection_flushed(struct http_connection *c); // some of the output has left
void connection_ended(struct http_connection *c, bool is_error); // the peer sends no more
// Of a connection that is not closed: where answers wait, and that there is more.
static inline struct evbuffer *connection_output(struct http_connection *c) {
    return c->bev ? bufferevent_get_output(c->bev) : c->plain.output;
}
static inline evutil_socket_t connection_fd(struct http_connection *c) {
    return c->bev ? bufferevent_getfd(c->bev) : c->plain.fd;
}
static inline size_t connection_unread(const struct http_connection *c) {
    return c->bev ? evbuffer_get_length(bufferevent_get_input(c->bev)) : plain_unread(&c->plain);
}
static inline void connection_push(struct http_connection *c) {
    if (!c->bev) // a bufferevent sees it
        plain_push(&c->plain);
}

// http_exchange.c
// An answer of the server itself, as problem+json; closes and lingers.
void connection_refuse(struct http_connection *c, unsigned status, const char *detail);

// http_log.c: a line each, where the level shows it
void connection_log_answer(struct http_connection *c, unsigned status,
                           const struct http_header *headers, size_t header_count);
void connection_log_no_tls(struct http_connection *c);

// http_server.c
// Closes one of those that may go, the one that has been here longest. False: there is none.
bool server_make_room(struct http_server *server);
void server_connection_is_dead(struct http_server *server, struct http_connection *c);
// For those who bring nothing while others wait for a place; a handshake takes two round
// trips, and a request one.
#define CONNECTION_SLOW_MS 1000
// `after_ms` from now; 0 stays 0 (no deadline). Not from the last sweep on: when the machine
// has stood still, what comes then is seen before the next.
static inline int64_t server_deadline(unsigned after_ms) {
    return after_ms ? clock_elapsed_ms() + after_ms : 0;
}

#endif
