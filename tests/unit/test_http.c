// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <stdio.h>

#include "tests/unit/http_case.h"

static enum http_refusal refusal_of(const char *text, const struct http_limits *limits) {
    enum http_step step = read_all(text, strlen(text), limits, NULL);
    assert_int_equal(step, HTTP_STEP_REFUSED);
    return http_reader_refusal(&reader);
}

// ---- requests --------------------------------------------------------------

static void request_accepts_get(void **state) {
    uint8_t *copy;
    static const char text[] = "GET /v1/a%20b?x=1&y=?2 HTTP/1.1\r\nHost: vault.example:8443\r\n"
                               "Accept:\t */* \r\nEmpty:\r\nX-Two: a\r\nx-two: b\r\n\r\n";
    assert_int_equal(read_all(text, strlen(text), &http_limits_default, &copy), HTTP_STEP_COMPLETE);
    const struct http_request *r = &reader.request;
    assert_int_equal(r->method, HTTP_GET);
    assert_bytes(r->target, "/v1/a%20b?x=1&y=?2");
    assert_bytes(r->path, "/v1/a%20b");
    assert_bytes(r->query, "x=1&y=?2");
    assert_true(r->has_query);
    assert_bytes(r->host, "vault.example:8443");
    assert_true(r->keep_alive);
    assert_int_equal(r->fields.count, 5);
    struct bytes value = bytes_of(NULL, 0);
    assert_int_equal(http_header_find(&r->fields, "accept", &value), 1);
    assert_bytes(value, "*/*");
    assert_int_equal(http_header_find(&r->fields, "EMPTY", &value), 1);
    assert_bytes(value, "");
    assert_int_equal(http_header_find(&r->fields, "X-TWO", &value), 2);
    assert_bytes(value, "a");
    assert_int_equal(http_header_find(&r->fields, "absent", &value), 0);
    assert_bytes(value, "a");
    assert_int_equal(http_reader_consumed(&reader), strlen(text));
    free(copy);
}

static void request_accepts_bodies(void **state) {
    static const struct {
        const char *text, *body;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005 \r\n\r\nhello", "hello"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ""},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
        {"POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-encoding: CHUNKED\r\n\r\n"
         "3\r\nhel\r\n002;a;b=c;d=\"e;\\\" f\"\r\nlo\r\n000\r\nEtag: x\r\nOther: y\r\n\r\n",
         "hello"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
         "chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
         "0123456789"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *copy;
        size_t size = strlen(cases[i].text);
        assert_int_equal(read_all(cases[i].text, size, &http_limits_default, &copy),
                         HTTP_STEP_COMPLETE);
        assert_bytes(reader.request.body, cases[i].body);
        assert_int_equal(http_reader_consumed(&reader), size);
        free(copy);
    }
}

static void request_accepts_connection_and_expect(void **state) {
    static const struct {
        const char *fields;
        bool keep_alive, expects_continue;
    } cases[] = {{"", true, false},
                 {"Connection: keep-alive\r\n", true, false},
                 {"Connection: Close\r\n", false, false},
                 {"Connection: foo ,\tCLOSE, bar\r\n", false, false},
                 {"Connection: keep-alive\r\nConnection: close\r\n", false, false},
                 {"Connection: closed\r\n", true, false},
                 {"Expect: 100-Continue\r\n", true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "OPTIONS * HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].fields);
        assert_int_equal(read_all(text, strlen(text), &http_limits_default, NULL),
                         HTTP_STEP_COMPLETE);
        assert_int_equal(reader.request.keep_alive, cases[i].keep_alive);
        assert_int_equal(reader.request.expects_continue, cases[i].expects_continue);
    }
}

static void request_accepts_hosts(void **state) {
    static const char *const hosts[] = {
        "a",  "A.b-c_d.example", "127.0.0.1:0", "[::1]", "[2001:db8::1]:65535",
        "a:", "x%41y",           "0.0.0.0=5000", "[::ffff:127.0.0.1]",
        "[0001:0002:0003:0004:0005:0006:255.255.255.255]:1"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[256];
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
        assert_int_equal(read_all(text, strlen(text), &http_limits_default, NULL),
                         HTTP_STEP_COMPLETE);
    }
}

static void request_accepts_pipelined(void **state) {
    static const char text[] =
        "\r\nPOST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1\r\nA\r\n1\r\nB\r\n0\r\n\r\n"
        "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nCD\r\n"
        "GET /c HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char *const paths[] = {"/a", "/b", "/c"}, *const bodies[] = {"AB", "CD", ""};
    uint8_t *copy = malloc(sizeof text);
    memcpy(copy, text, sizeof text);
    http_reader_init(&reader, HTTP_KIND_REQUEST, &http_limits_default);
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        http_reader_reset(&reader, &http_limits_default);
        enum http_step step = http_reader_read(&reader, copy + at, sizeof text - 1 - at);
        if (step == HTTP_STEP_HEAD)
            step = http_reader_read(&reader, copy + at, sizeof text - 1 - at);
        assert_int_equal(step, HTTP_STEP_COMPLETE);
        assert_bytes(reader.request.path, paths[i]);
        assert_bytes(reader.request.body, bodies[i]);
        at += http_reader_consumed(&reader);
    }
    assert_int_equal(at, sizeof text - 1);
    free(copy);
}

static void request_rejects_with_its_status(void **state) {
#define H "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
    static const struct {
        const char *text;
        enum http_refusal refusal;
        unsigned status;
    } cases[] = {
        {"GET / HTTP/1.1\n" H "\r\n", HTTP_LINE_END_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: a\n\r\n", HTTP_LINE_END_INVALID, 400},
        {"GET / HTTP/1.1\r\n" H "\n", HTTP_LINE_END_INVALID, 400},
        {"\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_LINE_END_INVALID, 400},
        {"GET / HTTP/1.1\rX\r\n" H "\r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"\x16\x03\x01", HTTP_REQUEST_LINE_INVALID, 400},
        {"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"GET\r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"GET \r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"G@T / HTTP/1.1\r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"GET / b HTTP/1.1\r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"GET / HTTP/1.1 \r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"GET / http/1.1\r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"GET / HTTP/1.10\r\n", HTTP_REQUEST_LINE_INVALID, 400},
        {"GET  / HTTP/1.1\r\n", HTTP_REQUEST_LINE_SPACED, 400},
        {"GET /  HTTP/1.1\r\n", HTTP_REQUEST_LINE_SPACED, 400},
        {"BREW / HTTP/1.1\r\n", HTTP_METHOD_UNKNOWN, 501},
        {"get / HTTP/1.1\r\n", HTTP_METHOD_UNKNOWN, 501},
        {"CONNECT a:1 HTTP/1.1\r\n", HTTP_METHOD_UNKNOWN, 501},
        {"PRI * HTTP/2.0\r\n", HTTP_METHOD_UNKNOWN, 501},
        {"GET http://a/ HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET a HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET * HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET /a#b HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET /a\\b HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET /a\x01 HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET /\xc3\xa9 HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET /%4 HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET /%zz HTTP/1.1\r\n", HTTP_TARGET_INVALID, 400},
        {"GET /\r\n", HTTP_VERSION_UNSUPPORTED, 505},
        {"GET / HTTP/1.0\r\n", HTTP_VERSION_UNSUPPORTED, 505},
        {"GET / HTTP/1.2\r\n", HTTP_VERSION_UNSUPPORTED, 505},
        {"GET / HTTP/2.0\r\n", HTTP_VERSION_UNSUPPORTED, 505},
        {"GET / HTTP/1.1\r\nHost\r\n", HTTP_FIELD_NAME_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost : a\r\n", HTTP_FIELD_NAME_INVALID, 400},
        {"GET / HTTP/1.1\r\n: a\r\n", HTTP_FIELD_NAME_INVALID, 400},
        {"GET / HTTP/1.1\r\nH\xc3\xa9: a\r\n", HTTP_FIELD_NAME_INVALID, 400},
        {"GET / HTTP/1.1\r\nA(b): a\r\n", HTTP_FIELD_NAME_INVALID, 400},
        {"GET / HTTP/1.1\r\nA: b\rc\r\n", HTTP_FIELD_VALUE_INVALID, 400},
        {"GET / HTTP/1.1\r\nA: b\x7f\r\n", HTTP_FIELD_VALUE_INVALID, 400},
        {"GET / HTTP/1.1\r\nA: \x0b\r\n", HTTP_FIELD_VALUE_INVALID, 400},
        {"GET / HTTP/1.1\r\n Host: a\r\n", HTTP_FIELD_FOLDED, 400},
        {"GET / HTTP/1.1\r\nA: b\r\n\tc\r\n", HTTP_FIELD_FOLDED, 400},
        {"GET / HTTP/1.1\r\n\r\n", HTTP_HOST_MISSING, 400},
        {"GET / HTTP/1.1\r\n" H H "\r\n", HTTP_HOST_REPEATED, 400},
        {"GET / HTTP/1.1\r\n" H "Host: b\r\n\r\n", HTTP_HOST_REPEATED, 400},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: []\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [:::]\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [abcd]:80\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8:9]\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", HTTP_HOST_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", HTTP_LENGTH_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n", HTTP_LENGTH_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\n", HTTP_LENGTH_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n", HTTP_LENGTH_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n", HTTP_LENGTH_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\n", HTTP_LENGTH_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n",
         HTTP_LENGTH_INVALID, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n", HTTP_LENGTH_INVALID,
         400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
         HTTP_LENGTH_REPEATED, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\ncontent-length: 4\r\n\r\n",
         HTTP_LENGTH_REPEATED, 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
         HTTP_LENGTH_AND_CODING, 400},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\n",
         HTTP_LENGTH_AND_CODING, 400},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
         HTTP_CODING_UNSUPPORTED, 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n",
         HTTP_CODING_UNSUPPORTED, 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", HTTP_CODING_UNSUPPORTED,
         501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", HTTP_CODING_UNSUPPORTED, 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", HTTP_CODING_UNSUPPORTED,
         501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         HTTP_CODING_UNSUPPORTED, 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
         HTTP_CODING_UNSUPPORTED, 501},
        {"POST / HTTP/1.1\r\n" H "Expect: 200-maybe\r\n\r\n", HTTP_EXPECTATION_UNKNOWN, 417},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 65537\r\n\r\n", HTTP_BODY_TOO_LARGE, 413},
        {CHUNKED "10001\r\n", HTTP_BODY_TOO_LARGE, 413},
        {CHUNKED "1\r\nA\r\n10000\r\n", HTTP_BODY_TOO_LARGE, 413},
        {CHUNKED "\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "0x3\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "-1\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3 \r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED " 3\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3;\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3;a=\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3;a b\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3;a=\"b\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3;a=\"b\"c\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3a=b\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "0000000000000003\r\nabc\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3\r\nabcd\r\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3\r\nabc\n", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3\r\nabc\rx", HTTP_CHUNK_INVALID, 400},
        {CHUNKED "3\nabc\r\n", HTTP_LINE_END_INVALID, 400},
        {CHUNKED "0\r\nA : b\r\n\r\n", HTTP_FIELD_NAME_INVALID, 400},
        {CHUNKED "0\r\n A: b\r\n\r\n", HTTP_FIELD_FOLDED, 400},
        {CHUNKED "0\r\nContent-Length: 3\r\n\r\n", HTTP_TRAILER_FORBIDDEN, 400},
        {CHUNKED "0\r\nHost: b\r\n\r\n", HTTP_TRAILER_FORBIDDEN, 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum http_refusal refusal = refusal_of(cases[i].text, &http_limits_default);
        if (refusal != cases[i].refusal)
            fail_msg("case %zu: %s: %s", i, cases[i].text, http_refusal_text(refusal));
        assert_int_equal(http_refusal_status(refusal), cases[i].status);
        assert_true(strlen(http_refusal_text(refusal)) > 10);
    }
}

static void request_rejects_nul_everywhere(void **state) {
    static const char whole[] =
        "POST /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\n";
    for (size_t at = 0; at < sizeof whole - 1; at++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof text);
        text[at] = 0;
        uint8_t *copy;
        enum http_step step = read_all(text, sizeof text - 1, &http_limits_default, &copy);
        // In a line end the message may merely be unfinished; it is never complete.
        assert_true(step == HTTP_STEP_REFUSED ||
                    (step == HTTP_STEP_MORE && at >= sizeof whole - 3));
        free(copy);
    }
}

static void request_rejects_beyond_limits(void **state) {
    const struct http_limits small = {
        .line_bytes = 20, .head_bytes = 60, .header_count = 3, .body_bytes = 4};
    assert_int_equal(refusal_of("GET /5678901 HTTP/1.1\r\n", &small), HTTP_TARGET_TOO_LONG);
    assert_int_equal(http_refusal_status(HTTP_TARGET_TOO_LONG), 414);
    assert_int_equal(refusal_of("GET /56789012345678901234", &small), HTTP_TARGET_TOO_LONG);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\n\r\n", &small),
                     HTTP_FIELDS_TOO_MANY);
    assert_int_equal(http_refusal_status(HTTP_FIELDS_TOO_MANY), 431);
    assert_int_equal(
        refusal_of(
            "GET / HTTP/1.1\r\nHost: a\r\nB: 0123456789012345678901234567890123456789\r\n\r\n",
            &small),
        HTTP_HEAD_TOO_LARGE);
    assert_int_equal(
        refusal_of("GET / HTTP/1.1\r\nHost: a\r\nB: 0123456789012345678901234567890123456789",
                   &small),
        HTTP_HEAD_TOO_LARGE);
    assert_int_equal(http_refusal_status(HTTP_HEAD_TOO_LARGE), 431);
    assert_int_equal(refusal_of("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", &small),
                     HTTP_BODY_TOO_LARGE);
    // Trailers have the limit of a head.
    assert_int_equal(
        refusal_of("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                   "A: 012345678901234567890123456789012345678901234567890123456789",
                   &small),
        HTTP_HEAD_TOO_LARGE);
    // A route may allow more for its own request.
    static const char five[] = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345";
    uint8_t copy[sizeof five];
    memcpy(copy, five, sizeof five);
    http_reader_init(&reader, HTTP_KIND_REQUEST, &small);
    assert_int_equal(http_reader_read(&reader, copy, sizeof five - 1), HTTP_STEP_HEAD);
    http_reader_set_body_max(&reader, 5);
    assert_int_equal(http_reader_read(&reader, copy, sizeof five - 1), HTTP_STEP_COMPLETE);
}

static void request_rejects_too_many_chunks(void **state) {
    enum { CHUNKS = 20000 };
    static const char head[] = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    char *text = malloc(sizeof head + CHUNKS * 6 + 8);
    size_t size = sizeof head - 1;
    memcpy(text, head, size);
    for (size_t i = 0; i < CHUNKS; i++, size += 6)
        memcpy(text + size, "1\r\nx\r\n", 6);
    memcpy(text + size, "0\r\n\r\n", 5);
    assert_int_equal(read_all(text, size + 5, &http_limits_default, NULL), HTTP_STEP_REFUSED);
    assert_int_equal(http_reader_refusal(&reader), HTTP_CHUNKS_TOO_MANY);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_accepts_get),
        cmocka_unit_test(request_accepts_bodies),
        cmocka_unit_test(request_accepts_connection_and_expect),
        cmocka_unit_test(request_accepts_hosts),
        cmocka_unit_test(request_accepts_pipelined),
        cmocka_unit_test(request_rejects_with_its_status),
        cmocka_unit_test(request_rejects_nul_everywhere),
        cmocka_unit_test(request_rejects_beyond_limits),
        cmocka_unit_test(request_rejects_too_many_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
