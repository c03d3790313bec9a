// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "forward/core/answer.h"
#include "forward/core/ask.h"
#include "forward/core/error_body.h"
#include "forward/core/reply.h"
#include "libvault/base/jsontext.h"
#include "tests/unit/check.h"

static const char whole[] =
    "{\"inject\":[{\"in\":\"header\",\"name\":\"authorization\",\"value\":\"Bearer "
    "s\\\"k\\u0041\\/\",\"secret_from\":7,\"secret_to\":12},"
    "{\"name\":\"k\",\"in\":\"query\",\"value\":\"v\",\"new\":[1,{\"a\":null}]}],\"remove\":["
    "\"authorization\",\"x-api-key\"],"
    "\"upstream\":\"https://"
    "api.openai.com\",\"credential\":\"openai-prod\",\"cache_s\":30,\"epoch\":17,\"txn\":\"t\","
    "\"standing\":21,\"grant\":\"AQ-_x\","
    "\"model_required\":true,\"max_tokens_from\":1,\"max_tokens_to\":4096,\"later\":-1.5e3}";

static vlt_result parse(const char *text, struct answer *answer, char *room) {
    memcpy(room, text, strlen(text));
    return answer_parse((uint8_t *)room, strlen(text), answer);
}

static void answer_accepts_what_was_agreed(void **state) {
    struct answer answer, again;
    char room[1024];
    uint8_t packed[1024];
    size_t size;
    assert_true(vlt_is_ok(parse(whole, &answer, room)));
    assert_true(vlt_is_ok(answer_pack(&answer, packed, sizeof packed, &size)));
    assert_true(vlt_is_ok(answer_unpack(bytes_of(packed, size), &again)));
    const struct answer *both[] = {&answer, &again};
    for (size_t i = 0; i < 2; i++) {
        const struct answer *a = both[i];
        assert_int_equal(a->inject_count, 2);
        assert_false(a->inject[0].in_query);
        assert_true(bytes_equal_text(a->inject[0].value, "Bearer s\"kA/"));
        assert_true(bytes_equal_text(a->inject[0].secret, "s\"kA/"));
        assert_true(a->inject[1].in_query);
        assert_int_equal(a->inject[1].secret.size, 0);
        assert_int_equal(a->remove_count, 2);
        assert_true(bytes_equal_text(a->remove[1], "x-api-key"));
        assert_true(bytes_equal_text(a->upstream, "https://api.openai.com"));
        assert_true(bytes_equal_text(a->credential, "openai-prod"));
        assert_true(bytes_equal_text(a->txn, "t"));
        assert_int_equal(a->cache_s, 30);
        assert_int_equal(a->epoch, 17);
        assert_int_equal(a->standing, 21);
        assert_true(bytes_equal_text(a->grant, "AQ-_x"));
        assert_true(a->model_required);
        assert_int_equal(a->max_tokens_from, 1);
        assert_int_equal(a->max_tokens_to, 4096);
        assert_true(answer_holds_for(a, 1) && answer_holds_for(a, 4096));
        assert_false(answer_holds_for(a, 0) || answer_holds_for(a, 4097));
    }
    for (size_t n = 0; n < size; n++) {
        uint8_t small[sizeof packed] = {0};
        const uint8_t wiped[sizeof small] = {0};
        assert_int_equal(answer_pack(&answer, small, n, &size).class, VLT_LIMIT);
        assert_memory_equal(small, wiped, sizeof small);
        assert_false(vlt_is_ok(answer_unpack(bytes_of(packed, n), &again)));
    }
}

static void answer_accepts_every_number_where_none_is_said(void **state) {
    struct answer answer;
    char room[1024];
    assert_true(vlt_is_ok(parse("{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}]}",
                                &answer, room)));
    assert_true(answer_holds_for(&answer, 0) && answer_holds_for(&answer, UINT64_MAX));
    assert_true(vlt_is_ok(parse("{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],"
                                "\"max_tokens_from\":0,\"max_tokens_to\":0}",
                                &answer, room)));
    assert_true(answer_holds_for(&answer, 0));
    assert_false(answer_holds_for(&answer, 1));
}

static void answer_rejects_what_would_split_a_request(void **state) {
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"inject\":[]}",
        "{\"inject\":[{}]}",
        "{\"inject\":{}}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\\r\\nc: d\"}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\\u0000\"}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"\\u00e9\"}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a b\",\"value\":\"c\"}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a:\",\"value\":\"c\"}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"\",\"value\":\"c\"}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"\"}]}",
        "{\"inject\":[{\"in\":\"body\",\"name\":\"a\",\"value\":\"b\"}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\",\"secret_to\":2}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\",\"secret_from\":1}]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],\"remove\":[\"a\\nb\"]}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],\"upstream\":\"x\\ny\"}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],\"cache_s\":-1}",
        ("{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],\"epoch\":"
         "20000000000000000000}"),
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],\"txn\":\"\\ud800\"}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}]} x",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],\"grant\":\"a b\"}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],\"grant\":\"a\\\"b\"}",
        "{\"inject\":[{\"in\":\"header\",\"name\":\"a\",\"value\":\"b\"}],}",
        "{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
    };
    char room[1024];
    struct answer answer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (vlt_is_ok(parse(bad[i], &answer, room)))
            fail_msg("accepted: %s", bad[i]);
}

static bool is_line_safe(struct bytes value) {
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] < 0x20 || value.at[i] > 0x7e)
            return false;
    return true;
}

static void answer_survives_mutation(void **state) {
    for (size_t at = 0; at < sizeof whole - 1; at++)
        for (unsigned change = 0; change < 9; change++) {
            // Memory of exactly that size, so that the sanitizer sees a step too far.
            size_t size = change == 8 ? at : sizeof whole - 1;
            uint8_t *room = malloc(size ? size : 1);
            struct answer answer = {0};
            memcpy(room, whole, size);
            if (change < 8)
                room[at] ^= (uint8_t)(1u << change);
            if (vlt_is_ok(answer_parse(room, size, &answer)))
                for (size_t i = 0; i < answer.inject_count; i++)
                    assert_true(is_line_safe(answer.inject[i].name) &&
                                is_line_safe(answer.inject[i].value));
            else
                assert_int_equal(answer.inject_count, 0);
            assert_false(change == 8 && vlt_is_ok(answer_parse(room, size, &answer)));
            free(room);
        }
}

static void denial_accepts_what_was_agreed(void **state) {
    char text[] = "{\"error\":{\"type\":\"permission_error\",\"code\":\"c\",\"message\":"
                  "\"caf\\u00e9\"},\"status\":403,"
                  "\"headers\":{\"dpop-nonce\":\"n\",\"retry-after\":\"3\"}}";
    struct denial denial;
    assert_true(vlt_is_ok(denial_parse((uint8_t *)text, strlen(text), 403, &denial)));
    assert_true(bytes_equal_text(denial.message, "caf\xc3\xa9"));
    assert_int_equal(denial.header_count, 2);
    assert_true(bytes_equal_text(denial.headers[1].value, "3"));
    static const char *const bad[] = {
        "{}", "{\"error\":{}}", "{\"error\":7}",
        "{\"error\":{\"type\":\"t\",\"message\":\"m\"},\"headers\":{\"a\":\"b\\r\\nc\"}}"};
    char room[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(room, bad[i], strlen(bad[i]));
        assert_false(vlt_is_ok(denial_parse((uint8_t *)room, strlen(bad[i]), 403, &denial)));
    }
    char good[] = "{\"error\":{\"type\":\"t\",\"message\":\"m\"}}";
    assert_false(vlt_is_ok(denial_parse((uint8_t *)good, strlen(good), 200, &denial)));
}

static void reply_accepts_one_framing(void **state) {
    struct reply_head head;
    bool is_whole = false;
    static const char text[] =
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\nconnection: close\r\nX-A: b\r\n\r\nrest";
    for (size_t n = 0; n < sizeof text - 5; n++) {
        assert_true(vlt_is_ok(reply_head_parse(bytes_of(text, n), &head, &is_whole)));
        assert_false(is_whole);
    }
    assert_true(vlt_is_ok(reply_head_parse(bytes_of_text(text), &head, &is_whole)));
    assert_true(is_whole);
    assert_int_equal(head.status, 403);
    assert_int_equal(head.head_bytes, sizeof text - 5);
    assert_int_equal(head.body_bytes, 12);
    assert_false(head.stays_open);
    static const char *const bad[] = {
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 20 OK\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 2000\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\nx: y\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbroken\r\ncontent-length: 1\r\n\r\n",
        "garbage\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (vlt_is_ok(reply_head_parse(bytes_of_text(bad[i]), &head, &is_whole)))
            fail_msg("accepted: %s", bad[i]);
    char large[REPLY_HEAD_MAX + 1];
    memset(large, 'a', sizeof large);
    assert_int_equal(reply_head_parse(bytes_of(large, sizeof large), &head, &is_whole).class,
                     VLT_LIMIT);
}

static const char watch_text[] =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\nepoch 1\nstanding 301\n\r\n"
    "3\r\nepo\r\n7\r\nch 12\nepo"; // the third line comes in two chunks

static void watch_accepts_any_cut(void **state) {
    for (size_t step = 1; step < sizeof watch_text; step++) {
        struct watch_reader reader;
        unsigned total = 0;
        watch_reader_init(&reader);
        // The last chunk says 7 and goes on after its sixth byte.
        for (size_t at = 0; at < sizeof watch_text - 1 - 2; at += step) {
            size_t size = sizeof watch_text - 1 - 2 - at;
            unsigned count;
            assert_true(vlt_is_ok(watch_reader_feed(
                &reader, bytes_of(watch_text + at, size < step ? size : step), &count)));
            total += count;
        }
        assert_int_equal(total, 3);
        assert_int_equal(reader.epoch, 12);
        assert_true(reader.has_standing);
        assert_int_equal(reader.standing, 301);
    }
}

static void watch_rejects_everything_else(void **state) {
    static const char *const bad[] = {
        "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nepoch",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff8\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8;x=y\r\nepoch 1\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nepoch x\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nepocs 1\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nepoch\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nepoch 1\n\r\nx",
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3c\r\nepoch "
         "111111111111111111111111111\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct watch_reader reader;
        unsigned count;
        watch_reader_init(&reader);
        if (vlt_is_ok(watch_reader_feed(&reader, bytes_of_text(bad[i]), &count)))
            fail_msg("accepted: %s", bad[i]);
    }
}

static void watch_survives_mutation(void **state) {
    for (size_t at = 0; at < sizeof watch_text - 1; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            char text[sizeof watch_text];
            struct watch_reader reader;
            unsigned count;
            memcpy(text, watch_text, sizeof text);
            text[at] = (char)(text[at] ^ (1 << bit));
            watch_reader_init(&reader);
            (void)!vlt_is_ok(watch_reader_feed(&reader, bytes_of(text, sizeof text - 1), &count));
            assert_true(count <= 3);
        }
}

static void ask_accepts_every_fact(void **state) {
    const struct ask ask = {.token = BYTES_LITERAL("T"),
                            .proof = BYTES_LITERAL("P"),
                            .scheme = CARRIER_DPOP,
                            .method = BYTES_LITERAL("POST"),
                            .path = BYTES_LITERAL("/v1"),
                            .max_tokens = 9007199254740992,
                            .model = BYTES_LITERAL("a\"b\\\x01\xc3\xa9")};
    uint8_t room[2048];
    struct bytes text;
    assert_true(ask_capacity(&ask) <= sizeof room);
    assert_true(vlt_is_ok(ask_write(&ask, room, ask_capacity(&ask), &text)));
    static const char head[] = "POST /v1/redeem HTTP/1.1\r\nhost: vault\r\ncontent-type: "
                               "application/json\r\ncontent-length: ";
    assert_true(bytes_begin_with(text, bytes_of_text(head)));
    struct bytes body = bytes_from(text, bytes_find(text, '{'));
    assert_int_equal(strtoul((const char *)text.at + strlen(head), NULL, 10), body.size);
    json_t *root = NULL;
    assert_true(vlt_is_ok(jsontext_parse(body, &jsontext_token_limits, NULL, &root)));
    assert_int_equal(json_object_size(root), 7);
    assert_true(json_integer_value(json_object_get(root, "max_tokens")) == 9007199254740992);
    assert_string_equal(json_string_value(json_object_get(root, "scheme")), "dpop");
    assert_string_equal(json_string_value(json_object_get(root, "model")), "a\"b\\\x01\xc3\xa9");
    json_decref(root);
    for (size_t capacity = 0; capacity < 256 + body.size; capacity++)
        assert_int_equal(ask_write(&ask, room, capacity, &text).class, VLT_LIMIT);
}

static void error_body_accepts_both_shapes(void **state) {
    static const unsigned statuses[] = {400, 401, 402, 403, 404, 413, 415, 418, 429, 500, 502, 503};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        for (enum profile_errors shape = PROFILE_ERRORS_OPENAI; shape <= PROFILE_ERRORS_GOOGLE;
             shape++) {
            char text[1024];
            struct wire_writer w;
            json_t *root = NULL;
            wire_writer_init(&w, text, sizeof text);
            error_body_put(&w, shape, statuses[i], bytes_of(NULL, 0), BYTES_LITERAL("c"),
                           BYTES_LITERAL("say \"no\""));
            assert_false(w.failed);
            assert_true(vlt_is_ok(
                jsontext_parse(bytes_of(text, w.size), &jsontext_token_limits, NULL, &root)));
            const json_t *error = json_object_get(root, "error");
            assert_string_equal(json_string_value(json_object_get(error, "message")), "say \"no\"");
            if (shape == PROFILE_ERRORS_GOOGLE)
                assert_int_equal(json_integer_value(json_object_get(error, "code")), statuses[i]);
            else
                assert_string_equal(json_string_value(json_object_get(error, "type")),
                                    error_type(statuses[i]));
            json_decref(root);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_accepts_what_was_agreed),
        cmocka_unit_test(answer_accepts_every_number_where_none_is_said),
        cmocka_unit_test(answer_rejects_what_would_split_a_request),
        cmocka_unit_test(answer_survives_mutation),
        cmocka_unit_test(denial_accepts_what_was_agreed),
        cmocka_unit_test(reply_accepts_one_framing),
        cmocka_unit_test(watch_accepts_any_cut),
        cmocka_unit_test(watch_rejects_everything_else),
        cmocka_unit_test(watch_survives_mutation),
        cmocka_unit_test(ask_accepts_every_fact),
        cmocka_unit_test(error_body_accepts_both_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
