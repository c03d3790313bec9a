// SPDX-License-Identifier: Apache-2.0
// The body of POST /v1/redeem, rightly and wrongly.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "vaultd/redeemer/redeem_request.h"

#define REST                                                                                       \
    "\"scheme\":\"bearer\",\"destination\":\"api.test\",\"method\":\"POST\",\"path\":\"/v1/x\""
#define GOOD "{\"token\":\"a.b.c\"," REST "}"

static vlt_result parse(const char *text, struct fault *fault, struct redeem_request *request) {
    *fault = (struct fault){0};
    return redeem_request_parse(bytes_of_text(text), fault, request);
}

static void request_accepts_the_least(void **state) {
    struct fault fault;
    struct redeem_request r;
    assert_true(vlt_is_ok(parse(GOOD, &fault, &r)));
    assert_true(bytes_equal_text(r.token, "a.b.c") && bytes_equal_text(r.destination, "api.test"));
    assert_true(bytes_equal_text(r.method, "POST") && bytes_equal_text(r.path, "/v1/x"));
    assert_false(r.is_dpop || r.has_certificate);
    assert_int_equal(r.proof.size + r.uri.size + r.model.size + r.tool.size + r.source.size +
                         r.request_id.size,
                     0);
    assert_int_equal(r.max_tokens, 0);
    redeem_request_done(&r);
}

static void request_accepts_everything(void **state) {
    struct fault fault;
    struct redeem_request r;
    assert_true(
        vlt_is_ok(parse("{\"token\":\"t\",\"scheme\":\"dpop\",\"destination\":\"d\",\"method\":"
                        "\"GET\",\"path\":\"/\","
                        "\"uri\":\"u\",\"max_tokens\":4096,"
                        "\"proof\":\"p\",\"model\":\"m\",\"tool\":\"o\",\"source\":"
                        "\"s\",\"request_id\":\"i\","
                        "\"client_certificate\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}",
                        &fault, &r)));
    assert_true(r.is_dpop && r.has_certificate);
    assert_int_equal(r.certificate[31], 0x1f);
    assert_int_equal(r.max_tokens, 4096);
    assert_true(bytes_equal_text(r.uri, "u") && bytes_equal_text(r.proof, "p") &&
                bytes_equal_text(r.model, "m"));
    assert_true(bytes_equal_text(r.tool, "o") && bytes_equal_text(r.source, "s") &&
                bytes_equal_text(r.request_id, "i"));
    redeem_request_done(&r);
}

static void request_rejects_by_name(void **state) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{" REST "}", "\"token\" is missing"},
        {"{\"token\":\"\"," REST "}", "\"token\" must have 1 to"},
        {"{\"token\":1," REST "}", "\"token\" must be a text"},
        {"{\"token\":\"a\",\"max_tokens\":0," REST "}", "\"max_tokens\" must be a whole number"},
        {"{\"token\":\"a\",\"max_tokens\":-1," REST "}", "\"max_tokens\" must be a whole number"},
        {"{\"token\":\"a\",\"max_tokens\":\"9\"," REST "}",
         "\"max_tokens\" must be a whole number"},
        {"{\"token\":\"a\",\"max_tokens\":1e3," REST "}", "\"max_tokens\" must be a whole number"},
        {"{\"token\":\"a\",\"max_tokens\":1,\"max_tokens\":1," REST "}", "is repeated"},
        {"{\"token\":null," REST "}", "\"token\" must be a text"},
        {"{\"token\":\"a\",\"colour\":1," REST "}", "colour"},
        {"{\"token\":\"a\",\"token\":\"b\"," REST "}", "\"token\" is repeated"},
        {"{\"token\":\"a\",\"scheme\":\"Bearer\",\"destination\":\"d\",\"method\":\"M\",\"path\":"
         "\"/\"}",
         "\"scheme\" must be bearer or dpop"},
        {"{\"token\":\"a\",\"scheme\":\"bearerbearer\",\"destination\":\"d\",\"method\":\"M\","
         "\"path\":\"/\"}",
         "\"scheme\" must have 1 to 8"},
        {"{\"token\":\"a\",\"client_certificate\":\"AAAA\"," REST "}",
         "\"client_certificate\" must be a SHA-256"},
        {"{\"token\":\"a\",\"client_certificate\":"
         "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9\"," REST "}",
         "\"client_certificate\" must be a SHA-256"},
        {"{\"token\":\"a\\u0000b\"," REST "}", ""},
        {"{\"token\":\"a\"," REST "} x", ""},
        {"{\"token\":{\"a\":{\"b\":{}}}," REST "}", ""},
        {"[]", ""},
        {"", ""},
        {"null", ""},
        {"{", ""},
        {"\"x\"", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault fault;
        struct redeem_request r = {.room = NULL};
        vlt_result result = parse(bad[i].text, &fault, &r);
        if (vlt_is_ok(result) || !strstr(fault_or_reason(&fault, result), bad[i].says))
            print_error("%s: %s\n", bad[i].text, fault_or_reason(&fault, result));
        assert_true(result.class == VLT_MALFORMED || result.class == VLT_LIMIT);
        assert_non_null(strstr(fault_or_reason(&fault, result), bad[i].says));
        assert_null(r.room); // untouched
    }
}

static void request_rejects_paths_with_two_meanings(void **state) {
    static const char *const paths[] = {
        "v1",      "/a/../b", "/a/./b", "/a//b", "/%2e%2e/b", "/%2E/b", "/a%2fb",    "/a%5cb",
        "/a\\\\b", "/%41",    "/%zz",   "/a%00", "/a b",      "/a?b",   "/\xC3\xA9", "/a#b"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char text[256];
        struct fault fault;
        struct redeem_request r;
        snprintf(text, sizeof text,
                 "{\"token\":\"a\",\"scheme\":\"bearer\",\"destination\":\"d\",\"method\":\"GET\","
                 "\"path\":\"%s\"}",
                 paths[i]);
        vlt_result result = parse(text, &fault, &r);
        if (vlt_is_ok(result))
            print_error("accepted: %s\n", paths[i]);
        assert_int_equal(result.class, VLT_MALFORMED);
        assert_non_null(strstr(fault.text, "\"path\""));
    }
}

static void request_rejects_ids_that_are_no_header(void **state) {
    static const char *const ids[] = {"a b", "a\\nb", "\xC3\xBC", "\\u007f", "\\u0001"};
    static char text[1024];
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct fault fault;
        struct redeem_request r;
        snprintf(text, sizeof text, "{\"token\":\"a\",\"request_id\":\"%s\"," REST "}", ids[i]);
        assert_int_equal(parse(text, &fault, &r).class, VLT_MALFORMED);
        assert_non_null(strstr(fault.text, "\"request_id\""));
    }
}

static void request_rejects_long_members(void **state) {
    static const struct {
        const char *name;
        size_t max;
    } members[] = {{"uri", 8192}, {"proof", 8192}, {"model", 256},
                   {"tool", 256}, {"source", 64},  {"request_id", 64}};
    static char text[20000], value[9000];
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        for (size_t over = 0; over < 2; over++) {
            struct fault fault;
            struct redeem_request r;
            memset(value, 'x', members[i].max + over);
            value[members[i].max + over] = 0;
            snprintf(text, sizeof text, "{\"token\":\"a\",\"%s\":\"%s\"," REST "}", members[i].name,
                     value);
            vlt_result result = parse(text, &fault, &r);
            assert_int_equal(result.class, over ? VLT_LIMIT : VLT_CLASS_OK);
            if (over)
                assert_non_null(strstr(fault.text, members[i].name));
            else
                redeem_request_done(&r);
        }
}

static void try_bytes(const uint8_t *at, size_t size) {
    struct fault fault = {0};
    struct redeem_request r;
    uint8_t *exact = malloc(size ? size : 1); // so that a sanitizer sees each byte too far
    assert_non_null(exact);
    memcpy(exact, at, size);
    vlt_result result = redeem_request_parse(bytes_of(exact, size), &fault, &r);
    if (vlt_is_ok(result))
        redeem_request_done(&r);
    else
        assert_true(fault_or_reason(&fault, result)[0] != 0);
    free(exact);
}

static void request_survives_mutation(void **state) {
    static const char good[] =
        "{\"token\":\"a.b.c\",\"client_certificate\":"
        "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"uri\":\"\\u00e9\"," REST "}";
    static const uint8_t bytes[] = {0,   '"', '\\', '{', '}',  '[',  ',',
                                    ':', '/', '%',  '.', 0xFF, 0xC3, ' '};
    uint8_t text[sizeof good + 1];
    for (size_t size = 0; size < sizeof good; size++)
        try_bytes((const uint8_t *)good, size);
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (size_t b = 0; b < sizeof bytes; b++) {
            memcpy(text, good, sizeof good);
            text[at] = bytes[b];
            try_bytes(text, sizeof good - 1);
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(text, good, sizeof good);
            text[at] ^= (uint8_t)(1u << bit);
            try_bytes(text, sizeof good - 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_accepts_the_least),
        cmocka_unit_test(request_accepts_everything),
        cmocka_unit_test(request_rejects_by_name),
        cmocka_unit_test(request_rejects_paths_with_two_meanings),
        cmocka_unit_test(request_rejects_long_members),
        cmocka_unit_test(request_rejects_ids_that_are_no_header),
        cmocka_unit_test(request_survives_mutation),
    };
    return cmocka_run_group_tests_name("redeem_request", tests, NULL, NULL);
}
