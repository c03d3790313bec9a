// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "forward/core/byte_run.h"
#include "forward/core/carrier.h"
#include "forward/core/head.h"
#include "forward/core/route.h"
#include "tests/unit/check.h"

#define TOKEN "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"

static void token_rejects_other_shapes(void **state) {
    static const char *const bad[] = {
        "",     "sk-proj-abc", "ey",       "eyJ.a",    "eyJ.a.b.c",   "eyJ..b", "eyJ.a.",
        ".a.b", "eyJ.a.b ",    "eyJ.a.b=", "eyJ.a+.b", "AIzaSyA.b.c", "xyJ.a.b"};
    assert_true(carrier_is_token(bytes_of_text(TOKEN)));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(carrier_is_token(bytes_of_text(bad[i])));
    char large[CARRIER_TOKEN_MAX + 2];
    memset(large, 'a', sizeof large);
    memcpy(large, "eyJ.b.", 6);
    assert_true(carrier_is_token(bytes_of(large, CARRIER_TOKEN_MAX)));
    assert_false(carrier_is_token(bytes_of(large, CARRIER_TOKEN_MAX + 1)));
}

static void authorization_accepts_three_schemes(void **state) {
    static const struct {
        const char *value, *token;
        enum carrier_scheme scheme;
    } cases[] = {
        {"Bearer " TOKEN, TOKEN, CARRIER_BEARER}, {"bEARER   " TOKEN, TOKEN, CARRIER_BEARER},
        {"DPoP " TOKEN, TOKEN, CARRIER_DPOP},     {"Basic dTpl", "e", CARRIER_BEARER},
        {"Basic dQ==", "", CARRIER_BEARER},
    };
    uint8_t room[128];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes token;
        enum carrier_scheme scheme;
        assert_true(
            vlt_is_ok(carrier_authorization(bytes_of_text(cases[i].value), room, &token, &scheme)));
        assert_true(bytes_equal_text(token, cases[i].token));
        assert_int_equal(scheme, cases[i].scheme);
    }
    static const char *const bad[] = {"",        "Bearer", ("Bearer\t" TOKEN), "Digest x",
                                      "Basic !", TOKEN,    "DPoPx y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes token;
        enum carrier_scheme scheme;
        assert_false(
            vlt_is_ok(carrier_authorization(bytes_of_text(bad[i]), room, &token, &scheme)));
    }
}

static void subprotocol_accepts_the_rest_of_the_list(void **state) {
    static const struct {
        const char *list, *left, *token;
    } cases[] = {
        {"realtime, key.abc , beta", "realtime,beta", "abc"},
        {"key.abc", "", "abc"},
        {" ,key.abc,,x", "x", "abc"},
        {"realtime", NULL, NULL},
        {"", NULL, NULL},
        {"xkey.abc", NULL, NULL},
        {"key.a,key.b", "key.b", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t left[64];
        size_t size = 0;
        struct bytes token;
        bool found =
            carrier_take_element(bytes_of_text(cases[i].list), "key.", left, &size, &token);
        assert_int_equal(found, cases[i].left != NULL);
        if (found) {
            assert_true(bytes_equal_text(bytes_of(left, size), cases[i].left));
            assert_true(bytes_equal_text(token, cases[i].token));
        }
    }
}

static void list_accepts_names_in_any_case(void **state) {
    struct bytes list = bytes_of_text("close, X-Mine ,,\tte");
    assert_true(carrier_list_has(list, bytes_of_text("x-mine")));
    assert_true(carrier_list_has(list, bytes_of_text("TE")));
    assert_true(carrier_list_has(list, bytes_of_text("close")));
    assert_false(carrier_list_has(list, bytes_of_text("mine")));
    assert_false(carrier_list_has(list, bytes_of_text("x-min")));
    assert_false(carrier_list_has(bytes_of(NULL, 0), bytes_of_text("te")));
}

static void query_accepts_every_spelling_of_a_name(void **state) {
    static const struct {
        const char *query, *value;
        unsigned count;
    } cases[] = {
        {"key=a", "a", 1},   {"x=1&key=a&y=2", "a", 1},
        {"%6bey=a", "a", 1}, {"k%65y=a&key=b", "a", 2},
        {"key", "", 1},      {"key=", "", 1},
        {"keys=a", NULL, 0}, {"ke=a", NULL, 0},
        {"", NULL, 0},       {"&&", NULL, 0},
        {"k%6=a", NULL, 0},  {"k%zzy=a", NULL, 0},
        {"KEY=a", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes value = {0};
        unsigned count = 9;
        assert_int_equal(carrier_in_query(bytes_of_text(cases[i].query), "key", &value, &count),
                         cases[i].count > 0);
        assert_int_equal(count, cases[i].count);
        if (count)
            assert_true(bytes_equal_text(value, cases[i].value));
    }
}

static void path_rejects_two_readings(void **state) {
    static const char *const good[] = {"/",         "/v1",        "/v1/",           "/v1/a:b",
                                       "/v1/a%20b", "/v1/%C3%A9", "/.well-known/x", "/a/...",
                                       "/a/..b",    "/a;b/c",     "/v1/@x/~y/$z",   "/a%3Fb"};
    static const char *const bad[] = {
        "",        "v1",       "//",       "/a//b",    "/.",         "/..",    "/a/.",
        "/a/../b", "/a/..;/b", "/a/.;x/",  "/a%2Fb",   "/a%2fb",     "/a%5Cb", "/a\\b",
        "/a%00",   "/a%0A",    "/a%7F",    "/%2e%2e/", "/%2E/",      "/a%41",  "/a%",
        "/a%2",    "/a%zz",    "/a%c3%a9", "/a b",     "/a\xc3\xa9", "/a?b",   "/a#b",
        "/a%25",   "/a\"b",    "/a<b",     "/a/;b",    "/a^b",       "/a|b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!route_path_is_plain(bytes_of_text(good[i])))
            fail_msg("rejected: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (route_path_is_plain(bytes_of_text(bad[i])))
            fail_msg("accepted: %s", bad[i]);
}

static void route_accepts_the_model_of_a_path(void **state) {
    static const struct {
        const char *pattern, *path, *model;
    } cases[] = {
        {"/*/models/{model}:*", "/v1beta/models/gemini-2.0-flash:generateContent",
         "gemini-2.0-flash"},
        {"/*/models/{model}:*", "/v1beta/models/gemini/x:generateContent", NULL},
        {"/*/models/{model}:*", "/v1beta/models/:generateContent", NULL},
        {"/*/models/{model}:*", "/v1/beta/models/a:b", NULL},
        {"/*/models/{model}", "/v1/models/a", "a"},
        {"/*/models/{model}", "/v1/models/a/b", NULL},
        {"/openai/deployments/{model}/*", "/openai/deployments/prod/chat/completions", "prod"},
        {"/openai/deployments/{model}/*", "/openai/deployments/prod", NULL},
        {"/a/{model}", "/a/", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes model = {0};
        assert_int_equal(route_model(cases[i].pattern, bytes_of_text(cases[i].path), &model),
                         cases[i].model != NULL);
        if (cases[i].model)
            assert_true(bytes_equal_text(model, cases[i].model));
    }
}

static struct answer two_injects(void) {
    return (struct answer){
        .inject_count = 2,
        .inject = {{.name = BYTES_LITERAL("x-key"), .value = BYTES_LITERAL("S1")},
                   {.in_query = true, .name = BYTES_LITERAL("k"), .value = BYTES_LITERAL("S 2&")}},
        .remove_count = 1,
        .remove = {BYTES_LITERAL("X-Gone")},
    };
}

static struct head_change change_of(const struct answer *answer) {
    static const struct head_strip strip = {.header_count = 1,
                                            .headers = {BYTES_LITERAL("x-own")},
                                            .query_count = 1,
                                            .queries = {BYTES_LITERAL("key")}};
    return (struct head_change){.method = BYTES_LITERAL("POST"),
                                .path = BYTES_LITERAL("/v1/x"),
                                .host = BYTES_LITERAL("api.example"),
                                .request_id = BYTES_LITERAL("r1"),
                                .answer = answer,
                                .strip = &strip};
}

static vlt_result rewrite(const char *head, const struct head_change *change, size_t capacity,
                          char *text) {
    struct wire_writer w;
    wire_writer_init(&w, text, capacity);
    vlt_result result = head_rewrite(bytes_of_text(head), change, &w);
    text[vlt_is_ok(result) ? w.size : 0] = '\0';
    return result;
}

static void head_accepts_and_replaces(void **state) {
    const struct answer answer = two_injects();
    const struct head_change change = change_of(&answer);
    char text[1024];
    static const char head[] =
        "POST /v1/x?a=1&key=t&%6b=old&b HTTP/1.1\r\nHost: evil\r\nHOST: two\r\nAuthorization: a\r\n"
        "x-gone: 1\r\nX-Own: t\r\nX-Key: mine\r\ndpop: p\r\nAccept: */*\r\nX-Api-Key:t\r\n\r\n";
    assert_true(vlt_is_ok(rewrite(head, &change, sizeof text - 1, text)));
    assert_string_equal(
        text, "POST /v1/x?a=1&b&k=S%202%26 HTTP/1.1\r\nHost: api.example\r\nAccept: */*\r\n"
              "x-request-id: r1\r\nx-key: S1\r\n\r\n");
    assert_true(strlen(text) <= head_capacity(bytes_of_text(head), &change));
    assert_true(vlt_is_ok(rewrite("POST /v1/x HTTP/1.0\r\nX-Request-ID: mine\r\n\r\n", &change,
                                  sizeof text - 1, text)));
    assert_string_equal(text, "POST /v1/x?k=S%202%26 HTTP/1.0\r\nHost: "
                              "api.example\r\nX-Request-ID: mine\r\nx-key: S1\r\n\r\n");
}

// The provider gets the id under which the decision stands in the audit log.
static void head_accepts_a_correlation(void **state) {
    static const struct {
        const char *sent, *correlation, *goes_on;
    } rows[] = {
        {"", "r1", "x-request-id: r1\r\n"},
        {"", "r0", "x-request-id: r1\r\nx-vault-correlation-id: r0\r\n"}, // from the cache
        {"x-request-id: mine\r\n", "r1", "x-request-id: mine\r\nx-vault-correlation-id: r1\r\n"},
        {"x-request-id: r1\r\n", "r1", "x-request-id: r1\r\nx-vault-correlation-id: r1\r\n"},
        {"X-Vault-Correlation-Id: forged\r\n", "r1", "x-request-id: r1\r\n"},
    };
    const struct answer answer = {.inject_count = 0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct head_change change = change_of(&answer);
        char text[512], head[256], wanted[256];
        change.correlation = bytes_of_text(rows[i].correlation);
        snprintf(head, sizeof head, "POST /v1/x HTTP/1.1\r\n%s\r\n", rows[i].sent);
        snprintf(wanted, sizeof wanted, "POST /v1/x HTTP/1.1\r\nHost: api.example\r\n%s\r\n",
                 rows[i].goes_on);
        assert_true(vlt_is_ok(rewrite(head, &change, sizeof text - 1, text)));
        assert_string_equal(text, wanted);
        assert_true(strlen(text) <= head_capacity(bytes_of_text(head), &change));
    }
}

static void head_rejects_another_request(void **state) {
    const struct answer answer = two_injects();
    const struct head_change change = change_of(&answer);
    char text[1024];
    static const char *const denied[] = {
        "GET /v1/x HTTP/1.1\r\n\r\n", "POST /v1/y HTTP/1.1\r\n\r\n", "POST /v1/x/ HTTP/1.1\r\n\r\n",
        "POST http://h/v1/x HTTP/1.1\r\n\r\n"};
    static const char *const malformed[] = {"",
                                            "\r\n\r\n",
                                            "POST /v1/x\r\n\r\n",
                                            "POST /v1/x HTTP/2\r\n\r\n",
                                            "POST /v1/x HTTP/1.1\r\n",
                                            "POST /v1/x HTTP/1.1\r\na\r\n\r\n",
                                            "POST /v1/x HTTP/1.1\r\n: a\r\n\r\n",
                                            "POST /v1/x HTTP/1.1\na: b\r\n\r\n",
                                            "POST /v1/x HTTP/1.1\r\na: b\nc: d\r\n\r\n",
                                            "POST /v1/x HTTP/1.1\r\n\r\nbody",
                                            "POST /v1/x HTTP/1.1\r\na: b\r\n"};
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
        assert_int_equal(rewrite(denied[i], &change, sizeof text - 1, text).class, VLT_DENIED);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_int_equal(rewrite(malformed[i], &change, sizeof text - 1, text).class,
                         VLT_MALFORMED);
}

// What stays is copied together, however what goes stands between it.
static void head_survives_every_mixture(void **state) {
    const struct answer answer = {.inject_count = 0};
    const struct head_change change = change_of(&answer);
    for (unsigned mixture = 0; mixture < 64; mixture++) {
        char head[512] = "POST /v1/x HTTP/1.1\r\n", text[512];
        char wanted[512] = "POST /v1/x HTTP/1.1\r\nHost: api.example\r\n";
        for (unsigned i = 0; i < 6; i++) {
            char line[32];
            snprintf(line, sizeof line, "%s: %u\r\n", mixture >> i & 1 ? "te" : "accept", i);
            strncat(head, line, sizeof head - strlen(head) - 1);
            if (!(mixture >> i & 1))
                strncat(wanted, line, sizeof wanted - strlen(wanted) - 1);
        }
        strncat(head, "\r\n", sizeof head - strlen(head) - 1);
        strncat(wanted, "x-request-id: r1\r\n\r\n", sizeof wanted - strlen(wanted) - 1);
        assert_true(vlt_is_ok(rewrite(head, &change, sizeof text - 1, text)));
        assert_string_equal(text, wanted);
    }
}

static void upper_of(struct bytes name, char *ret_upper) {
    for (size_t i = 0; i < name.size; i++)
        ret_upper[i] = (char)toupper(name.at[i]);
    ret_upper[name.size] = '\0';
}

// All of both lists: what tells them from other headers in advance knows each.
static void header_is_known_in_either_case(void **state) {
    static const char *const stay[] = {"",       "host",   "accept",        "x-request-id",
                                       "cookie", "dpop-x", "authorizatiom", "content-type"};
    char upper[32];
    for (size_t i = 0; i < CARRIER_WELL_KNOWN_COUNT; i++) {
        upper_of(carrier_well_known[i], upper);
        assert_true(carrier_is_well_known(carrier_well_known[i]));
        assert_true(carrier_is_well_known(bytes_of_text(upper)));
        assert_true(carrier_is_stripped(bytes_of_text(upper)));
    }
    for (size_t i = 0; i < CARRIER_STRIPPED_COUNT; i++) {
        upper_of(carrier_stripped[i], upper);
        assert_true(carrier_is_stripped(carrier_stripped[i]));
        assert_true(carrier_is_stripped(bytes_of_text(upper)));
        assert_false(carrier_is_well_known(carrier_stripped[i]));
    }
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        assert_false(carrier_is_stripped(bytes_of_text(stay[i])));
}

// Every byte at every place of a text that is longer than what is looked at at once.
static void run_accepts_only_its_own_bytes(void **state) {
    static const char b64u[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t text[196];
    for (unsigned c = 0; c < 256; c++) {
        bool is_b64u = c && strchr(b64u, (int)c), is_json = c >= 0x20 && c < 0x80 && c != '"' &&
                                                           c != '\\';
        bool is_line = c != '\r' && c != '\n';
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, 'a', sizeof text);
            text[at] = (uint8_t)c;
            for (size_t from = 0; from <= sizeof text; from += 14) {
                size_t end = from <= at ? at : sizeof text;
                assert_int_equal(byte_run_b64u(bytes_of(text, sizeof text), from),
                                 is_b64u ? sizeof text : end);
                assert_int_equal(byte_run_json(bytes_of(text, sizeof text), from),
                                 is_json ? sizeof text : end);
                assert_int_equal(byte_run_line(bytes_of(text, sizeof text), from),
                                 is_line ? sizeof text : end);
            }
        }
    }
}

static void path_accepts_what_may_stand_raw(void **state) {
    static const char raw[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "-._~!$&'()*+,;=:@/"; // RFC 3986 section 3.3, and what separates
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t path[] = {'/', 'a', (uint8_t)c, 'b'};
        assert_true(route_path_is_plain(bytes_of(path, sizeof path)) ==
                    (c && strchr(raw, (int)c)));
    }
}

static void head_survives_every_capacity(void **state) {
    const struct answer answer = two_injects();
    const struct head_change change = change_of(&answer);
    static const char head[] = "POST /v1/x?a=1 HTTP/1.1\r\nAccept: */*\r\n\r\n";
    char text[512];
    assert_true(vlt_is_ok(rewrite(head, &change, sizeof text - 1, text)));
    size_t whole = strlen(text);
    for (size_t capacity = 0; capacity < whole; capacity++)
        assert_int_equal(rewrite(head, &change, capacity, text).class, VLT_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_rejects_other_shapes),
        cmocka_unit_test(authorization_accepts_three_schemes),
        cmocka_unit_test(subprotocol_accepts_the_rest_of_the_list),
        cmocka_unit_test(list_accepts_names_in_any_case),
        cmocka_unit_test(query_accepts_every_spelling_of_a_name),
        cmocka_unit_test(path_rejects_two_readings),
        cmocka_unit_test(route_accepts_the_model_of_a_path),
        cmocka_unit_test(head_accepts_and_replaces),
        cmocka_unit_test(head_accepts_a_correlation),
        cmocka_unit_test(head_rejects_another_request),
        cmocka_unit_test(head_survives_every_mixture),
        cmocka_unit_test(header_is_known_in_either_case),
        cmocka_unit_test(head_survives_every_capacity),
        cmocka_unit_test(run_accepts_only_its_own_bytes),
        cmocka_unit_test(path_accepts_what_may_stand_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
