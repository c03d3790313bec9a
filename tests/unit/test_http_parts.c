// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/http/http_media.h"
#include "libvault/http/http_path.h"
#include "libvault/http/http_problem.h"
#include "libvault/http/http_write.h"
#include "tests/unit/check.h"

// ---- paths and forms -------------------------------------------------------

static void path_accepts_and_normalises(void **state) {
    static const char *const cases[][2] = {{"/", "/"},
                                           {"/a/b", "/a/b"},
                                           {"/a/b/", "/a/b/"},
                                           {"/a/./b", "/a/b"},
                                           {"/a/../b", "/b"},
                                           {"/a/..", "/"},
                                           {"/a/.", "/a/"},
                                           {"/.", "/"},
                                           {"/a/b/../../c", "/c"},
                                           {"/%61%2d", "/a-"},
                                           {"/%2e%2E", NULL},
                                           {"/a/%2e%2e/b", "/b"},
                                           {"/%c3%a9", "/%C3%A9"},
                                           {"/a%20b", "/a%20b"},
                                           {"/.a/..b/...", "/.a/..b/..."},
                                           {"/a%3Fb", "/a%3Fb"},
                                           {"/a:b@c", "/a:b@c"},
                                           {"/..", NULL},
                                           {"/../a", NULL},
                                           {"/a/../../b", NULL},
                                           {"//", NULL},
                                           {"/a//b", NULL},
                                           {"//a", NULL},
                                           {"/a/..//b", NULL},
                                           {"/a%2fb", NULL},
                                           {"/a%2Fb", NULL},
                                           {"/a%5cb", NULL},
                                           {"/a\\b", NULL},
                                           {"/a%00", NULL},
                                           {"/a%0a", NULL},
                                           {"/a%7f", NULL},
                                           {"/a%", NULL},
                                           {"/a%4", NULL},
                                           {"/a%zz", NULL},
                                           {"", NULL},
                                           {"a", NULL},
                                           {"*", NULL},
                                           {"/a b", NULL},
                                           {"/\xc3\xa9", NULL},
                                           {"/a?b", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = strlen(cases[i][0]);
        uint8_t *out = malloc(size + 1); // exactly what the contract asks for
        struct bytes path = BYTES_LITERAL("untouched");
        vlt_result result = http_path_normalise(bytes_of_text(cases[i][0]), out, size, &path);
        if (vlt_is_ok(result) != (cases[i][1] != NULL))
            fail_msg("%s", cases[i][0]);
        assert_bytes(path, cases[i][1] ? cases[i][1] : "untouched");
        free(out);
    }
    uint8_t small[3];
    struct bytes path;
    assert_int_equal(http_path_normalise(BYTES_LITERAL("/a/./b"), small, sizeof small, &path).class,
                     VLT_LIMIT);
}

// What is normal stays as it is.
static void path_survives_mutation(void **state) {
    static const char seed[] = "/v1/%74enants/./a/../b%20c/%e2%82%ac/";
    for (size_t at = 0; at < sizeof seed - 1; at++)
        for (unsigned c = 0; c < 256; c++) {
            char text[sizeof seed];
            memcpy(text, seed, sizeof text);
            text[at] = (char)c;
            uint8_t out[64], again[64];
            struct bytes once, twice;
            if (!vlt_is_ok(
                    http_path_normalise(bytes_of(text, sizeof seed - 1), out, sizeof out, &once)))
                continue;
            assert_true(vlt_is_ok(http_path_normalise(once, again, sizeof again, &twice)));
            assert_true(bytes_equal(once, twice));
        }
}

static void form_accepts(void **state) {
    uint8_t storage[256];
    struct http_form form;
    struct bytes text = BYTES_LITERAL(
        "grant_type=urn%3Aietf&scope=a+b&resource=1&resource=2&empty=&bare&eq=a=b&%C3%A9=%c3%a9");
    assert_true(vlt_is_ok(http_form_parse(text, storage, sizeof storage, &form)));
    assert_int_equal(form.count, 8);
    struct bytes value = bytes_of(NULL, 0);
    assert_int_equal(http_form_find(&form, "grant_type", &value), 1);
    assert_bytes(value, "urn:ietf");
    assert_int_equal(http_form_find(&form, "scope", &value), 1);
    assert_bytes(value, "a b");
    assert_int_equal(http_form_find(&form, "resource", &value), 2);
    assert_bytes(value, "1");
    assert_int_equal(http_form_find(&form, "empty", &value), 1);
    assert_bytes(value, "");
    assert_int_equal(http_form_find(&form, "bare", &value), 1);
    assert_int_equal(http_form_find(&form, "eq", &value), 1);
    assert_bytes(value, "a=b");
    assert_int_equal(http_form_find(&form, "\xc3\xa9", &value), 1);
    assert_bytes(value, "\xc3\xa9");
    assert_int_equal(http_form_find(&form, "Scope", &value), 0);
    assert_true(vlt_is_ok(http_form_parse(bytes_of(NULL, 0), storage, sizeof storage, &form)));
    assert_int_equal(form.count, 0);
}

static void form_rejects(void **state) {
    static const char *const wrong[] = {"a=%",    "a=%4",     "a=%g0",      "=b",    "a=b&",
                                        "&a=b",   "a=b&&c=d", "a=%00",      "%00=a", "a=%ff",
                                        "a=\xff", "a=%C0%80", "a=%ed%a0%80"};
    uint8_t storage[2048];
    struct http_form form = {.count = 99};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(
            http_form_parse(bytes_of_text(wrong[i]), storage, sizeof storage, &form).class,
            VLT_MALFORMED);
    assert_int_equal(http_form_parse(BYTES_LITERAL("abc=def"), storage, 5, &form).class, VLT_LIMIT);
    char many[4 * (HTTP_FORM_PARAMETERS_MAX + 1)];
    size_t size = 0;
    for (size_t i = 0; i <= HTTP_FORM_PARAMETERS_MAX; i++)
        size += (size_t)snprintf(many + size, sizeof many - size, "%sa=", i ? "&" : "");
    assert_int_equal(http_form_parse(bytes_of(many, size), storage, sizeof storage, &form).class,
                     VLT_LIMIT);
    assert_int_equal(form.count, 99);
}

// What is not itself at each place of a text longer than what is looked at at once, into
// room that is just large enough and into one byte less.
static void percent_survives_every_place(void **state) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
    const size_t whole = sizeof plain - 1;
    for (size_t place = 0; place + 3 <= whole; place++) {
        char text[sizeof plain];
        uint8_t out[sizeof plain];
        size_t size = 0;
        memcpy(text, plain, sizeof text);
        memcpy(text + place, "%2B", 3);
        assert_true(
            vlt_is_ok(http_percent_decode(bytes_of(text, whole), true, out, whole - 2, &size)));
        assert_int_equal(size, whole - 2);
        assert_memory_equal(out, plain, place);
        assert_int_equal(out[place], '+');
        assert_memory_equal(out + place + 1, plain + place + 3, whole - place - 3);
        assert_int_equal(
            http_percent_decode(bytes_of(text, whole), true, out, whole - 3, &size).class,
            VLT_LIMIT);
        memcpy(text + place, "+bc", 3);
        assert_true(
            vlt_is_ok(http_percent_decode(bytes_of(text, whole), true, out, whole, &size)));
        assert_true(size == whole && out[place] == ' ');
        memcpy(text + place, "%2", 2);
        text[place + 2] = 'G';
        assert_int_equal(
            http_percent_decode(bytes_of(text, whole), true, out, whole, &size).class,
            VLT_MALFORMED);
    }
}

static void form_survives_mutation(void **state) {
    static const char seed[] = "a=%41b&c+d=%e2%82%ac&e";
    for (size_t at = 0; at < sizeof seed - 1; at++)
        for (unsigned c = 0; c < 256; c++) {
            char *text = malloc(sizeof seed - 1);
            uint8_t *storage = malloc(sizeof seed - 1);
            memcpy(text, seed, sizeof seed - 1);
            text[at] = (char)c;
            struct http_form form;
            if (vlt_is_ok(http_form_parse(bytes_of(text, sizeof seed - 1), storage, sizeof seed - 1,
                                          &form)))
                for (size_t i = 0; i < form.count; i++)
                    assert_true(bytes_is_utf8(form.parameters[i].value, NULL));
            free(storage);
            free(text);
        }
}

// ---- media types and credentials -------------------------------------------

static void media_accepts(void **state) {
    struct http_media media;
    assert_true(
        vlt_is_ok(http_media_parse(BYTES_LITERAL("text/plain ; charset=\"utf-8\";a=b;"), &media)));
    assert_bytes(media.type, "text");
    assert_bytes(media.subtype, "plain");
    assert_int_equal(media.count, 2);
    assert_bytes(media.parameters[0].name, "charset");
    assert_bytes(media.parameters[0].value, "utf-8");
    assert_bytes(media.parameters[1].value, "b");
    assert_true(http_media_is(BYTES_LITERAL("application/json"), "application/json"));
    assert_true(
        http_media_is(BYTES_LITERAL("Application/JSON; Charset=UTF-8"), "application/json"));
    assert_false(
        http_media_is(BYTES_LITERAL("application/json; charset=latin1"), "application/json"));
    assert_false(http_media_is(BYTES_LITERAL("application/json; a=b"), "application/json"));
    assert_false(http_media_is(BYTES_LITERAL("application/jsonx"), "application/json"));
}

static void media_rejects(void **state) {
    static const char *const wrong[] = {
        "",        "a",      "a/",      "/b",        "a/b c",
        "a/b;c",   "a/b;=d", "a/b;c=",  "a/b;c=\"d", "a/b;c=\"\\d\"",
        "a/b,c/d", "a /b",   "a/b;c =d"};
    struct http_media media;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(http_media_parse(bytes_of_text(wrong[i]), &media).class, VLT_MALFORMED);
    assert_int_equal(http_media_parse(BYTES_LITERAL("a/b;a=1;b=1;c=1;d=1;e=1"), &media).class,
                     VLT_LIMIT);
}

static void authorization_accepts_and_rejects(void **state) {
    struct bytes scheme, token;
    assert_true(vlt_is_ok(
        http_authorization_parse(BYTES_LITERAL("DPoP  eyJ.a-b_c~+/=="), &scheme, &token)));
    assert_bytes(scheme, "DPoP");
    assert_bytes(token, "eyJ.a-b_c~+/==");
    static const char *const wrong[] = {"",           "Bearer",      "Bearer ",  " Bearer a",
                                        "Bearer a b", "Bearer a=b",  "Bearer =", "Bearer a,b",
                                        "Bearer\ta",  "Bearer \"a\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(http_authorization_parse(bytes_of_text(wrong[i]), &scheme, &token).class,
                         VLT_MALFORMED);
}

// ---- writing ---------------------------------------------------------------

static void write_accepts_heads(void **state) {
    struct buf out;
    buf_init(&out, 4096);
    const struct http_header headers[] = {HTTP_HEADER("Content-Type", BYTES_LITERAL("text/plain"))};
    struct http_head head = {
        .status = 404, .headers = headers, .header_count = 1, .body_bytes = 18446744073709551615u};
    assert_true(vlt_is_ok(http_write_response_head(&head, &out)));
    assert_string_equal(buf_text(&out), "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
                                        "Content-Length: 18446744073709551615\r\n\r\n");
    buf_clear(&out);
    head = (struct http_head){.status = 200, .framing = HTTP_BODY_CHUNKED, .close = true,
                              .date = "Sun, 06 Nov 1994 08:49:37 GMT"};
    assert_true(vlt_is_ok(http_write_response_head(&head, &out)));
    assert_string_equal(buf_text(&out), "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    buf_clear(&out);
    head = (struct http_head){.framing = HTTP_BODY_LENGTH, .body_bytes = 2};
    assert_true(vlt_is_ok(http_write_request_head(HTTP_POST, BYTES_LITERAL("/v1/redeem"),
                                                  BYTES_LITERAL("vault"), &head, &out)));
    assert_string_equal(buf_text(&out),
                        "POST /v1/redeem HTTP/1.1\r\nHost: vault\r\nContent-Length: 2\r\n\r\n");
    char text[HTTP_DATE_SIZE], chunk[20];
    http_write_date(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(http_write_chunk_size(31, chunk), 4);
    assert_string_equal(chunk, "1f\r\n");
    buf_done(&out);
}

static void write_rejects_splitting(void **state) {
    const struct http_header wrong[] = {HTTP_HEADER("A", BYTES_LITERAL("b\r\nC: d")),
                                        HTTP_HEADER("A", BYTES_LITERAL("b\nc")),
                                        HTTP_HEADER("A", BYTES_LITERAL("b\0c")),
                                        HTTP_HEADER("A b", BYTES_LITERAL("c")),
                                        HTTP_HEADER("A:", BYTES_LITERAL("c")),
                                        HTTP_HEADER("", BYTES_LITERAL("c")),
                                        HTTP_HEADER("A", BYTES_LITERAL(" c")),
                                        HTTP_HEADER("Content-length", BYTES_LITERAL("1")),
                                        HTTP_HEADER("transfer-encoding", BYTES_LITERAL("chunked")),
                                        HTTP_HEADER("Connection", BYTES_LITERAL("close"))};
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct http_head head = {.status = 200, .headers = &wrong[i], .header_count = 1};
        assert_int_equal(http_write_response_head(&head, &out).class, VLT_BUG);
        assert_int_equal(
            http_write_request_head(HTTP_GET, BYTES_LITERAL("/"), BYTES_LITERAL("a"), &head, &out)
                .class,
            VLT_BUG);
    }
    const struct http_head head = {.status = 200};
    assert_int_equal(http_write_request_head(HTTP_GET, BYTES_LITERAL("/ HTTP/1.1\r\n"),
                                             BYTES_LITERAL("a"), &head, &out)
                         .class,
                     VLT_BUG);
    assert_int_equal(
        http_write_request_head(HTTP_GET, BYTES_LITERAL("/a b"), BYTES_LITERAL("a"), &head, &out)
            .class,
        VLT_BUG);
    assert_int_equal(http_write_request_head(HTTP_GET, BYTES_LITERAL("/"),
                                             BYTES_LITERAL("a\r\nB: c"), &head, &out)
                         .class,
                     VLT_BUG);
    assert_int_equal(http_write_response_head(&(struct http_head){.status = 99}, &out).class,
                     VLT_BUG);
    assert_int_equal(out.size, 0);
    buf_done(&out);
}

static void problem_accepts_any_text(void **state) {
    struct buf out;
    buf_init(&out, 4096);
    http_problem_write(
        &(struct http_problem){
            .status = 400, .type = "urn:x", .detail = "a \"b\"\n", .field = "tenant", .line = 7},
        &out);
    json_t *root = NULL;
    assert_true(vlt_is_ok(jsontext_parse(buf_bytes(&out), &jsontext_token_limits, NULL, &root)));
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 400);
    assert_string_equal(json_string_value(json_object_get(root, "title")), "Bad Request");
    assert_string_equal(json_string_value(json_object_get(root, "detail")), "a \"b\"\n");
    assert_string_equal(json_string_value(json_object_get(root, "field")), "tenant");
    assert_int_equal(json_integer_value(json_object_get(root, "line")), 7);
    json_decref(root);
    buf_clear(&out);
    http_oauth_error_write("invalid_request", "say \"please\" \\ \xc3\xa9", &out);
    assert_string_equal(
        buf_text(&out),
        "{\"error\":\"invalid_request\",\"error_description\":\"say ?please? ? ??\"}");
    buf_clear(&out);
    http_challenge_begin(&out, "DPoP");
    http_challenge_put(&out, true, "error", "use_dpop_nonce");
    http_challenge_put(&out, false, "algs", "ES256 \"\\\r\n");
    http_challenge_begin(&out, "Bearer");
    assert_string_equal(buf_text(&out),
                        "DPoP error=\"use_dpop_nonce\", algs=\"ES256 \\\"\\\\??\", Bearer");
    assert_int_equal(http_status_of(VLT_DENIED), http_status_of(VLT_NOT_FOUND));
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_accepts_and_normalises),
        cmocka_unit_test(path_survives_mutation),
        cmocka_unit_test(form_accepts),
        cmocka_unit_test(form_rejects),
        cmocka_unit_test(percent_survives_every_place),
        cmocka_unit_test(form_survives_mutation),
        cmocka_unit_test(media_accepts),
        cmocka_unit_test(media_rejects),
        cmocka_unit_test(authorization_accepts_and_rejects),
        cmocka_unit_test(write_accepts_heads),
        cmocka_unit_test(write_rejects_splitting),
        cmocka_unit_test(problem_accepts_any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
