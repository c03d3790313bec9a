// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/net_fixture.h"

#include <sys/resource.h>
#include <sys/un.h>

// ---- a handler that does what the path says --------------------------------

static struct {
    struct http_exchange *kept; // /keep: answered by the test
    struct http_exchange *all_kept[8];
    unsigned kept_count;
    unsigned released, gone, calls;
    struct event_base *base;
} h;

static uint8_t secret[8 << 20];

static void on_release(void *ctx) {
    h.released++;
    memset(ctx, 0, 32); // what a real owner does: the bytes are not needed any more
}
static void on_gone(void *ctx) { h.gone++; }

static void reply_later(evutil_socket_t fd, short what, void *x) {
    http_exchange_reply(x, 200, NULL, 0, BYTES_LITERAL("late"));
}

static void handle(struct http_exchange *x, void *ctx) {
    struct bytes path = http_exchange_request(x)->path;
    h.calls++;
    if (bytes_equal_text(path, "/keep")) {
        h.kept = h.all_kept[h.kept_count++ % 8] = x;
    } else if (bytes_equal_text(path, "/later")) {
        const struct timeval soon = {0, 50000};
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

static void open_default(struct fixture *f) { open_with(f, http_server_settings_default); }

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

// ---- requests and answers --------------------------------------------------

static void server_accepts_pipelined_requests_in_order(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/later") "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nsec" "x" GET("/third"));
    assert_true(client_sees(&c, "/third"));
    const char *first = strstr(c.in, "late"), *second = strstr(c.in, "secx"), *third = strstr(c.in, "/third");
    assert_true(first && second && first < second && second < third);
    client_forget(&c);
    client_send(&c, GET("/again")); // the connection lives on
    assert_true(client_sees(&c, "/again"));
    assert_null(strstr(c.in, "Connection: close"));
    assert_non_null(strstr(c.in, "Date: "));
    assert_int_equal(counters_of(&f).requests, 4);
    assert_int_equal(counters_of(&f).connections, 1);
    client_close(&c);
    fixture_close(&f);
}

static void server_accepts_many_pipelined(void **state) {
    enum { COUNT = 3000 };
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    for (unsigned i = 0; i < COUNT; i++) {
        client_send(&c, GET("/n"));
        client_receive(&c);
    }
    int64_t end = clock_elapsed_ms() + WAIT_MS;
    while (counters_of(&f).requests < COUNT && clock_elapsed_ms() < end) {
        client_receive(&c);
        turn(&f);
    }
    assert_int_equal(counters_of(&f).requests, COUNT);
    client_close(&c);
    fixture_close(&f);
}

static void server_accepts_bodies_split_anywhere(void **state) {
    static const char text[] = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    struct fixture f;
    open_default(&f);
    for (size_t cut = 1; cut < sizeof text - 1; cut += 3) {
        struct client c;
        client_open(&c, &f);
        client_send_bytes(&c, text, cut);
        turn(&f);
        turn(&f);
        client_send_bytes(&c, text + cut, sizeof text - 1 - cut);
        assert_true(client_sees(&c, "abcde"));
        client_close(&c);
    }
    fixture_close(&f);
}

static void server_accepts_connection_close(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/y"));
    assert_true(client_is_closed(&c));
    assert_non_null(strstr(c.in, "Connection: close\r\n"));
    assert_null(strstr(c.in, "/y"));
    assert_int_equal(h.calls, 1);
    client_close(&c);
    fixture_close(&f);
}

static void server_accepts_answers_without_body(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, "HEAD /four HTTP/1.1\r\nHost: a\r\n\r\n" GET("/none") GET("/end"));
    assert_true(client_sees(&c, "/end"));
    assert_non_null(strstr(c.in, "Content-Length: 5\r\n\r\nHTTP/1.1 204 No Content\r\n"));
    assert_null(strstr(c.in, "not sent"));
    client_close(&c);
    fixture_close(&f);
}

static void server_accepts_half_closed_clients(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/later") GET("/second"));
    shutdown(c.fd, SHUT_WR);
    assert_true(client_is_closed(&c));
    assert_false(c.reset);
    assert_non_null(strstr(c.in, "late"));
    client_close(&c);
    fixture_close(&f);
}

static void server_accepts_expect_continue(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_true(client_sees(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(h.calls, 0);
    client_send(&c, "hello");
    assert_true(client_sees(&c, "\r\n\r\nhello"));
    client_close(&c);
    // Too large: the refusal comes instead of the invitation.
    client_open(&c, &f);
    client_send(&c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n");
    assert_true(client_is_closed(&c));
    assert_null(strstr(c.in, "100 Continue"));
    assert_non_null(strstr(c.in, "HTTP/1.1 413 "));
    client_close(&c);
    fixture_close(&f);
}

static void server_accepts_unix_peers(void **state) {
    char folder[] = "/tmp/test_net.XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    struct fixture f;
    struct client c;
    open_default(&f);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    fixture_listen(&f, fd, false);
    client_open(&c, &f);
    client_send(&c, GET("/keep"));
    spend(&f, 20);
    assert_non_null(h.kept);
    const struct http_peer *peer = http_exchange_peer(h.kept);
    assert_true(peer->is_unix);
    assert_int_equal(peer->uid, getuid());
    assert_int_equal(peer->gid, getgid());
    assert_int_equal(peer->pid, getpid());
    assert_string_equal(peer->address, "unix");
    assert_false(peer->is_tls || peer->has_certificate);
    http_exchange_reply(h.kept, 200, NULL, 0, BYTES_LITERAL("done"));
    assert_true(client_sees(&c, "done"));
    client_close(&c);
    fixture_close(&f);
    unlink(address.sun_path);
    rmdir(folder);
}

static void server_tells_tcp_peers_address(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/keep"));
    spend(&f, 20);
    const struct http_peer *peer = http_exchange_peer(h.kept);
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    getsockname(c.fd, (struct sockaddr *)&own, &size);
    assert_string_equal(peer->address, "127.0.0.1");
    assert_int_equal(peer->port, ntohs(own.sin_port));
    assert_false(peer->is_unix);
    http_exchange_reply(h.kept, 200, NULL, 0, BYTES_LITERAL(""));
    client_close(&c);
    fixture_close(&f);
}

// ---- refusals --------------------------------------------------------------

static void server_rejects_bad_requests_with_an_answer(void **state) {
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n", "HTTP/1.1 400 "},
        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nxxxx", "HTTP/1.1 413 "},
        {"\x16\x03\x01\x02", "HTTP/1.1 400 "},
        {"PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "HTTP/1.1 417 "}};
    struct fixture f;
    open_default(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client c;
        client_open(&c, &f);
        client_send(&c, cases[i].text);
        assert_true(client_is_closed(&c));
        assert_false(c.reset);
        assert_int_equal(strncmp(c.in, cases[i].status, strlen(cases[i].status)), 0);
        assert_non_null(strstr(c.in, "Content-Type: application/problem+json\r\n"));
        assert_non_null(strstr(c.in, "Connection: close\r\n"));
        assert_non_null(strstr(c.in, "\"detail\":"));
        client_close(&c);
    }
    assert_int_equal(h.calls, 0);
    assert_int_equal(counters_of(&f).requests_refused, sizeof cases / sizeof *cases);
    fixture_close(&f);
}

// The answer must reach a client that is still sending its too large body.
static void server_rejects_large_bodies_without_reset(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
    char *body = calloc(1, 400000);
    client_send_bytes(&c, body, 400000);
    free(body);
    assert_true(client_sees(&c, "HTTP/1.1 413 "));
    assert_true(client_is_closed(&c));
    assert_false(c.reset);
    client_close(&c);
    fixture_close(&f);
}

static void server_rejects_injected_headers(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/split"));
    assert_true(client_is_closed(&c));
    assert_int_equal(strncmp(c.in, "HTTP/1.1 500 ", 13), 0);
    assert_null(strstr(c.in, "Set-Cookie"));
    client_close(&c);
    fixture_close(&f);
}

// ---- time ------------------------------------------------------------------

static struct http_server_settings hasty(void) {
    struct http_server_settings s = http_server_settings_default;
    s.request_ms = 200;
    s.idle_ms = 200;
    s.write_ms = 300;
    s.answer_ms = 200;
    return s;
}

static void server_survives_slow_requests(void **state) {
    static const char text[] = "GET /slow HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct fixture f;
    struct client c;
    open_with(&f, hasty());
    client_open(&c, &f);
    int64_t begin = clock_elapsed_ms();
    for (size_t i = 0; i < sizeof text - 1 && !c.size; i++) { // a byte every 10 ms: never idle
        client_send_bytes(&c, text + i, 1);
        spend(&f, 10);
        client_receive(&c);
    }
    assert_true(client_sees(&c, "HTTP/1.1 408 "));
    int64_t took = clock_elapsed_ms() - begin;
    assert_true(took >= 190 && took < 1000);
    assert_true(client_is_closed(&c));
    assert_int_equal(h.calls, 0);
    assert_int_equal(counters_of(&f).timeouts, 1);
    client_close(&c);
    fixture_close(&f);
}

static void server_survives_silent_connections(void **state) {
    struct fixture f;
    struct client silent, idle;
    open_with(&f, hasty());
    client_open(&silent, &f);
    client_open(&idle, &f);
    client_send(&idle, GET("/x"));
    assert_true(client_sees(&idle, "/x"));
    assert_true(client_is_closed_within(&silent, 1000));
    assert_int_equal(silent.size, 0);
    client_forget(&idle);
    assert_true(client_is_closed_within(&idle, 1000));
    assert_int_equal(idle.size, 0);
    client_close(&silent);
    client_close(&idle);
    fixture_close(&f);
}

static void server_survives_clients_that_do_not_read(void **state) {
    struct fixture f;
    struct client c;
    open_with(&f, hasty());
    client_open(&c, &f);
    client_send(&c, GET("/big"));
    spend(&f, 100);
    assert_int_equal(h.released, 0);
    spend(&f, 600);
    assert_int_equal(h.released, 1);
    assert_int_equal(counters_of(&f).connections_now, 0);
    client_close(&c);
    fixture_close(&f);
    assert_int_equal(h.released, 1);
}

static void server_survives_handlers_that_take_too_long(void **state) {
    struct fixture f;
    struct client c;
    open_with(&f, hasty());
    client_open(&c, &f);
    client_send(&c, GET("/keep"));
    assert_true(client_sees(&c, "HTTP/1.1 503 "));
    assert_true(client_is_closed(&c));
    client_close(&c);
    spend(&f, 50);
    assert_true(http_exchange_peer_is_gone(h.kept));
    assert_true(bytes_equal_text(http_exchange_request(h.kept)->path, "/keep")); // still readable
    http_exchange_reply_secret(h.kept, 200, NULL, 0, secret, 32, on_release, secret);
    assert_int_equal(h.released, 1);
    fixture_close(&f);
}

// ---- peers that go ---------------------------------------------------------

static void exchange_survives_disconnect(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/keep"));
    spend(&f, 20);
    assert_non_null(h.kept);
    assert_false(http_exchange_peer_is_gone(h.kept));
    const struct linger hard = {1, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_close(&c); // with a reset
    spend(&f, 20);
    assert_true(http_exchange_peer_is_gone(h.kept));
    assert_int_equal(counters_of(&f).connections_now, 0);
    assert_true(bytes_equal_text(http_exchange_request(h.kept)->path, "/keep"));
    http_exchange_reply_secret(h.kept, 200, NULL, 0, secret, 32, on_release, secret);
    assert_int_equal(h.released, 1);
    spend(&f, 10);
    fixture_close(&f);
}

static void exchange_survives_the_server(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/keep"));
    spend(&f, 20);
    http_server_free(f.server);
    f.server = NULL;
    assert_true(client_is_closed(&c));
    http_exchange_reply_secret(h.kept, 200, NULL, 0, secret, 32, on_release, secret);
    assert_int_equal(h.released, 1);
    client_close(&c);
    fixture_close(&f);
}

static void server_survives_disconnects_everywhere(void **state) {
    static const char text[] = "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET("/secret");
    struct fixture f;
    open_default(&f);
    for (size_t cut = 0; cut < sizeof text; cut++)
        for (unsigned hard_close = 0; hard_close < 2; hard_close++) {
            struct client c;
            client_open(&c, &f);
            client_send_bytes(&c, text, cut);
            turn(&f);
            const struct linger hard = {1, 0};
            if (hard_close)
                setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            client_close(&c);
            turn(&f);
        }
    spend(&f, 150);
    assert_int_equal(counters_of(&f).connections_now, 0);
    fixture_close(&f);
}

// ---- secrets ---------------------------------------------------------------

static void secret_reply_gives_the_bytes_back(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/secret"));
    assert_true(client_sees(&c, "\r\n\r\nthe secret body, thirty-two byte"));
    assert_int_equal(h.released, 1);
    assert_int_equal(secret[0], 0); // wiped by its owner, nobody read it afterwards
    client_send(&c, "HEAD /secret HTTP/1.1\r\nHost: a\r\n\r\n" GET("/end"));
    assert_true(client_sees(&c, "/end"));
    assert_int_equal(h.released, 2);
    // Larger than any socket buffer: lent until the last byte has gone.
    client_send(&c, GET("/big"));
    spend(&f, 50);
    assert_int_equal(h.released, 2);
    size_t got = 0;
    for (int64_t end = clock_elapsed_ms() + WAIT_MS; got < sizeof secret && clock_elapsed_ms() < end;) {
        client_forget(&c);
        client_receive(&c);
        got += c.size;
        turn(&f);
    }
    assert_true(got >= sizeof secret);
    assert_int_equal(h.released, 3);
    // And at once when the peer goes in the middle.
    client_send(&c, GET("/big"));
    spend(&f, 50);
    assert_int_equal(h.released, 3);
    client_close(&c);
    spend(&f, 20);
    assert_int_equal(h.released, 4);
    fixture_close(&f);
    assert_int_equal(h.released, 4);
}

// ---- streams ---------------------------------------------------------------

static void stream_accepts_chunks_and_more_requests(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/stream") GET("/after"));
    assert_true(client_sees(&c, "Transfer-Encoding: chunked\r\n\r\n"));
    assert_true(vlt_is_ok(http_exchange_stream_chunk(h.kept, BYTES_LITERAL("first"))));
    assert_true(client_sees(&c, "5\r\nfirst\r\n"));
    assert_true(vlt_is_ok(http_exchange_stream_chunk(h.kept, bytes_of(NULL, 0)))); // does not end it
    assert_true(vlt_is_ok(http_exchange_stream_chunk(h.kept, BYTES_LITERAL("0123456789abcdef"))));
    assert_true(client_sees(&c, "10\r\n0123456789abcdef\r\n"));
    assert_null(strstr(c.in, "/after"));
    http_exchange_stream_end(h.kept);
    assert_true(client_sees(&c, "0\r\n\r\nHTTP/1.1 200 OK"));
    assert_true(client_sees(&c, "/after"));
    assert_int_equal(h.gone, 0);
    client_close(&c);
    fixture_close(&f);
}

static void stream_survives_peers_that_go(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/stream"));
    assert_true(client_sees(&c, "chunked"));
    client_close(&c);
    spend(&f, 20);
    assert_int_equal(h.gone, 1);
    assert_int_equal(http_exchange_stream_chunk(h.kept, BYTES_LITERAL("x")).class, VLT_UNAVAILABLE);
    http_exchange_stream_end(h.kept);
    spend(&f, 10);
    assert_int_equal(counters_of(&f).connections_now, 0);
    fixture_close(&f);
}

static void stream_rejects_peers_that_do_not_read(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/stream"));
    spend(&f, 20);
    vlt_result result = vlt_ok();
    for (unsigned i = 0; i < 1000 && vlt_is_ok(result); i++) {
        result = http_exchange_stream_chunk(h.kept, bytes_of(secret, 65536));
        turn(&f);
    }
    assert_int_equal(result.class, VLT_LIMIT);
    assert_int_equal(counters_of(&f).connections_now, 0);
    http_exchange_stream_end(h.kept);
    client_close(&c);
    fixture_close(&f);
}

// ---- numbers of connections ------------------------------------------------

static void server_survives_too_many_connections(void **state) {
    struct http_server_settings s = http_server_settings_default;
    s.connections_max = 3;
    struct fixture f;
    struct client c[5];
    open_with(&f, s);
    for (unsigned i = 0; i < 3; i++) {
        client_open(&c[i], &f);
        client_send(&c[i], i == 0 ? GET("/x") : GET("/keep"));
        spend(&f, 10);
    }
    // The idle one makes room; with all at work the newcomer has to go.
    client_open(&c[3], &f);
    client_send(&c[3], GET("/keep"));
    spend(&f, 20);
    assert_true(client_is_closed(&c[0]));
    client_open(&c[4], &f);
    assert_true(client_is_closed(&c[4]));
    assert_int_equal(c[4].size, 0);
    struct http_server_counters counters = counters_of(&f);
    assert_int_equal(counters.connections_now, 3);
    assert_int_equal(counters.connections_refused, 1);
    assert_int_equal(h.calls, 4);
    http_exchange_reply(h.kept, 200, NULL, 0, BYTES_LITERAL("kept"));
    assert_true(client_sees(&c[3], "kept"));
    for (unsigned i = 0; i < 5; i++)
        client_close(&c[i]);
    // Two are not answered yet: the server can go without them.
    assert_int_equal(h.kept_count, 3);
    http_server_free(f.server);
    f.server = NULL;
    for (unsigned i = 0; i < 2; i++)
        http_exchange_reply(h.all_kept[i], 200, NULL, 0, BYTES_LITERAL("dropped"));
    fixture_close(&f);
}

static void server_survives_lack_of_descriptors(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){(rlim_t)c.fd + 1, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    client_send(&c, GET("/x"));
    spend(&f, 50);
    client_receive(&c);
    assert_int_equal(c.size, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(client_sees(&c, "/x"));
    client_close(&c);
    fixture_close(&f);
}

// ---- drain -----------------------------------------------------------------

static void on_drained(void *ctx) { *(bool *)ctx = true; }

static void server_accepts_drain(void **state) {
    struct fixture f;
    struct client busy, idle, half;
    bool drained = false;
    open_default(&f);
    client_open(&busy, &f);
    client_open(&idle, &f);
    client_open(&half, &f);
    client_send(&idle, GET("/x"));
    assert_true(client_sees(&idle, "/x"));
    client_send(&busy, GET("/keep"));
    client_send(&half, "GET /half HTTP/1.1\r\n");
    spend(&f, 20);
    http_server_drain(f.server, on_drained, &drained);
    assert_true(client_is_closed(&idle));
    assert_false(drained);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(connect(fd, (struct sockaddr *)&f.address, f.address_size), 0);
    close(fd);
    client_send(&half, "Host: a\r\n\r\n");
    assert_true(client_sees(&half, "/half"));
    assert_true(client_is_closed(&half));
    assert_non_null(strstr(half.in, "Connection: close"));
    http_exchange_reply(h.kept, 200, NULL, 0, BYTES_LITERAL("kept"));
    assert_true(client_is_closed(&busy));
    assert_non_null(strstr(busy.in, "Connection: close"));
    assert_non_null(strstr(busy.in, "kept"));
    spend(&f, 10);
    assert_true(drained);
    client_close(&busy);
    client_close(&idle);
    client_close(&half);
    fixture_close(&f);
}

static void server_accepts_drain_when_nothing_is_open(void **state) {
    struct fixture f;
    bool drained = false;
    open_default(&f);
    http_server_drain(f.server, on_drained, &drained);
    assert_false(drained); // from the loop, not from the call
    spend(&f, 5);
    assert_true(drained);
    fixture_close(&f);
}

static void server_rejects_descriptors_that_do_not_listen(void **state) {
    struct fixture f;
    open_default(&f);
    struct fault fault = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(http_server_listen_fd(f.server, fd, false, &fault).class, VLT_BUG);
    assert_true(strlen(fault.text) > 10);
    fixture_close(&f);
}

// ---- routes ----------------------------------------------------------------

static void route_show(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    char text[256];
    struct bytes tenant = http_parameter(parameters, "tenant"), name = http_parameter(parameters, "name");
    int size = snprintf(text, sizeof text, "show %.*s %.*s %zu", (int)tenant.size, (const char *)tenant.at,
                        (int)name.size, (const char *)name.at, http_exchange_request(x)->body.size);
    http_exchange_reply(x, 200, NULL, 0, bytes_of(text, (size_t)size));
}

static const struct http_route routes[] = {
    {HTTP_GET, "/v1/status", route_show, 0},
    {HTTP_GET, "/v1/tenants/{tenant}/credentials/{name}", route_show, 0},
    {HTTP_PUT, "/v1/tenants/{tenant}/credentials/{name}", route_show, 100000},
    {HTTP_POST, "/v1/redeem", route_show, 10},
};

static void router_accepts_and_rejects(void **state) {
    static const struct {
        const char *request, *expected;
    } cases[] = {
        {GET("/v1/status"), "show   0"},
        {GET("/v1/./x/../status"), "show   0"},
        {GET("/v1/%73tatus?a=b"), "show   0"},
        {GET("/v1/tenants/acme/credentials/openai-prod"), "show acme openai-prod 0"},
        {"PUT /v1/tenants/a/credentials/b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz", "show a b 3"},
        {GET("/v1/status/"), "HTTP/1.1 404 "},
        {GET("/v1/tenants/acme/credentials"), "HTTP/1.1 404 "},
        {GET("/v1/tenants/acme/credentials/"), "HTTP/1.1 404 "},
        {GET("/v1/tenants/acme/credentials/a/b"), "HTTP/1.1 404 "},
        {GET("/"), "HTTP/1.1 404 "},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
        {GET("/v1//status"), "HTTP/1.1 400 "},
        {GET("/v1/x%2fstatus"), "HTTP/1.1 400 "},
        {GET("/../v1/status"), "HTTP/1.1 400 "},
        {GET("/v1/redeem"), "Allow: POST\r\n"},
        {"DELETE /v1/tenants/a/credentials/b HTTP/1.1\r\nHost: a\r\n\r\n", "Allow: GET, HEAD, PUT\r\n"},
        {"POST /v1/redeem HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890", "HTTP/1.1 413 "},
        {"GET /v1/status HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 413 "},
        {"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01234", "HTTP/1.1 404 "},
    };
    struct http_router router = {routes, sizeof routes / sizeof *routes, NULL};
    struct http_server_settings settings = fixture_settings(http_router_handler);
    settings.body_max = http_router_body_max_handler;
    settings.ctx = &router;
    struct fixture f;
    fixture_open(&f, &settings);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client c;
        client_open(&c, &f);
        client_send(&c, cases[i].request);
        if (!client_sees(&c, cases[i].expected))
            fail_msg("%s gave %s", cases[i].request, c.in);
        client_close(&c);
    }
    // A route may take more than the server's default.
    struct client c;
    client_open(&c, &f);
    client_send(&c, "PUT /v1/tenants/a/credentials/b HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client_send_bytes(&c, secret, 100000);
    assert_true(client_sees(&c, "show a b 100000"));
    client_close(&c);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_accepts_pipelined_requests_in_order),
        cmocka_unit_test(server_accepts_many_pipelined),
        cmocka_unit_test(server_accepts_bodies_split_anywhere),
        cmocka_unit_test(server_accepts_connection_close),
        cmocka_unit_test(server_accepts_answers_without_body),
        cmocka_unit_test(server_accepts_half_closed_clients),
        cmocka_unit_test(server_accepts_expect_continue),
        cmocka_unit_test(server_accepts_unix_peers),
        cmocka_unit_test(server_tells_tcp_peers_address),
        cmocka_unit_test(server_rejects_bad_requests_with_an_answer),
        cmocka_unit_test(server_rejects_large_bodies_without_reset),
        cmocka_unit_test(server_rejects_injected_headers),
        cmocka_unit_test(server_survives_slow_requests),
        cmocka_unit_test(server_survives_silent_connections),
        cmocka_unit_test(server_survives_clients_that_do_not_read),
        cmocka_unit_test(server_survives_handlers_that_take_too_long),
        cmocka_unit_test(exchange_survives_disconnect),
        cmocka_unit_test(exchange_survives_the_server),
        cmocka_unit_test(server_survives_disconnects_everywhere),
        cmocka_unit_test(secret_reply_gives_the_bytes_back),
        cmocka_unit_test(stream_accepts_chunks_and_more_requests),
        cmocka_unit_test(stream_survives_peers_that_go),
        cmocka_unit_test(stream_rejects_peers_that_do_not_read),
        cmocka_unit_test(server_survives_too_many_connections),
        cmocka_unit_test(server_survives_lack_of_descriptors),
        cmocka_unit_test(server_accepts_drain),
        cmocka_unit_test(server_accepts_drain_when_nothing_is_open),
        cmocka_unit_test(server_rejects_descriptors_that_do_not_listen),
        cmocka_unit_test(router_accepts_and_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
