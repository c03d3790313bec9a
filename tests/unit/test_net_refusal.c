// SPDX-License-Identifier: Apache-2.0
// Answers that wait for something before they leave: refusals that are reviewed, and those
// of bodies that are too large.
#include "tests/unit/net_handler.h"

// ---- What stands between an answer and its leaving ----

static struct {
    unsigned refused, passed;
    struct http_exchange *held; // whose answer waits
} reviewed;

static void on_refused(struct http_exchange *x, unsigned status, const struct http_header *headers,
                       size_t header_count, struct bytes body, void *ctx) {
    assert_ptr_equal(ctx, &reviewed);
    assert_int_equal(status, 404);
    assert_true(bytes_equal_text(body, "no"));
    assert_int_equal(header_count, 0);
    reviewed.refused++;
    reviewed.held = x;
}
static void on_passed(void *ctx) { reviewed.passed++; }
static const struct http_review reviewing = {on_refused, on_passed}, other_review = {0};

static void reviewed_handler(struct http_exchange *x, void *ctx) {
    bool is_found = bytes_equal_text(http_exchange_request(x)->path, "/found");
    assert_null(http_exchange_review_context(x, &reviewing)); // of the request before
    http_exchange_set_review(x, &reviewing, &reviewed);
    assert_ptr_equal(http_exchange_review_context(x, &reviewing), &reviewed);
    assert_null(http_exchange_review_context(x, &other_review));
    http_exchange_reply(x, is_found ? 200 : 404, NULL, 0, bytes_of_text(is_found ? "yes" : "no"));
}

static void server_accepts_a_review_of_refusals(void **state) {
    struct http_server_settings settings = fixture_settings(reviewed_handler);
    struct fixture f;
    struct client c;
    memset(&reviewed, 0, sizeof reviewed);
    fixture_open(&f, &settings);
    client_open(&c, &f);
    client_send(&c, GET("/found"));
    assert_true(client_sees(&c, "yes"));
    assert_int_equal(reviewed.passed, 1);
    client_send(&c, GET("/absent"));
    for (int i = 0; i < 100 && !reviewed.held; i++)
        turn(&f);
    assert_int_equal(reviewed.refused, 1);
    assert_null(strstr(c.in, "404"));
    assert_null(http_exchange_review_context(reviewed.held, &reviewing));
    http_exchange_reply(reviewed.held, 404, NULL, 0, BYTES_LITERAL("told"));
    assert_true(client_sees(&c, "told"));
    client_forget(&c);
    client_send(&c, GET("/found"));
    assert_true(client_sees(&c, "yes"));
    assert_int_equal(reviewed.passed, 2);
    assert_int_equal(reviewed.refused, 1);
    client_close(&c);
    fixture_close(&f);
}

// ---- A body that is too large ----

static const char more[50000]; // of the body
static struct http_exchange *held;
static void hold(struct http_exchange *x, void *ctx) { held = x; }

static void turn_until_held(struct fixture *f) {
    for (int i = 0; i < 100 && !held; i++)
        turn(f);
    assert_non_null(held);
}

// Whoever has it takes its time: meanwhile the peer sends on, or goes.
static void server_accepts_a_late_refusal_of_large_bodies(void **state) {
    static const char head[] = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n";
    struct http_server_settings settings = fixture_settings(hold);
    settings.too_large = hold;
    for (int goes = 0; goes < 2; goes++) {
        struct fixture f;
        struct client c;
        held = NULL;
        fixture_open(&f, &settings);
        client_open(&c, &f);
        client_send(&c, head);
        turn_until_held(&f);
        assert_true(bytes_equal_text(http_exchange_request(held)->path, "/x"));
        assert_int_equal(counters_of(&f).requests_refused, 1);
        client_send_bytes(&c, more, sizeof more);
        for (int i = 0; i < 20; i++)
            turn(&f);
        client_receive(&c);
        assert_int_equal(c.size, 0);
        if (goes) {
            client_close(&c);
            for (int i = 0; i < 20; i++)
                turn(&f);
            http_exchange_reply_too_large(held);
        } else {
            http_exchange_reply_too_large(held);
            assert_true(client_sees(&c, "HTTP/1.1 413 "));
            client_send_bytes(&c, more, sizeof more);
            assert_true(client_is_closed(&c));
            client_close(&c);
        }
        fixture_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_accepts_a_review_of_refusals),
        cmocka_unit_test(server_accepts_a_late_refusal_of_large_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
