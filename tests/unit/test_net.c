// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/net_handler.h"

#include <sys/un.h>

// ---- requests and answers --------------------------------------------------

static void server_accepts_pipelined_requests_in_order(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/later") "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nsec"
                                  "x" GET("/third"));
    assert_true(client_sees(&c, "/third"));
    const char *first = strstr(c.in, "late"), *second = strstr(c.in, "secx"),
               *third = strstr(c.in, "/third");
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

// More than the server reads ahead of the answer that it owes: the rest waits in the
// socket, and nothing is lost or called early.
static void server_accepts_much_before_its_answer(void **state) {
    enum { COUNT = 300 };
    struct fixture f;
    struct client c;
    char request[256] = "POST /n HTTP/1.1\r\nHost: a\r\nContent-Length: 160\r\n\r\n";
    memset(request + strlen(request), 'x', 160);
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/keep"));
    for (unsigned i = 0; i < COUNT; i++)
        client_send(&c, request);
    client_send(&c, GET("/last"));
    spend(&f, 20);
    assert_int_equal(h.calls, 1);
    http_exchange_reply(h.kept, 200, NULL, 0, BYTES_LITERAL("kept"));
    assert_true(client_sees(&c, "/last"));
    assert_int_equal(h.calls, COUNT + 2);
    assert_int_equal(counters_of(&f).requests_refused, 0);
    client_close(&c);
    fixture_close(&f);
}

// It asked for more and then said that this was all, while its first answer was awaited:
// that is noticed behind what was read ahead, and what is owed still comes.
static void server_accepts_much_from_a_peer_that_goes(void **state) {
    struct fixture f;
    struct client c;
    open_default(&f);
    client_open(&c, &f);
    client_send(&c, GET("/keep") GET("/n") GET("/last"));
    spend(&f, 20);
    shutdown(c.fd, SHUT_WR);
    spend(&f, 20);
    assert_true(http_exchange_peer_is_gone(h.kept));
    http_exchange_reply(h.kept, 200, NULL, 0, BYTES_LITERAL("kept"));
    assert_true(client_is_closed(&c));
    assert_non_null(strstr(c.in, "kept"));
    client_close(&c);
    fixture_close(&f);
}

static void server_accepts_bodies_split_anywhere(void **state) {
    static const char text[] = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
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
    client_send(&c,
                "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_true(client_sees(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(h.calls, 0);
    client_send(&c, "hello");
    assert_true(client_sees(&c, "\r\n\r\nhello"));
    client_close(&c);
    // Too large: the refusal comes instead of the invitation.
    client_open(&c, &f);
    client_send(
        &c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n");
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

static void route_show(struct http_exchange *x, const struct http_parameters *parameters,
                       void *ctx) {
    char text[256];
    struct bytes tenant = http_parameter(parameters, "tenant"),
                 name = http_parameter(parameters, "name");
    int size =
        snprintf(text, sizeof text, "show %.*s %.*s %zu", (int)tenant.size, (const char *)tenant.at,
                 (int)name.size, (const char *)name.at, http_exchange_request(x)->body.size);
    http_exchange_reply(x, 200, NULL, 0, bytes_of(text, (size_t)size));
}

static const struct http_route routes[] = {
    {HTTP_GET, "/v1/status", route_show, 0},
    {HTTP_GET, "/v1/tenants/{tenant}/credentials/{name}", route_show, 0},
    {HTTP_PUT, "/v1/tenants/{tenant}/credentials/{name}", route_show, 100000},
    {HTTP_POST, "/v1/redeem", route_show, 10},
};

static void refuse_too_large(struct http_exchange *x, const struct http_route *route,
                           const struct http_parameters *parameters, void *ctx) {
    unsigned *told = ctx;
    bool is_redeem = bytes_equal_text(http_exchange_request(x)->path, "/v1/redeem");
    assert_string_equal(route->path, is_redeem ? "/v1/redeem" : "/v1/status");
    ++*told;
    http_exchange_reply_too_large(x);
}

static void router_accepts_and_rejects(void **state) {
    static const struct {
        const char *request, *expected;
    } cases[] = {
        {GET("/v1/status"), "show   0"},
        {GET("/v1/./x/../status"), "show   0"},
        {GET("/v1/%73tatus?a=b"), "show   0"},
        {GET("/v1/tenants/acme/credentials/openai-prod"), "show acme openai-prod 0"},
        {"PUT /v1/tenants/a/credentials/b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz",
         "show a b 3"},
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
        {"DELETE /v1/tenants/a/credentials/b HTTP/1.1\r\nHost: a\r\n\r\n",
         "Allow: GET, HEAD, PUT\r\n"},
        {"POST /v1/redeem HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890",
         "HTTP/1.1 413 "},
        {"GET /v1/status HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 413 "},
        {"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01234", "HTTP/1.1 404 "},
    };
    unsigned told = 0;
    struct http_router router = {routes, sizeof routes / sizeof *routes, &told, refuse_too_large};
    struct http_server_settings settings = fixture_settings(http_router_handler);
    settings.body_max = http_router_body_max_handler;
    settings.too_large = http_router_too_large_handler;
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
    client_send(
        &c,
        "PUT /v1/tenants/a/credentials/b HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client_send_bytes(&c, secret, 100000);
    assert_true(client_sees(&c, "show a b 100000"));
    client_close(&c);
    assert_int_equal(told, 2); // one that redeem takes no more of, one that status takes none of
    // One that does not say its size: the chunk that is too much is told, once.
    client_open(&c, &f);
    client_send(&c, "POST /v1/redeem HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "8\r\n01234567\r\n");
    client_send(&c, "8\r\n01234567\r\n0\r\n\r\n");
    assert_true(client_sees(&c, "HTTP/1.1 413 "));
    client_close(&c);
    assert_int_equal(told, 3);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_accepts_pipelined_requests_in_order),
        cmocka_unit_test(server_accepts_many_pipelined),
        cmocka_unit_test(server_accepts_much_before_its_answer),
        cmocka_unit_test(server_accepts_much_from_a_peer_that_goes),
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
        cmocka_unit_test(server_rejects_descriptors_that_do_not_listen),
        cmocka_unit_test(router_accepts_and_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
