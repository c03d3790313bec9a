// SPDX-License-Identifier: Apache-2.0
// Deadlines, peers that go, lent bytes, streams, numbers of connections, drain.
#include "tests/unit/net_handler.h"

#include <poll.h>
#include <sys/resource.h>

// ---- time ------------------------------------------------------------------

static struct http_server_settings hasty(void) {
    struct http_server_settings s = http_server_settings_default;
    s.request_ms = 200;
    s.idle_ms = 200;
    s.write_ms = 300;
    s.answer_ms = 200;
    return s;
}

// A byte every 10 ms is never idle; the whole request has its deadline all the
// same, the first of a connection as well as a later one.
static void drip_until_408(struct fixture *f, struct client *c) {
    static const char text[] =
        "GET /slow HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    int64_t begin = clock_elapsed_ms();
    for (size_t i = 0; i < sizeof text - 1 && !c->size; i++) {
        client_send_bytes(c, text + i, 1);
        spend(f, 10);
        client_receive(c);
    }
    assert_true(c->size > 0); // while bytes still came
    assert_true(client_sees(c, "HTTP/1.1 408 "));
    assert_true(clock_elapsed_ms() - begin >= 190);
    assert_true(client_is_closed(c));
}

static void server_survives_slow_requests(void **state) {
    struct http_server_settings s = hasty();
    s.idle_ms = 5000;
    struct fixture f;
    struct client c;
    open_with(&f, s);
    client_open(&c, &f);
    drip_until_408(&f, &c);
    client_close(&c);
    client_open(&c, &f);
    client_send(&c, GET("/x"));
    assert_true(client_sees(&c, "/x"));
    client_forget(&c);
    spend(&f, 300);
    drip_until_408(&f, &c);
    assert_int_equal(h.calls, 1);
    assert_int_equal(counters_of(&f).timeouts, 2);
    client_close(&c);
    fixture_close(&f);
}

// A machine that stood still takes no time from those who come afterwards.
static void server_accepts_requests_after_a_standstill(void **state) {
    struct fixture f;
    struct client c;
    open_with(&f, hasty());
    spend(&f, 50);
    poll(NULL, 0, 600);
    client_open(&c, &f);
    int64_t begin = clock_elapsed_ms();
    client_send(&c, "GET /x HTTP/1.1\r\n");
    assert_true(client_is_closed(&c));
    assert_true(clock_elapsed_ms() - begin >= 190);
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
    assert_true(client_is_closed(&silent));
    assert_int_equal(silent.size, 0);
    client_forget(&idle);
    assert_true(client_is_closed(&idle));
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
    int64_t begin = clock_elapsed_ms();
    client_send(&c, GET("/big"));
    assert_becomes(&f, h.released == 1);
    assert_true(clock_elapsed_ms() - begin >= 290); // the bytes are lent until then
    assert_becomes(&f, counters_of(&f).connections_now == 0);
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
    assert_becomes(&f, http_exchange_peer_is_gone(h.kept));
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
    assert_becomes(&f, h.kept);
    assert_false(http_exchange_peer_is_gone(h.kept));
    const struct linger hard = {1, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_close(&c); // with a reset
    assert_becomes(&f, http_exchange_peer_is_gone(h.kept));
    assert_becomes(&f, counters_of(&f).connections_now == 0);
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
    assert_becomes(&f, h.kept);
    http_server_free(f.server);
    f.server = NULL;
    assert_true(client_is_closed(&c));
    http_exchange_reply_secret(h.kept, 200, NULL, 0, secret, 32, on_release, secret);
    assert_int_equal(h.released, 1);
    client_close(&c);
    fixture_close(&f);
}

static void server_survives_disconnects_everywhere(void **state) {
    static const char text[] =
        "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET("/secret");
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
    assert_becomes(&f, h.later == 0); // a closed connection lives until its answer is given
    assert_becomes(&f, counters_of(&f).connections_now == 0);
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
    for (int64_t end = clock_elapsed_ms() + WAIT_MS;
         got < sizeof secret && clock_elapsed_ms() < end;) {
        client_forget(&c);
        client_receive(&c);
        got += c.size;
        turn(&f);
    }
    assert_true(got >= sizeof secret);
    assert_becomes(&f, h.released == 3);
    // And at once when the peer goes in the middle.
    client_send(&c, GET("/big"));
    assert_becomes(&f, h.calls == 5);
    spend(&f, 50);
    assert_int_equal(h.released, 3);
    client_close(&c);
    assert_becomes(&f, h.released == 4);
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
    assert_true(
        vlt_is_ok(http_exchange_stream_chunk(h.kept, bytes_of(NULL, 0)))); // does not end it
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
    assert_becomes(&f, h.gone == 1);
    assert_int_equal(http_exchange_stream_chunk(h.kept, BYTES_LITERAL("x")).class, VLT_UNAVAILABLE);
    http_exchange_stream_end(h.kept);
    assert_becomes(&f, counters_of(&f).connections_now == 0);
    fixture_close(&f);
}

static void stream_rejects_peers_that_do_not_read(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/stream"));
    assert_becomes(&f, h.kept);
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
        assert_becomes(&f, h.calls == i + 1);
    }
    // The idle one makes room; with all at work the newcomer has to go.
    client_open(&c[3], &f);
    client_send(&c[3], GET("/keep"));
    assert_becomes(&f, h.calls == 4);
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

// Nobody can hold every place by saying nothing, or by saying it slowly. False: all this
// took so long that they were slow before they should be.
static bool silent_ones_make_room(void) {
    struct http_server_settings s = http_server_settings_default;
    s.connections_max = 4;
    struct fixture f;
    struct client busy, again, silent, drips, early, late[3];
    open_with(&f, s);
    int64_t begin = clock_elapsed_ms();
    client_open(&busy, &f); // waits for its answer, and is there longest
    client_send(&busy, GET("/keep"));
    client_open(&again, &f); // dawdles with its second request
    client_send(&again, GET("/x"));
    assert_true(client_sees(&again, "/x"));
    client_forget(&again);
    client_send(&again, "GET /a");
    client_open(&silent, &f);
    client_open(&drips, &f);
    client_send(&drips, "GET /d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
    spend(&f, 20);
    client_open(&early, &f); // nobody was slow yet
    bool is_closed = client_is_closed_within(&early, 1000);
    bool is_in_time = clock_elapsed_ms() - begin < 1000;
    if (is_in_time) {
        assert_true(is_closed);
        assert_int_equal(counters_of(&f).connections_refused, 1);
        spend(&f, 1600);
        spend(&f, 300); // the server has looked at its clock, whatever held it up before
        assert_int_equal(counters_of(&f).connections_now, 4); // there is no need yet
        for (size_t i = 0; i < 3; i++) {
            client_open(&late[i], &f);
            client_send(&late[i], GET("/late"));
            assert_true(client_sees(&late[i], "/late"));
        }
        assert_true(client_is_closed(&again));
        assert_true(client_is_closed(&silent));
        assert_true(client_is_closed(&drips));
        assert_int_equal(counters_of(&f).connections_refused, 1);
        assert_int_equal(counters_of(&f).connections_now, 4);
        for (size_t i = 0; i < 3; i++)
            client_close(&late[i]);
    }
    http_exchange_reply(h.kept, 200, NULL, 0, BYTES_LITERAL("kept"));
    assert_true(client_sees(&busy, "kept"));
    struct client *const all[] = {&busy, &again, &silent, &drips, &early};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        client_close(all[i]);
    fixture_close(&f);
    return is_in_time;
}

static void server_survives_too_many_silent_connections(void **state) {
    unsigned tries = 0;
    while (!silent_ones_make_room())
        assert_in_range(++tries, 1, 9); // a machine that is too slow for this
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
    assert_becomes(&f, drained);
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
    assert_becomes(&f, drained);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_survives_slow_requests),
        cmocka_unit_test(server_accepts_requests_after_a_standstill),
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
        cmocka_unit_test(server_survives_too_many_silent_connections),
        cmocka_unit_test(server_survives_lack_of_descriptors),
        cmocka_unit_test(server_accepts_drain),
        cmocka_unit_test(server_accepts_drain_when_nothing_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
