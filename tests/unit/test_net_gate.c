// SPDX-License-Identifier: Apache-2.0
// Who sends much is looked at before it is read.
#include "tests/unit/net_handler.h"

enum { GATE_BYTES = 16, LARGE = 4 << 20 };

static struct http_exchange *waiting;
static unsigned gated;

static void guard(struct http_exchange *x, void *ctx) {
    struct bytes path = http_exchange_request(x)->path;
    gated++;
    assert_int_equal(http_exchange_request(x)->body.size, 0);
    if (bytes_equal_text(path, "/friend"))
        http_exchange_read_body(x);
    else if (bytes_equal_text(path, "/ask"))
        waiting = x;
    else
        http_exchange_reply(x, 401, NULL, 0, BYTES_LITERAL("stranger"));
}

static void open_guarded(struct fixture *f, unsigned answer_ms) {
    struct http_server_settings s = http_server_settings_default;
    s.limits.body_bytes = LARGE;
    s.gate = guard;
    s.gate_bytes = GATE_BYTES;
    s.answer_ms = answer_ms;
    gated = 0;
    waiting = NULL;
    open_with(f, s);
}

static void post(struct client *c, const char *path, const char *more, size_t size) {
    char head[256];
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n%s\r\n",
             path, size, more);
    client_send(c, head);
}

static void gate_accepts_small_bodies_unseen(void **state) {
    struct fixture f;
    struct client c;
    open_guarded(&f, 5000);
    client_open(&c, &f);
    post(&c, "/x", "", 5);
    client_send(&c, "small" GET("/next"));
    assert_true(client_sees(&c, "/next"));
    assert_int_equal(gated, 0);
    client_close(&c);
    fixture_close(&f);
}

static void gate_accepts_friends_and_goes_on(void **state) {
    struct fixture f;
    struct client c;
    open_guarded(&f, 5000);
    client_open(&c, &f);
    post(&c, "/friend", "", 20);
    client_send(&c, "twenty bytes of body");
    assert_true(client_sees(&c, "twenty bytes of body"));
    client_send(&c, "POST /friend HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n0\r\n\r\n" GET("/pipelined"));
    assert_true(client_sees(&c, "/pipelined"));
    assert_null(strstr(c.in, "Connection: close"));
    assert_int_equal(gated, 2);
    client_close(&c);
    fixture_close(&f);
}

static void gate_accepts_who_is_known_later(void **state) {
    struct fixture f;
    struct client c;
    open_guarded(&f, 5000);
    client_open(&c, &f);
    post(&c, "/ask", "Expect: 100-continue\r\n", 20);
    spend(&f, 50);
    client_receive(&c);
    assert_int_equal(c.size, 0); // not invited before it is known
    http_exchange_read_body(waiting);
    assert_true(client_sees(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    client_send(&c, "twenty bytes of body" GET("/next"));
    assert_true(client_sees(&c, "/next"));
    assert_non_null(strstr(c.in, "twenty bytes of body"));
    // What was sent at once lies in the kernel meanwhile.
    static char much[LARGE];
    memset(much, 'm', sizeof much);
    client_forget(&c);
    post(&c, "/ask", "", 1 << 18);
    client_send_bytes(&c, much, 1 << 16);
    spend(&f, 50);
    http_exchange_read_body(waiting);
    client_send_bytes(&c, much, (1 << 18) - (1 << 16));
    assert_true(client_sees(&c, "mmmm"));
    client_close(&c);
    fixture_close(&f);
}

static void gate_rejects_strangers_without_reading(void **state) {
    static char much[LARGE];
    struct fixture f;
    struct client c;
    open_guarded(&f, 5000);
    client_open(&c, &f);
    post(&c, "/stranger", "Expect: 100-continue\r\n", LARGE);
    assert_true(client_is_closed(&c));
    assert_true(strncmp(c.in, "HTTP/1.1 401 ", 13) == 0);
    assert_non_null(strstr(c.in, "Connection: close"));
    client_close(&c);
    client_open(&c, &f); // and when it does not wait to be invited
    post(&c, "/stranger", "", LARGE);
    client_send_bytes(&c, much, 1 << 16);
    assert_true(client_sees(&c, "stranger"));
    client_close(&c);
    client_open(&c, &f); // more than anybody may send
    post(&c, "/friend", "", LARGE + 1);
    assert_true(client_is_closed(&c));
    assert_non_null(strstr(c.in, "HTTP/1.1 413 "));
    assert_int_equal(gated, 2);
    assert_int_equal(h.calls, 0);
    client_close(&c);
    fixture_close(&f);
}

static void gate_survives_peers_that_go_and_answers_that_do_not_come(void **state) {
    struct fixture f;
    struct client c;
    open_guarded(&f, 100);
    client_open(&c, &f);
    post(&c, "/ask", "", 20);
    spend(&f, 20);
    client_close(&c);
    spend(&f, 20);
    http_exchange_read_body(waiting);
    spend(&f, 20);
    assert_int_equal(counters_of(&f).connections_now, 0);
    client_open(&c, &f);
    post(&c, "/ask", "", 20);
    assert_true(client_sees(&c, "HTTP/1.1 503 "));
    http_exchange_read_body(waiting); // too late, and nothing comes of it
    assert_true(client_is_closed(&c));
    assert_int_equal(h.calls, 0);
    client_close(&c);
    client_open(&c, &f); // still waiting when the server ends
    post(&c, "/ask", "", 20);
    spend(&f, 20);
    struct http_exchange *left = waiting;
    http_server_free(f.server);
    http_exchange_read_body(left);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    event_base_free(f.base);
    client_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gate_accepts_small_bodies_unseen),
        cmocka_unit_test(gate_accepts_friends_and_goes_on),
        cmocka_unit_test(gate_accepts_who_is_known_later),
        cmocka_unit_test(gate_rejects_strangers_without_reading),
        cmocka_unit_test(gate_survives_peers_that_go_and_answers_that_do_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
