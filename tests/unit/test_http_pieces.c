// SPDX-License-Identifier: Apache-2.0
// Messages that arrive in pieces or damaged; responses; character classes.
#include <stdlib.h>
#include <stdio.h>

#include "libvault/http/http_class.h"
#include "tests/unit/http_case.h"

// ---- survives --------------------------------------------------------------

static const char seed_get[] =
    "GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
static const char seed_form[] =
    "POST /oauth2/token HTTP/1.1\r\nHost: [::1]:8443\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 11\r\nExpect: 100-continue\r\n\r\ngrant_type=";
static const char seed_chunked[] =
    "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;a=\"b\"\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n";
static const char *const seeds[] = {seed_get, seed_form, seed_chunked};

// Reads byte by byte from memory that moves each time; the verdict and what was
// read must not depend on how the bytes arrive.
static enum http_step read_dripping(const uint8_t *bytes, size_t size, struct http_reader *drip,
                                    uint8_t **ret_at) {
    http_reader_init(drip, HTTP_KIND_REQUEST, &http_limits_default);
    uint8_t *at = malloc(1);
    enum http_step step = HTTP_STEP_MORE;
    for (size_t n = 1; n <= size; n++) {
        uint8_t *moved = malloc(n);
        if (n > 1)
            memcpy(moved, at, n - 1);
        moved[n - 1] = bytes[n - 1];
        free(at);
        at = moved;
        step = http_reader_read(drip, at, n);
        if (step == HTTP_STEP_HEAD)
            step = http_reader_read(drip, at, n);
        if (step != HTTP_STEP_MORE)
            break;
    }
    *ret_at = at;
    return step;
}

static void compare_drip(const uint8_t *bytes, size_t size) {
    static struct http_reader drip;
    uint8_t *whole, *dripped;
    enum http_step one = read_all((const char *)bytes, size, &http_limits_default, &whole);
    enum http_step other = read_dripping(bytes, size, &drip, &dripped);
    assert_int_equal(one, other);
    assert_int_equal(reader.refusal, drip.refusal);
    if (one == HTTP_STEP_COMPLETE) {
        assert_int_equal(reader.next, drip.next);
        assert_true(bytes_equal(reader.request.body, drip.request.body));
        assert_true(bytes_equal(reader.request.target, drip.request.target));
        assert_int_equal(reader.field_count, drip.field_count);
        for (size_t i = 0; i < drip.field_count; i++)
            assert_true(bytes_equal(reader.fields[i].value, drip.fields[i].value));
    }
    free(whole);
    free(dripped);
}

static void request_survives_mutation(void **state) {
    static const uint8_t replacements[] = {0, '\n', '\r', ' ', ':', ',', '%', 0x80, 0xff, '0', ';'};
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        size_t size = strlen(seeds[s]);
        uint8_t *mutant = malloc(size + 1);
        for (size_t cut = 0; cut <= size; cut++)
            compare_drip((const uint8_t *)seeds[s], cut);
        for (size_t at = 0; at < size; at++) {
            memcpy(mutant, seeds[s], size);
            for (unsigned bit = 0; bit < 8; bit++) {
                mutant[at] = (uint8_t)seeds[s][at] ^ (uint8_t)(1u << bit);
                compare_drip(mutant, size);
            }
            for (size_t r = 0; r < sizeof replacements; r++) {
                mutant[at] = replacements[r];
                compare_drip(mutant, size);
            }
            // One byte more, one byte less.
            memcpy(mutant, seeds[s], at);
            memcpy(mutant + at, seeds[s] + at + 1, size - at - 1);
            compare_drip(mutant, size - 1);
            memcpy(mutant + at + 1, seeds[s] + at, size - at);
            mutant[at] = seeds[s][at];
            compare_drip(mutant, size + 1);
        }
        free(mutant);
    }
}

// Every truncation of a valid request is unfinished, never complete or refused.
static void request_survives_truncation(void **state) {
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++)
        for (size_t cut = 0; cut < strlen(seeds[s]); cut++) {
            uint8_t *copy;
            assert_int_equal(read_all(seeds[s], cut, &http_limits_default, &copy), HTTP_STEP_MORE);
            assert_int_equal(http_reader_finish(&reader, copy, cut), HTTP_STEP_REFUSED);
            assert_int_equal(http_reader_refusal(&reader), HTTP_MESSAGE_TRUNCATED);
            free(copy);
        }
}

// ---- responses -------------------------------------------------------------

static enum http_step read_response(const char *text, bool finish, bool no_body) {
    static uint8_t copy[2048];
    size_t size = strlen(text);
    memcpy(copy, text, size);
    http_reader_init(&reader, HTTP_KIND_RESPONSE, &http_limits_default);
    if (no_body)
        http_reader_expect_no_body(&reader);
    if (finish)
        return http_reader_finish(&reader, copy, size);
    enum http_step step = http_reader_read(&reader, copy, size);
    return step == HTTP_STEP_HEAD ? http_reader_read(&reader, copy, size) : step;
}

static void response_accepts(void **state) {
    static const struct {
        const char *text;
        unsigned status;
        const char *reason, *body;
        bool finish, no_body, keep_alive;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "OK", "hi", false, false, true},
        {"HTTP/1.1 204\r\nContent-Length: 2\r\n\r\n", 204, "", "", false, false, true},
        {"HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\n", 304, "", "", false, false, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", 100, "Continue", "", false, false, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 200, "OK", "", false, true, true},
        {"HTTP/1.1 200 a b\xff\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 200,
         "a b\xff", "x", false, false, true},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, "OK", "", false,
         false, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "OK", "", false, false, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, "OK", "",
         false, false, true},
        {"HTTP/1.1 200 OK\r\n\r\nto the end", 200, "OK", "to the end", true, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_response(cases[i].text, cases[i].finish, cases[i].no_body),
                         HTTP_STEP_COMPLETE);
        assert_int_equal(reader.response.status, cases[i].status);
        assert_bytes(reader.response.reason, cases[i].reason);
        assert_bytes(reader.response.body, cases[i].body);
        assert_int_equal(reader.response.keep_alive, cases[i].keep_alive);
    }
}

static void response_rejects(void **state) {
    static const struct {
        const char *text;
        enum http_refusal refusal;
    } cases[] = {
        {"HTTP/1.1\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1 20\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1 2000 OK\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1  200 OK\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1 099 OK\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1 2x0 OK\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1 200_OK\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1 200 O\x01K\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/1.1 200 O\rK\r\n", HTTP_STATUS_LINE_INVALID},
        {"http/1.1 200 OK\r\n", HTTP_STATUS_LINE_INVALID},
        {"HTTP/2.0 200 OK\r\n", HTTP_VERSION_UNSUPPORTED},
        {"HTTP/1.1 200 OK\n", HTTP_LINE_END_INVALID},
        {"HTTP/1.1 200 OK\r\nA : b\r\n", HTTP_FIELD_NAME_INVALID},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         HTTP_LENGTH_AND_CODING},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HTTP_CODING_UNSUPPORTED},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         HTTP_CODING_UNSUPPORTED},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
         HTTP_CODING_UNSUPPORTED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
         HTTP_LENGTH_REPEATED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_response(cases[i].text, false, false), HTTP_STEP_REFUSED);
        assert_int_equal(http_reader_refusal(&reader), cases[i].refusal);
    }
    assert_int_equal(read_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", true, false),
                     HTTP_STEP_REFUSED);
    assert_int_equal(http_reader_refusal(&reader), HTTP_MESSAGE_TRUNCATED);
}

static void classes_accept_the_grammar(void **state) {
    for (unsigned c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool unreserved = alnum || (c && c < 128 && strchr("-._~", (int)c));
        bool sub_delim = c && c < 128 && strchr("!$&'()*+,;=", (int)c);
        bool tchar = alnum || (c && c < 128 && strchr("!#$%&'*+-.^_`|~", (int)c));
        assert_int_equal(http_class_is((uint8_t)c, CLASS_TOKEN), tchar);
        assert_int_equal(http_class_is((uint8_t)c, CLASS_UNRESERVED), unreserved);
        assert_int_equal(http_class_is((uint8_t)c, CLASS_HOST), unreserved || sub_delim);
        assert_int_equal(http_class_is((uint8_t)c, CLASS_TARGET),
                         unreserved || sub_delim || c == ':' || c == '@' || c == '/' || c == '?');
        assert_int_equal(http_class_is((uint8_t)c, CLASS_FIELD),
                         c == '\t' || (c >= 0x20 && c != 0x7f));
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        assert_int_equal(http_class_is((uint8_t)c, CLASS_HEX), hex);
        assert_int_equal(http_class_is((uint8_t)c, CLASS_UPPER), c >= 'A' && c <= 'Z');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_survives_mutation),
        cmocka_unit_test(request_survives_truncation),
        cmocka_unit_test(response_accepts),
        cmocka_unit_test(response_rejects),
        cmocka_unit_test(classes_accept_the_grammar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
