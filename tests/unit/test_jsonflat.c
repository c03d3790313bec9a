// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "libvault/base/jsonflat.h"
#include "tests/unit/check.h"

struct texts {
    struct bytes a, b;
    uint64_t n;
    uint8_t room[512];
    struct fault fault;
};

static vlt_result parse(struct bytes json, struct texts *t) {
    *t = (struct texts){.a = {NULL, 0}};
    const struct jsonflat_member members[] = {{"a", &t->a, 20, true, NULL},
                                              {"b", &t->b, 20, false, NULL},
                                              {"n", NULL, 0, false, &t->n}};
    return jsonflat_parse(json, 400, members, 3, t->room, &t->fault);
}

static void flat_accepts_texts_in_any_order(void **state) {
    struct texts t;
    assert_true(vlt_is_ok(parse(BYTES_LITERAL(" { \"b\" : \"x\" , \"a\":\"y z\" } "), &t)));
    assert_true(bytes_equal_text(t.a, "y z") && bytes_equal_text(t.b, "x"));
    assert_true(vlt_is_ok(parse(BYTES_LITERAL("{\"a\":\"1\"}"), &t)));
    assert_int_equal(t.b.size, 0);
}

static void flat_accepts_whole_numbers(void **state) {
    struct texts t;
    assert_true(vlt_is_ok(parse(BYTES_LITERAL("{\"a\":\"x\",\"n\":1}"), &t)));
    assert_int_equal(t.n, 1);
    assert_true(vlt_is_ok(parse(BYTES_LITERAL("{\"n\" : 9007199254740992 ,\"a\":\"x\"}"), &t)));
    assert_true(t.n == JSONFLAT_NUMBER_MAX);
    assert_true(vlt_is_ok(parse(BYTES_LITERAL("{\"a\":\"x\"}"), &t)));
    assert_int_equal(t.n, 0);
}

static void flat_accepts_every_escape(void **state) {
    struct texts t;
    assert_true(vlt_is_ok(parse(BYTES_LITERAL("{\"a\":\"k\\\"\\\\\\/\\b\\f\\n\\r\\t\"}"), &t)));
    assert_true(bytes_equal_text(t.a, "k\"\\/\b\f\n\r\t"));
    assert_true(vlt_is_ok(
        parse(BYTES_LITERAL("{\"\\u0061\":\"\\u00e9\\u20ac\\ud83d\\ude00!\",\"b\":\"\\n\"}"), &t)));
    assert_true(bytes_equal_text(t.a, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!"));
    assert_true(bytes_equal_text(t.b, "\n"));
}

static void flat_rejects(void **state) {
    static const struct {
        const char *json;
        enum vlt_class class;
    } wrong[] = {{"{}", VLT_MALFORMED},
                 {"[\"a\"]", VLT_MALFORMED},
                 {"\"a\"", VLT_MALFORMED},
                 {"{\"a\":1}", VLT_MALFORMED},
                 {"{\"a\":null}", VLT_MALFORMED},
                 {"{\"a\":{}}", VLT_MALFORMED},
                 {"{\"a\":\"\"}", VLT_LIMIT},
                 {"{\"a\":\"x\",\"a\":\"y\"}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"\\u0061\":\"y\"}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"c\":\"y\"}", VLT_MALFORMED},
                 {"{\"a\":\"123456789012345678901\"}", VLT_LIMIT},
                 {"{\"a\":\"x\"", VLT_MALFORMED},
                 {"{\"a\":\"x\",}", VLT_MALFORMED},
                 {"{\"a\":\"x\"\v}", VLT_MALFORMED},
                 {"{\"a\":\"x\" \"b\":\"y\"}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"\":\"y\"}", VLT_MALFORMED},
                 {"{\"b\":\"x\"}", VLT_MALFORMED},
                 {"{\"a\":\"x\"} 1", VLT_MALFORMED},
                 {"{\"a\":\"\\u0000\"}", VLT_MALFORMED},
                 {"{\"a\":\"\\ud83d\"}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":0}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":-1}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":1.0}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":1e2}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":1E99}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":\"1\"}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":null}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":true}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":[1]}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":1,\"n\":2}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":9007199254740993}", VLT_MALFORMED},
                 {"{\"a\":\"x\",\"n\":18446744073709551617}", VLT_LIMIT},
                 {"{\"a\":\"x\",\"n\":100000000000000000000000001}", VLT_LIMIT},
                 {"", VLT_MALFORMED}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct texts t;
        vlt_result result = parse(bytes_of_text(wrong[i].json), &t);
        if (result.class != wrong[i].class)
            fail_msg("%s: %s", wrong[i].json, vlt_class_name(result.class));
    }
}

static void assert_agrees(struct bytes json) {
    struct texts t;
    json_t *root = NULL;
    vlt_result flat = parse(json, &t);
    bool is_tree = vlt_is_ok(jsontext_parse(json, &jsontext_token_limits, NULL, &root));
    if (vlt_is_ok(flat)) {
        const char *b = json_string_value(json_object_get(root, "b"));
        assert_true(is_tree);
        assert_true(bytes_equal_text(t.a, json_string_value(json_object_get(root, "a"))));
        assert_true(bytes_equal_text(t.b, b ? b : ""));
        assert_int_equal(t.n, json_integer_value(json_object_get(root, "n")));
    }
    json_decref(root);
}

// Whatever happens to the bytes, the flat reader agrees with the tree: where there are
// escapes, and where there are none, which it reads in another way.
static void flat_survives_mutation(void **state) {
    static const char *const good[] = {
        "{\"a\":\"x\\u00e9\\n\\\"y\",\"b\":\"\\ud83d\\ude00 z\",\"n\":4096}",
        " { \"b\" : \"of seventeen byte\" ,\n\t\"n\": 17 , \"a\":\"of eighteen bytes,\" } ",
        "{\"a\":\"\xc3\xa9\xe2\x82\xac\",\"b\":\"\"}"};
    for (size_t g = 0; g < sizeof good / sizeof *good; g++) {
        size_t whole = strlen(good[g]);
        struct texts t;
        assert_true(vlt_is_ok(parse(bytes_of_text(good[g]), &t)));
        for (size_t i = 0; i < whole; i++)
            for (unsigned byte = 0; byte < 256; byte++) {
                char json[128];
                memcpy(json, good[g], whole);
                json[i] = (char)byte;
                assert_agrees(bytes_of(json, whole));
            }
        for (size_t size = 0; size < whole - 1; size++) {
            char *copy = malloc(size + 1); // exact, so that a sanitizer sees a read behind it
            memcpy(copy, good[g], size);
            assert_agrees(bytes_of(copy, size));
            free(copy);
        }
    }
}

// Before the byte that ends a run of any length, wherever it begins.
static void plain_run_ends_before_the_first_special_byte(void **state) {
    static const uint8_t special[] = {'"', '\\', 0, '\n', 0x1f};
    static const uint8_t plain[] = {' ', '!', '#', '[', ']', 0x7f, 0x80, 0xff};
    uint8_t text[80];
    for (size_t from = 0; from < 20; from++)
        for (size_t end = from; end < sizeof text; end++)
            for (size_t s = 0; s < sizeof special; s++) {
                for (size_t i = 0; i < sizeof text; i++)
                    text[i] = plain[(i + end) % sizeof plain];
                text[end] = special[s];
                assert_int_equal(jsontext_plain_run(bytes_of(text, sizeof text), from), end - from);
                assert_int_equal(jsontext_plain_run(bytes_of(text, end), from), end - from);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_accepts_texts_in_any_order),
        cmocka_unit_test(flat_accepts_whole_numbers),
        cmocka_unit_test(flat_accepts_every_escape),
        cmocka_unit_test(flat_rejects),
        cmocka_unit_test(flat_survives_mutation),
        cmocka_unit_test(plain_run_ends_before_the_first_special_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
