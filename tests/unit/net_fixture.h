// SPDX-License-Identifier: Apache-2.0
// A server and its clients in one thread: every wait runs the server's loop, so
// that nothing depends on who is scheduled when. Included by test_net*.c only.
#ifndef VLT_TESTS_UNIT_NET_FIXTURE_H
#define VLT_TESTS_UNIT_NET_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "tests/unit/check.h"
#include "vaultd/net/http_router.h"
#include "vaultd/net/http_server.h"

// WAIT_MS only ends a test that hangs: the machine may stand still for seconds.
enum { WAIT_MS = 60000, TURNS_MIN = 20, CLIENT_MAX = 1 << 20 };

struct fixture {
    struct event_base *base;
    struct http_server *server;
    struct sockaddr_storage address;
    socklen_t address_size;
};

static inline struct http_server_settings fixture_settings(http_handler *handler) {
    struct http_server_settings s = http_server_settings_default;
    s.handler = handler;
    return s;
}

static void fixture_listen(struct fixture *f, int fd, bool with_tls) {
    f->address_size = sizeof f->address;
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&f->address, &f->address_size), 0);
    assert_true(vlt_is_ok(http_server_listen_fd(f->server, fd, with_tls, NULL)));
}

static void fixture_open(struct fixture *f, const struct http_server_settings *settings) {
    *f = (struct fixture){.base = event_base_new()};
    f->server = http_server_new(f->base, settings);
    assert_non_null(f->server);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int room = 65536; // of accepted connections, too: as small as the client's
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    fixture_listen(f, fd, settings->tls != NULL);
}

static void fixture_close(struct fixture *f) {
    http_server_free(f->server);
    event_base_loop(f->base, EVLOOP_NONBLOCK); // what bufferevents put off
    event_base_free(f->base);
}

struct client {
    struct fixture *f;
    int fd;
    SSL *ssl;
    char *in; // always terminated
    size_t size;
    bool eof, reset;
};

static void client_open(struct client *c, struct fixture *f) {
    *c = (struct client){.f = f, .in = calloc(1, CLIENT_MAX + 1)};
    c->fd = socket(f->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Small, so that a large answer does not vanish into the kernel at once.
    const int room = 65536;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&f->address, f->address_size), 0);
    evutil_make_socket_nonblocking(c->fd);
}

static void client_close(struct client *c) {
    SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    free(c->in);
    *c = (struct client){.fd = -1};
}

// Lets server and network do what they can now, without waiting.
static void turn(struct fixture *f) {
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    usleep(500);
}

// So long at least, and so often that everything that was begun is done.
static inline void spend(struct fixture *f, int ms) {
    int64_t end = clock_elapsed_ms() + ms;
    for (unsigned turns = 0; turns < TURNS_MIN || clock_elapsed_ms() < end; turns++)
        turn(f);
}

#define assert_becomes(f, condition) \
    do { \
        int64_t end_ = clock_elapsed_ms() + WAIT_MS; \
        while (!(condition) && clock_elapsed_ms() < end_) \
            turn(f); \
        assert_true(condition); \
    } while (0)

static void client_receive(struct client *c) {
    char *room = c->in + c->size;
    size_t left = CLIENT_MAX - c->size;
    if (c->eof || !left)
        return;
    if (c->ssl) {
        int got = SSL_read(c->ssl, room, (int)left);
        c->eof = got <= 0 && SSL_get_error(c->ssl, got) != SSL_ERROR_WANT_READ;
        c->size += got > 0 ? (size_t)got : 0;
    } else {
        ssize_t got = recv(c->fd, room, left, MSG_DONTWAIT);
        c->reset = got < 0 && errno == ECONNRESET;
        c->eof = got == 0 || c->reset;
        c->size += got > 0 ? (size_t)got : 0;
    }
}

static void client_send_bytes(struct client *c, const void *at, size_t size) {
    size_t sent = 0;
    for (int64_t end = clock_elapsed_ms() + WAIT_MS; sent < size && clock_elapsed_ms() < end;) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, (const char *)at + sent, (int)(size - sent))
                           : send(c->fd, (const char *)at + sent, size - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else
            turn(c->f);
        if (c->ssl ? n < 0 && SSL_get_error(c->ssl, (int)n) == SSL_ERROR_SYSCALL
                   : n < 0 && errno == EPIPE)
            return;
    }
}

static void client_send(struct client *c, const char *text) {
    client_send_bytes(c, text, strlen(text));
}

static bool client_sees_within(struct client *c, const char *text, int ms) {
    int64_t end = clock_elapsed_ms() + ms;
    do {
        client_receive(c);
        if (strstr(c->in, text))
            return true;
        turn(c->f);
    } while (clock_elapsed_ms() < end && !c->eof);
    return false;
}
static inline bool client_sees(struct client *c, const char *text) {
    return client_sees_within(c, text, WAIT_MS);
}

static bool client_is_closed_within(struct client *c, int ms) {
    int64_t end = clock_elapsed_ms() + ms;
    while (!c->eof && clock_elapsed_ms() < end) {
        client_receive(c);
        turn(c->f);
    }
    return c->eof;
}
static inline bool client_is_closed(struct client *c) {
    return client_is_closed_within(c, WAIT_MS);
}

static inline void client_forget(struct client *c) {
    c->size = 0;
    memset(c->in, 0, CLIENT_MAX);
}

static struct http_server_counters counters_of(struct fixture *f) {
    struct http_server_counters counters;
    http_server_counters(f->server, &counters);
    return counters;
}

#endif
