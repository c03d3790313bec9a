// SPDX-License-Identifier: Apache-2.0
#include "vaultd/net/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "vaultd/net/http_connection.h"

enum {
    ACCEPT_BATCH = 64,
    EVICT_LOOK = 256,
    ACCEPT_PAUSE_MS = 100,
    HEAD_MAX = 65536,
    FRESH_DRAIN_MS = 1000
};

const struct http_server_settings http_server_settings_default = {
    .limits = {.line_bytes = 8192,
               .head_bytes = 16384,
               .header_count = HTTP_HEADERS_MAX,
               .body_bytes = 65536},
    .connections_max = 1024,
    .request_ms = 10000,
    .idle_ms = 60000,
    .write_ms = 30000,
    .answer_ms = 30000};

static struct timeval milliseconds(unsigned ms) {
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static void refresh_date(struct http_server *server) {
    int64_t now_s = clock_now_s();
    if (now_s == server->date_s)
        return;
    server->date_s = now_s;
    http_write_date(now_s, server->date);
}

// One timer looks at all connections: a request then costs no timer of its own.
static void on_sweep(evutil_socket_t fd, short what, void *ctx) {
    struct http_server *server = ctx;
    server->now_ms = clock_elapsed_ms();
    refresh_date(server);
    struct http_connection *c;
    TAILQ_FOREACH(c, &server->connections, link)
    if (c->deadline_ms && server->now_ms >= c->deadline_ms)
        connection_expire(c);
}

static void report_drained(struct http_server *server) {
    if (server->is_draining && server->on_drained && !server->counters.connections_now)
        event_active(server->drained, 0, 0);
}

static void on_drained(evutil_socket_t fd, short what, void *ctx) {
    struct http_server *server = ctx;
    http_release *tell = server->on_drained;
    server->on_drained = NULL;
    if (tell)
        tell(server->on_drained_ctx); // may free the server
}

static void reap(struct http_server *server) {
    struct http_connection *c;
    while ((c = STAILQ_FIRST(&server->dead))) {
        STAILQ_REMOVE_HEAD(&server->dead, dead_link);
        TAILQ_REMOVE(&server->connections, c, link);
        connection_free(c);
    }
    report_drained(server);
}

static void on_reap(evutil_socket_t fd, short what, void *ctx) { reap(ctx); }

void server_connection_is_dead(struct http_server *server, struct http_connection *c) {
    if (c->is_queued_dead)
        return;
    c->is_queued_dead = true;
    STAILQ_INSERT_TAIL(&server->dead, c, dead_link);
    event_active(server->reap, 0, 0);
}

// An eighth of the shortest deadline, so that none is late by more than that.
static unsigned sweep_interval(const struct http_server_settings *s) {
    unsigned shortest = 2000;
    const unsigned all[] = {s->request_ms, s->idle_ms, s->write_ms, s->answer_ms};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] && all[i] < shortest)
            shortest = all[i];
    return shortest / 8 < 10 ? 10 : shortest / 8;
}

struct http_server *http_server_new(struct event_base *base,
                                    const struct http_server_settings *settings) {
    assert(settings->handler);
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    // A peer that closes while we write must be an error, not the end of the process.
    signal(SIGPIPE, SIG_IGN);
    server->settings = *settings;
    server->base = base;
    TAILQ_INIT(&server->connections);
    STAILQ_INIT(&server->dead);
    STAILQ_INIT(&server->listeners);
    buf_init(&server->head, HEAD_MAX);
    server->now_ms = clock_elapsed_ms();
    refresh_date(server);
    http_server_set_tls(server, settings->tls);
    server->received = malloc(HTTP_READ_AHEAD);
    server->sweep = event_new(base, -1, EV_PERSIST, on_sweep, server);
    server->reap = event_new(base, -1, 0, on_reap, server);
    server->drained = event_new(base, -1, 0, on_drained, server);
    struct timeval every = milliseconds(sweep_interval(settings));
    if (!server->received || !server->sweep || !server->reap || !server->drained ||
        event_add(server->sweep, &every) != 0) {
        http_server_free(server);
        return NULL;
    }
    return server;
}

static void listener_free(struct http_listener *listener) {
    if (listener->accepting)
        event_free(listener->accepting);
    if (listener->pause_over)
        event_free(listener->pause_over);
    close(listener->fd);
    free(listener);
}

static void close_listeners(struct http_server *server) {
    struct http_listener *listener;
    while ((listener = STAILQ_FIRST(&server->listeners))) {
        STAILQ_REMOVE_HEAD(&server->listeners, link);
        listener_free(listener);
    }
}

void http_server_free(struct http_server *server) {
    if (!server)
        return;
    close_listeners(server);
    server->on_drained = NULL;
    struct http_connection *c;
    TAILQ_FOREACH(c, &server->connections, link)
    connection_close(c);
    reap(server);
    // Left are those whose answer is still owed: each frees itself when it comes.
    TAILQ_FOREACH(c, &server->connections, link)
    c->server = NULL;
    struct event *const events[] = {server->sweep, server->reap, server->drained};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    SSL_CTX_free(server->tls);
    buf_done(&server->head);
    free(server->received);
    free(server);
}

void http_server_set_tls(struct http_server *server, struct ssl_ctx_st *tls) {
    if (tls)
        SSL_CTX_up_ref(tls);
    SSL_CTX_free(server->tls);
    server->tls = tls;
}

// ---- accepting -------------------------------------------------------------

static bool note_peer(evutil_socket_t fd, const struct sockaddr_storage *address,
                      struct http_peer *peer) {
    *peer = (struct http_peer){.uid = (uid_t)-1, .gid = (gid_t)-1, .server_name = ""};
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        peer->port = ntohs(v6->sin6_port);
        return inet_ntop(AF_INET6, &v6->sin6_addr, peer->address, sizeof peer->address) != NULL;
    }
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        peer->port = ntohs(v4->sin_port);
        return inet_ntop(AF_INET, &v4->sin_addr, peer->address, sizeof peer->address) != NULL;
    }
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || size != sizeof who)
        return false;
    peer->is_unix = true;
    peer->uid = who.uid;
    peer->gid = who.gid;
    peer->pid = who.pid;
    snprintf(peer->address, sizeof peer->address, "unix");
    return true;
}

// Its peer asks for nothing, or takes its time to: silent from accept on, half a
// handshake, a request that drips.
static bool may_go(const struct http_server *server, const struct http_connection *c) {
    bool is_coming = c->state == CONNECTION_HANDSHAKE || c->state == CONNECTION_READING;
    return c->state == CONNECTION_IDLE || (is_coming && server->now_ms >= c->slow_ms);
}

// Whoever only holds connections open can so not keep others out for longer than
// CONNECTION_SLOW_MS.
bool server_make_room(struct http_server *server) {
    unsigned looked = 0;
    struct http_connection *c;
    TAILQ_FOREACH(c, &server->connections, link) {
        if (may_go(server, c)) {
            connection_close(c);
            return true;
        }
        if (++looked == EVICT_LOOK)
            break;
    }
    return false;
}

static bool has_place(struct http_server *server) {
    if (server->counters.connections_now < server->settings.connections_max ||
        server_make_room(server))
        return true;
    server->counters.connections_refused++;
    return false;
}

static void accepted(struct http_listener *listener, evutil_socket_t fd,
                     const struct sockaddr_storage *address) {
    struct http_server *server = listener->server;
    struct http_peer peer;
    if (!note_peer(fd, address, &peer) || !has_place(server)) {
        close(fd);
        return;
    }
    int on = 1;
    if (!peer.is_unix)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection_open(server, fd, &peer, listener->with_tls);
}

static void on_accept(evutil_socket_t fd, short what, void *ctx) {
    struct http_listener *listener = ctx;
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int peer = accept4(fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer >= 0) {
            accepted(listener, peer, &address);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        // Out of descriptors the listener stays readable: without a pause the
        // loop would spin on it and starve those who could free some.
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            struct timeval pause = milliseconds(ACCEPT_PAUSE_MS);
            event_del(listener->accepting);
            event_add(listener->pause_over, &pause);
        }
        return;
    }
}

static void on_pause_over(evutil_socket_t fd, short what, void *ctx) {
    struct http_listener *listener = ctx;
    event_add(listener->accepting, NULL);
}

vlt_result http_server_listen_fd(struct http_server *server, int fd, bool with_tls,
                                 struct fault *fault) {
    int listens = 0, on = 1;
    socklen_t size = sizeof listens;
    struct http_listener *listener = calloc(1, sizeof *listener);
    if (!listener || (with_tls && !server->tls) ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens ||
        evutil_make_socket_nonblocking(fd) != 0) {
        free(listener);
        close(fd);
        return fault_set(fault, VLT_BUG, "not a listening socket, or TLS without a certificate",
                         "descriptor %d can not be served: it is not a listening socket, or TLS is "
                         "wanted and no certificate is set", fd);
    }
    // Inherited by accepted sockets; fails harmlessly on a unix socket.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *listener = (struct http_listener){.server = server, .fd = fd, .with_tls = with_tls};
    listener->accepting = event_new(server->base, fd, EV_READ | EV_PERSIST, on_accept, listener);
    listener->pause_over = evtimer_new(server->base, on_pause_over, listener);
    if (!listener->accepting || !listener->pause_over ||
        event_add(listener->accepting, NULL) != 0) {
        listener_free(listener);
        return fault_set(fault, VLT_UNAVAILABLE, "out of memory", "out of memory for a listener");
    }
    STAILQ_INSERT_TAIL(&server->listeners, listener, link);
    return vlt_ok();
}

// ---- the end ---------------------------------------------------------------

static bool has_unread(struct http_connection *c) {
    char byte;
    return connection_unread(c) > 0 ||
           recv(connection_fd(c), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void http_server_drain(struct http_server *server, http_release *drained, void *ctx) {
    server->is_draining = true;
    server->on_drained = drained;
    server->on_drained_ctx = ctx;
    close_listeners(server);
    struct http_connection *c;
    TAILQ_FOREACH(c, &server->connections, link) {
        c->closes = true;
        // A request that is already in the socket is still served.
        if (c->state == CONNECTION_IDLE && !has_unread(c))
            connection_close(c);
        else if (c->state == CONNECTION_HANDSHAKE ||
                 (c->state == CONNECTION_READING && c->in.size == c->in_at))
            c->deadline_ms = server_deadline(FRESH_DRAIN_MS);
    }
    report_drained(server);
}

void http_server_counters(const struct http_server *server, struct http_server_counters *ret) {
    *ret = server->counters;
}
