// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "forward/core/body_look.h"
#include "forward/core/model_scan.h"
#include "tests/unit/check.h"

// Feeds the body in pieces of `step` bytes.
static vlt_result scan(struct model_scan *s, struct bytes body, size_t step, bool wants_tool) {
    model_scan_init(s, "model", wants_tool);
    for (size_t at = 0; at < body.size; at += step) {
        size_t size = body.size - at < step ? body.size - at : step;
        vlt_result result = model_scan_feed(s, bytes_of(body.at + at, size));
        if (!vlt_is_ok(result))
            return result;
    }
    return model_scan_end(s);
}

static void scan_accepts_the_model_wherever_it_stands(void **state) {
    static const struct {
        const char *body, *model;
    } cases[] = {
        {"{\"model\":\"gpt-4o\"}", "gpt-4o"},
        {" {\n\"messages\" : [ { \"model\":\"fake\" } ] ,\t\"model\" : \"gpt-4o\" } \r\n",
         "gpt-4o"},
        {"{\"a\":\"\\\",\\\"model\\\":\\\"fake\\\"\",\"model\":\"m\"}", "m"},
        {"{\"a\":{\"model\":\"fake\"},\"b\":[[\"model\",\"x\"]]}", ""},
        {"{\"a\":\"model\",\"b\":-0.5e+10,\"c\":[1,0,true,false,null,{}],\"model\":\"m\"}", "m"},
        {"{\"model\":\"org\\/name\"}", "org/name"},
        {"{\"\\u006dodel2\":1}", NULL},
        {"{\"models\":\"x\",\"mode\":\"y\"}", ""},
        {"{\"x\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \\ud800 \\u0000\",\"model\":\"\xc3\xa9\"}",
         "\xc3\xa9"},
        {"{\"m\303\266del\":1,\"\xc4\xb1\xc5\xbf\":2,\"model\":\"m\"}", "m"},
        {"{}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes body = bytes_of_text(cases[i].body);
        for (size_t step = 1; step <= body.size; step++) {
            struct model_scan s;
            vlt_result result = scan(&s, body, step, false);
            assert_int_equal(vlt_is_ok(result), cases[i].model != NULL);
            if (cases[i].model)
                assert_true(bytes_equal_text(model_scan_model(&s), cases[i].model));
        }
    }
}

static void scan_rejects_two_readings(void **state) {
    static const char *const bad[] = {
        "{\"model\":\"a\",\"model\":\"b\"}",
        "{\"model\":\"a\",\"Model\":\"b\"}",
        "{\"MODEL\":\"b\"}",
        "{\"mod\\u0065l\":\"b\"}",
        "{\"model\":\"a\",\"\\u006dodel\":\"b\"}",
        "{\"model\":\"gpt\\u002d4\"}",
        "{\"model\":\"a\"}{\"model\":\"b\"}",
        "{\"model\":\"a\"}x",
        "{\"model\":\"a\"},",
        "{\"model\":\"a\"}\0",
        "{\"model\":null}",
        "{\"model\":7}",
        "{\"model\":[\"a\"]}",
        "{\"model\":{\"a\":1}}",
        "{\"model\":true}",
        "{\"model\":\"\"}",
        "[]",
        "[{\"model\":\"a\"}]",
        "\"model\"",
        "7",
        "null",
        "",
        " ",
        "{",
        "{\"model\":\"a\"",
        "{\"model\"}",
        "{\"model\" \"a\"}",
        "{model:\"a\"}",
        "{'model':'a'}",
        "{\"model\":'a'}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1}}",
        "{\"a\":{]}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":+1}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":tru}",
        "{\"a\":truee}",
        "{\"a\":\"\x01\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xc3\"}",
        "{\"a\":\"\xf4\x90\x80\x80\"}",
        "\xef\xbb\xbf{\"model\":\"a\"}",
        "{\"a\":1 /* model */}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":\"b}",
        "{\"a\"::1}",
        "{\"a\":1}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        // The one with a NUL behind it is longer than its text.
        size_t size = strlen(bad[i]) + (i == 9);
        for (size_t step = 1; step <= size + 2; step += size + 1) {
            struct model_scan s;
            if (vlt_is_ok(scan(&s, bytes_of(bad[i], size), step, false)))
                fail_msg("accepted: %s", bad[i]);
        }
    }
}

static void scan_rejects_what_is_too_deep_or_too_long(void **state) {
    struct model_scan s;
    char deep[2 * MODEL_SCAN_DEPTH + 16];
    for (size_t levels = MODEL_SCAN_DEPTH - 1; levels <= MODEL_SCAN_DEPTH; levels++) {
        size_t size = 0;
        memcpy(deep, "{\"a\":", 5);
        size = 5;
        memset(deep + size, '[', levels);
        size += levels;
        memset(deep + size, ']', levels);
        size += levels;
        deep[size++] = '}';
        vlt_result result = scan(&s, bytes_of(deep, size), 7, false);
        assert_int_equal(result.class, levels < MODEL_SCAN_DEPTH ? VLT_CLASS_OK : VLT_LIMIT);
    }
    char body[256];
    for (size_t size = MODEL_SCAN_TEXT_MAX; size <= MODEL_SCAN_TEXT_MAX + 1; size++) {
        memcpy(body, "{\"model\":\"", 10);
        memset(body + 10, 'm', size);
        memcpy(body + 10 + size, "\"}", 2);
        vlt_result result = scan(&s, bytes_of(body, size + 12), 5, false);
        assert_int_equal(result.class, size == MODEL_SCAN_TEXT_MAX ? VLT_CLASS_OK : VLT_LIMIT);
    }
    memcpy(body + 10, "\xc3\xa9", 2); // however it is cut, nothing is left of what is too long
    for (size_t step = 1; step <= sizeof body; step += sizeof body - 1) {
        assert_int_equal(scan(&s, bytes_of(body, MODEL_SCAN_TEXT_MAX + 13), step, false).class,
                         VLT_LIMIT);
        assert_int_equal(model_scan_model(&s).size, 0);
    }
}

static void scan_accepts_the_tool_of_a_call_only(void **state) {
    static const struct {
        const char *body, *tool;
    } cases[] = {
        {"{\"method\":\"tools/call\",\"params\":{\"name\":\"rm\",\"arguments\":{\"name\":\"x\"}}}",
         "rm"},
        {"{\"params\":{\"arguments\":{\"name\":\"x\"},\"name\":\"rm\"},\"method\":\"tools/call\"}",
         "rm"},
        {"{\"method\":\"tools/list\",\"params\":{}}", ""},
        {"{\"method\":\"prompts/get\",\"params\":{\"name\":\"p\"}}", ""},
        {"{\"x\":{\"name\":\"y\"},\"method\":\"ping\"}", ""},
        {"{\"method\":\"tools/call\"}", NULL},
        {"{\"method\":\"tools/call\",\"params\":{}}", NULL},
        {"{\"method\":\"tools/call\",\"params\":[\"rm\"]}", NULL},
        {"{\"method\":\"tools/call\",\"params\":\"rm\"}", NULL},
        {"{\"method\":\"tools/call\",\"params\":null}", NULL},
        {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"},\"params\":{\"name\":\"b\"}}",
         NULL},
        {"{\"method\":\"tools/call\",\"params\":{},\"params\":{\"name\":\"b\"}}", NULL},
        {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"name\":\"b\"}}", NULL},
        {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"n\\u0061me\":\"b\"}}", NULL},
        {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"Name\":\"b\"}}", NULL},
        {"{\"method\":\"tools/call\",\"Params\":{\"name\":\"a\"}}", NULL},
        {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"},"
         "\"param\xc5\xbf\":{\"name\":\"b\"}}",
         NULL},
        {"{\"method\":\"tools\\u002fcall\",\"params\":{\"name\":\"a\"}}", NULL},
        {"{\"method\":\"tools/call\",\"params\":{\"name\":{\"a\":1}}}", NULL},
        {"[{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}}]", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 80; step += 13) {
            struct model_scan s;
            vlt_result result = scan(&s, bytes_of_text(cases[i].body), step, true);
            if (vlt_is_ok(result) != (cases[i].tool != NULL))
                fail_msg("%s: %s", cases[i].body, result.reason);
            if (cases[i].tool)
                assert_true(bytes_equal_text(model_scan_tool(&s), cases[i].tool));
        }
}

static void scan_accepts_a_body_without_a_watched_member(void **state) {
    struct model_scan s;
    model_scan_init(&s, NULL, false);
    assert_true(vlt_is_ok(model_scan_feed(&s, BYTES_LITERAL("{\"model\":7,\"model\":8,\"\":1}"))));
    assert_true(vlt_is_ok(model_scan_end(&s)));
    assert_int_equal(model_scan_model(&s).size, 0);
}

// Whatever happens to a body, the answer does not depend on how it was cut, and
// an accepted body is one object with at most one model.
static void scan_survives_mutation(void **state) {
    static const char good[] = "{\"m\":[1,2.5e3,{\"x\":\"\\u00e9\xc3\xa9\"}],\"model\":\"gpt-4o\","
                               "\"method\":\"tools/call\","
                               "\"params\":{\"name\":\"t\"},\"z\":null}";
    uint8_t body[sizeof good + 1];
    for (size_t at = 0; at < sizeof good; at++)
        for (unsigned change = 0; change < 12; change++) {
            size_t size = sizeof good - 1;
            memcpy(body, good, sizeof good);
            if (change < 8)
                body[at] ^= (uint8_t)(1u << change);
            else if (change == 8)
                size = at;
            else
                body[size++] = (uint8_t) "}\" "[change - 9];
            struct model_scan whole, bytewise;
            vlt_result a = scan(&whole, bytes_of(body, size), size + 1, true);
            vlt_result b = scan(&bytewise, bytes_of(body, size), 1, true);
            assert_int_equal(a.class, b.class);
            if (change == 8 && at < sizeof good - 1)
                assert_false(vlt_is_ok(a));
            if (vlt_is_ok(a))
                assert_true(bytes_equal(model_scan_model(&whole), model_scan_model(&bytewise)));
        }
}

static enum body_kind look(struct bytes body, size_t step, size_t *ret_passed) {
    struct body_look l;
    size_t passed = 0;
    body_look_init(&l);
    for (size_t at = 0; at < body.size; at += step) {
        size_t size = body.size - at < step ? body.size - at : step;
        passed += body_look_take(&l, bytes_of(body.at + at, size));
    }
    *ret_passed = passed;
    return l.kind;
}

static void look_accepts_every_split(void **state) {
#define BODY(text) (const uint8_t *)(text), sizeof(text) - 1
    static const struct {
        const uint8_t *at;
        size_t size, passed;
        enum body_kind kind;
    } cases[] = {
        {BODY("{"), 0, BODY_IS_JSON},
        {BODY(" \r\n\t{}"), 4, BODY_IS_JSON},
        {BODY("\xef\xbb\xbf {}"), 4, BODY_IS_ODD_JSON},
        {BODY("\xff\xfe{\0}\0"), 2, BODY_IS_ODD_JSON},
        {BODY("\0\0\0{"), 3, BODY_IS_ODD_JSON},
        {BODY("\xff\xd8\xff{"), 2, BODY_IS_OTHER},
        {BODY("--b\r\n{"), 1, BODY_IS_OTHER},
        {BODY("  "), 2, BODY_UNDECIDED},
        {BODY(""), 0, BODY_UNDECIDED},
    };
#undef BODY
    size_t passed;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= cases[i].size + 1; step++) {
            struct bytes body = bytes_of(cases[i].at, cases[i].size);
            assert_int_equal(look(body, step, &passed), cases[i].kind);
            if (cases[i].kind != BODY_IS_JSON && cases[i].kind != BODY_IS_ODD_JSON)
                assert_int_equal(passed, cases[i].passed);
        }
    assert_int_equal(look(bytes_of_text("[{}]"), 1, &passed), BODY_IS_OTHER);
    assert_int_equal(look(bytes_of_text(" {}"), 9, &passed), BODY_IS_JSON);
    assert_int_equal(passed, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_accepts_the_model_wherever_it_stands),
        cmocka_unit_test(scan_rejects_two_readings),
        cmocka_unit_test(scan_rejects_what_is_too_deep_or_too_long),
        cmocka_unit_test(scan_accepts_the_tool_of_a_call_only),
        cmocka_unit_test(scan_accepts_a_body_without_a_watched_member),
        cmocka_unit_test(scan_survives_mutation),
        cmocka_unit_test(look_accepts_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
