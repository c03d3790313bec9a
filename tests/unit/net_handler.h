// SPDX-License-Identifier: Apache-2.0
// A handler that does what the path says, for test_net.c and test_net_lifetime.c.
#ifndef VLT_TESTS_UNIT_NET_HANDLER_H
#define VLT_TESTS_UNIT_NET_HANDLER_H

#include "tests/unit/net_fixture.h"

static struct {
    struct http_exchange *kept; // /keep: answered by the test
    struct http_exchange *all_kept[8];
    unsigned kept_count;
    unsigned released, gone, calls;
    unsigned later; // answers of /later that are still owed
    struct event_base *base;
} h;

static uint8_t secret[8 << 20];

static void on_release(void *ctx) {
    h.released++;
    memset(ctx, 0, 32); // what a real owner does: the bytes are not needed any more
}
static void on_gone(void *ctx) { h.gone++; }

static void reply_later(evutil_socket_t fd, short what, void *x) {
    h.later--;
    http_exchange_reply(x, 200, NULL, 0, BYTES_LITERAL("late"));
}

static void handle(struct http_exchange *x, void *ctx) {
    struct bytes path = http_exchange_request(x)->path;
    h.calls++;
    if (bytes_equal_text(path, "/keep")) {
        h.kept = h.all_kept[h.kept_count++ % 8] = x;
    } else if (bytes_equal_text(path, "/later")) {
        const struct timeval soon = {0, 50000};
        h.later++;
        event_base_once(h.base, -1, EV_TIMEOUT, reply_later, x, &soon);
    } else if (bytes_equal_text(path, "/secret")) {
        memcpy(secret, "the secret body, thirty-two byte", 32);
        http_exchange_reply_secret(x, 200, NULL, 0, secret, 32, on_release, secret);
    } else if (bytes_equal_text(path, "/big")) {
        http_exchange_reply_secret(x, 200, NULL, 0, secret, sizeof secret, on_release, secret);
    } else if (bytes_equal_text(path, "/none")) {
        http_exchange_reply(x, 204, NULL, 0, BYTES_LITERAL("not sent"));
    } else if (bytes_equal_text(path, "/split")) {
        const struct http_header bad = HTTP_HEADER("X", BYTES_LITERAL("a\r\nSet-Cookie: b"));
        http_exchange_reply(x, 200, &bad, 1, BYTES_LITERAL("body"));
    } else if (bytes_equal_text(path, "/stream")) {
        h.kept = x;
        assert_true(vlt_is_ok(http_exchange_stream_begin(x, 200, NULL, 0, on_gone, NULL)));
    } else {
        struct bytes body = http_exchange_request(x)->body;
        http_exchange_reply(x, 200, NULL, 0, body.size ? body : path);
    }
}

static void open_with(struct fixture *f, struct http_server_settings settings) {
    memset(&h, 0, sizeof h);
    settings.handler = handle;
    fixture_open(f, &settings);
    h.base = f->base;
}

static inline void open_default(struct fixture *f) { open_with(f, http_server_settings_default); }

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

#endif
