// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"
#include "libvault/base/jsontext.h"
#include "libvault/base/wire.h"
#include "tests/unit/check.h"

static void b64u_accepts_one_spelling(void **state) {
    uint8_t out[16];
    size_t size = 0;
    assert_true(vlt_is_ok(b64u_decode(BYTES_LITERAL("-_8"), out, sizeof out, &size)));
    assert_int_equal(size, 2);
    assert_int_equal(out[0], 0xfb);
    assert_int_equal(out[1], 0xff);
    char text[8];
    b64u_encode_text(bytes_of(out, 2), text);
    assert_string_equal(text, "-_8");
}

static void b64u_rejects_every_other_spelling(void **state) {
    static const char *const wrong[] = {
        "-_9", "+/8", "-_8=", "-_ 8", "A", "AAAAA", "\xff\xff\xff\xff"};
    uint8_t out[16];
    size_t size = 99;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(vlt_is_ok(b64u_decode(bytes_of_text(wrong[i]), out, sizeof out, &size)));
    assert_int_equal(b64u_decode(BYTES_LITERAL("AAAAAAAA"), out, 4, &size).class, VLT_LIMIT);
    assert_int_equal(size, 99);
}

static void b64u_survives_every_length(void **state) {
    uint8_t in[256], back[256];
    char text[B64U_SIZE(256) + 1];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 37);
    for (size_t n = 0; n <= sizeof in; n++) {
        size_t size = 0;
        b64u_encode_text(bytes_of(in, n), text);
        assert_true(vlt_is_ok(b64u_decode(bytes_of_text(text), back, sizeof back, &size)));
        assert_true(bytes_equal(bytes_of(in, n), bytes_of(back, size)));
    }
}

// Each byte value at each place of a text longer than what is decoded at once.
static void b64u_survives_every_character_at_every_place(void **state) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t place = 0; place < 12; place++)
        for (unsigned c = 0; c < 256; c++) {
            char text[] = "AAAAAAAAAAAA", again[16];
            uint8_t out[9];
            size_t size = 0;
            text[place] = (char)c;
            const char *known = c ? strchr(alphabet, (int)c) : NULL;
            assert_int_equal(vlt_is_ok(b64u_decode(bytes_of(text, 12), out, sizeof out, &size)),
                             known != NULL);
            if (!known)
                continue;
            unsigned shift = 18 - 6 * (place % 4);
            const uint8_t *group = out + place / 4 * 3;
            uint32_t bits = (uint32_t)group[0] << 16 | (uint32_t)group[1] << 8 | group[2];
            assert_int_equal(bits, (uint32_t)(known - alphabet) << shift);
            b64u_encode_text(bytes_of(out, size), again);
            assert_string_equal(again, text);
        }
}

static void b64_accepts_padding(void **state) {
    uint8_t out[8];
    size_t size = 0;
    assert_true(vlt_is_ok(b64_decode(BYTES_LITERAL("Zg=="), out, sizeof out, &size)));
    assert_int_equal(size, 1);
    assert_false(vlt_is_ok(b64_decode(BYTES_LITERAL("Zg="), out, sizeof out, &size)));
    assert_false(vlt_is_ok(b64_decode(BYTES_LITERAL("===="), out, sizeof out, &size)));
    assert_false(vlt_is_ok(b64_decode(BYTES_LITERAL("Zh=="), out, sizeof out, &size)));
}

static void utf8_rejects_what_rfc3629_forbids(void **state) {
    static const char *const wrong[] = {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\xe2\x82", "a\x80",        "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(bytes_is_utf8(bytes_of_text(wrong[i]), NULL));
    assert_true(bytes_is_utf8(bytes_of_text("é€\xf0\x9f\x98\x80\xef\xbf\xbf"), NULL));
}

static void utf8_rejects_a_bad_byte_wherever_it_is(void **state) {
    for (size_t place = 0; place < 20; place++) {
        char text[] = "abcdefghijklmnopqrst";
        size_t bad_at = 99;
        text[place] = '\xff';
        assert_false(bytes_is_utf8(bytes_of_text(text), &bad_at));
        assert_int_equal(bad_at, place);
        assert_false(bytes_equal_text(bytes_of_text(text), "abcdefghijklmnopqrst"));
    }
}

static void plain_run_survives_every_byte_at_every_place(void **state) {
    for (size_t place = 0; place < 20; place++)
        for (unsigned c = 0; c < 256; c++) {
            char text[] = "abcdefgh\xc3\xa4klmnopqrst";
            text[place] = (char)c;
            bool is_plain = c >= 0x20 && c != '"' && c != '\\';
            assert_int_equal(jsontext_plain_run(bytes_of(text, 20), 0), is_plain ? 20 : place);
            assert_int_equal(jsontext_plain_run(bytes_of(text, 20), 20), 0);
        }
}

static void wire_accepts_what_it_wrote(void **state) {
    uint8_t frame[64];
    struct wire_writer w;
    wire_writer_init(&w, frame, sizeof frame);
    wire_put_u8(&w, 7);
    wire_put_u64(&w, UINT64_C(0x0102030405060708));
    wire_put_text(&w, "tenant");
    assert_false(w.failed);
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(frame, w.size));
    char text[16];
    assert_int_equal(wire_get_u8(&r), 7);
    assert_true(wire_get_u64(&r) == UINT64_C(0x0102030405060708));
    wire_get_text(&r, text, sizeof text);
    assert_string_equal(text, "tenant");
    assert_true(vlt_is_ok(wire_reader_end(&r)));
}

static void wire_rejects_truncation_and_leftovers(void **state) {
    uint8_t frame[64];
    struct wire_writer w;
    wire_writer_init(&w, frame, sizeof frame);
    wire_put_u32(&w, 1);
    wire_put_text(&w, "abc");
    for (size_t n = 0; n <= w.size + 1; n++) {
        struct wire_reader r;
        wire_reader_init(&r, bytes_of(frame, n));
        wire_get_u32(&r);
        wire_get_bytes(&r, 3);
        assert_int_equal(vlt_is_ok(wire_reader_end(&r)), n == w.size);
    }
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(frame, w.size));
    wire_get_u32(&r);
    wire_get_bytes(&r, 2); // longer than allowed
    assert_false(vlt_is_ok(wire_reader_end(&r)));
}

static void buf_survives_its_maximum(void **state) {
    struct buf buf;
    buf_init(&buf, 10);
    buf_put_text(&buf, "12345");
    buf_put_format(&buf, "%d", 67890);
    assert_false(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), "1234567890");
    buf_put_byte(&buf, 'x');
    assert_true(buf_failed(&buf));
    assert_int_equal(buf.size, 10);
    buf_done(&buf);
}

static vlt_result parse(const char *text, json_t **ret) {
    return jsontext_parse(bytes_of_text(text), &jsontext_token_limits, NULL, ret);
}

static void json_rejects(void **state) {
    static const char *const wrong[] = {"",
                                        "{",
                                        "[1,]",
                                        "{\"a\":1,}",
                                        "{\"a\":1,\"a\":2}",
                                        "[01]",
                                        "[1.]",
                                        "[.5]",
                                        "[+1]",
                                        "[1e400]",
                                        "[1e-400]",
                                        "[9223372036854775808]",
                                        "[\"\\ud800\"]",
                                        "[\"\\u0000\"]",
                                        "{} {}",
                                        "1",
                                        "[\"\t\"]",
                                        "\xef\xbb\xbf{}",
                                        "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
                                        "[nul]",
                                        "{\"a\" 1}",
                                        "{'a':1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *root = NULL;
        assert_false(vlt_is_ok(parse(wrong[i], &root)));
        assert_null(root);
    }
}

static void json_names_the_place(void **state) {
    struct fault fault = {0};
    json_t *root = NULL;
    assert_false(vlt_is_ok(
        jsontext_parse(BYTES_LITERAL("{\n \"a\": tru}"), &jsontext_token_limits, &fault, &root)));
    assert_int_equal(fault.line, 2);
    assert_int_equal(fault.column, 7);
}

static void canonical_is_rfc8785(void **state) {
    json_t *root = NULL;
    assert_true(vlt_is_ok(parse("{\"\\ufb33\":1,\"\\ud83d\\ude00\":2,\"\\u0080\":3,\"1\":[true,"
                                "null,-5],\"\\r\":\"\\u001f\\b\\/\"}",
                                &root)));
    struct buf out;
    buf_init(&out, 1000);
    assert_true(vlt_is_ok(jsontext_canonical(root, &out)));
    assert_string_equal(
        buf_text(&out),
        "{\"\\r\":\"\\u001f\\b/"
        "\",\"1\":[true,null,-5],\"\xc2\x80\":3,\"\xf0\x9f\x98\x80\":2,\"\xef\xac\xb3\":1}");
    buf_done(&out);
    json_decref(root);
}

static void hex_rejects(void **state) {
    uint8_t out[2];
    assert_true(vlt_is_ok(hex_decode(BYTES_LITERAL("aB01"), out, 2)));
    assert_false(vlt_is_ok(hex_decode(BYTES_LITERAL("aB0"), out, 2)));
    assert_false(vlt_is_ok(hex_decode(BYTES_LITERAL("aG01"), out, 2)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b64u_accepts_one_spelling),
        cmocka_unit_test(b64u_rejects_every_other_spelling),
        cmocka_unit_test(b64u_survives_every_character_at_every_place),
        cmocka_unit_test(utf8_rejects_a_bad_byte_wherever_it_is),
        cmocka_unit_test(plain_run_survives_every_byte_at_every_place),
        cmocka_unit_test(b64u_survives_every_length),
        cmocka_unit_test(b64_accepts_padding),
        cmocka_unit_test(utf8_rejects_what_rfc3629_forbids),
        cmocka_unit_test(wire_accepts_what_it_wrote),
        cmocka_unit_test(wire_rejects_truncation_and_leftovers),
        cmocka_unit_test(buf_survives_its_maximum),
        cmocka_unit_test(json_rejects),
        cmocka_unit_test(json_names_the_place),
        cmocka_unit_test(canonical_is_rfc8785),
        cmocka_unit_test(hex_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
