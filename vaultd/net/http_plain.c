// SPDX-License-Identifier: Apache-2.0
#include "vaultd/net/http_plain.h"

#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vaultd/net/http_connection.h"

// ---- Reading ----

static void pause_reading(struct http_plain *plain) {
    event_del(plain->readable);
    plain->is_paused = true;
}

static void resume_reading(struct http_plain *plain) {
    if (plain->is_paused && !plain->is_over && event_add(plain->readable, NULL) == 0)
        plain->is_paused = false;
}

size_t plain_unread(const struct http_plain *plain) {
    return plain->ahead.size + plain->fresh.size;
}

void plain_take(struct http_plain *plain, uint8_t *to) {
    if (plain->ahead.size)
        memcpy(to, plain->ahead.at, plain->ahead.size);
    if (plain->fresh.size)
        memcpy(to + plain->ahead.size, plain->fresh.at, plain->fresh.size);
    plain_drop(plain);
}

void plain_drop(struct http_plain *plain) {
    plain->fresh = bytes_of(NULL, 0);
    buf_done(&plain->ahead);
    resume_reading(plain);
}

// Nobody took it now: the room in which it lies is for the next connection.
static bool keep_fresh(struct http_plain *plain) {
    buf_put(&plain->ahead, plain->fresh);
    plain->fresh = bytes_of(NULL, 0);
    if (plain->ahead.size >= HTTP_READ_AHEAD && !plain->is_paused)
        pause_reading(plain);
    return !buf_failed(&plain->ahead);
}

// False: the connection was told that there is no more, and may be closed.
static bool receive(struct http_connection *c) {
    struct http_plain *plain = &c->plain;
    size_t room = HTTP_READ_AHEAD - plain->ahead.size;
    if (plain->is_over || !room)
        return true;
    ssize_t size = recv(plain->fd, c->server->received, room, MSG_DONTWAIT);
    if (size > 0)
        plain->fresh = bytes_of(c->server->received, (size_t)size);
    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    plain->is_over = true;
    event_del(plain->readable);
    connection_ended(c, size < 0);
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx) {
    struct http_connection *c = ctx;
    if (!receive(c))
        return;
    connection_arrived(c);
    if (c->plain.readable && c->plain.fresh.size && !keep_fresh(&c->plain))
        connection_close(c);
}

void plain_call_later(struct http_plain *plain) { event_active(plain->readable, EV_READ, 0); }

// ---- Writing ----

void plain_push(struct http_plain *plain) {
    if (evbuffer_get_length(plain->output) > 0)
        event_add(plain->writable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx) {
    struct http_connection *c = ctx;
    if (evbuffer_write(c->plain.output, fd) < 0 && errno != EAGAIN && errno != EINTR) {
        connection_ended(c, true);
        return;
    }
    plain_push(&c->plain);
    connection_flushed(c);
}

// ---- Life ----

bool plain_open(struct http_connection *c, evutil_socket_t fd) {
    struct event_base *base = c->server->base;
    struct http_plain *plain = &c->plain;
    *plain = (struct http_plain){.fd = fd};
    buf_init(&plain->ahead, HTTP_READ_AHEAD);
    plain->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    plain->writable = event_new(base, fd, EV_WRITE, on_writable, c);
    plain->output = evbuffer_new();
    if (plain->readable && plain->writable && plain->output &&
        event_add(plain->readable, NULL) == 0)
        return true;
    plain_close(plain);
    return false;
}

void plain_close(struct http_plain *plain) {
    if (plain->readable)
        event_free(plain->readable);
    if (plain->writable)
        event_free(plain->writable);
    if (plain->output)
        evbuffer_free(plain->output);
    plain->readable = plain->writable = NULL;
    plain->output = NULL;
    plain->fresh = bytes_of(NULL, 0);
    buf_done(&plain->ahead);
    close(plain->fd);
}
