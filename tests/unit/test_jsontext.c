// SPDX-License-Identifier: Apache-2.0
// The trees of jsontext_parse, held against those that jansson's own parser builds.
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "tests/unit/check.h"

static const struct jsontext_limits lenient = {.max_bytes = 1024,
                                               .max_depth = 8,
                                               .allow_duplicates = true,
                                               .allow_scalar_root = true,
                                               .allow_nul = true};

static char *printed(const json_t *root) {
    char *text = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY); // in the order of the text
    assert_non_null(text);
    return text;
}

// What is taken, jansson takes too, and reads it in the same way.
static bool is_taken(struct bytes json, const struct jsontext_limits *limits) {
    json_t *ours = NULL;
    size_t flags = JSON_DECODE_ANY | (limits->allow_duplicates ? 0 : JSON_REJECT_DUPLICATES) |
                   (limits->allow_nul ? JSON_ALLOW_NUL : 0);
    if (!vlt_is_ok(jsontext_parse(json, limits, NULL, &ours))) {
        assert_null(ours);
        return false;
    }
    json_t *theirs = json_loadb((const char *)json.at, json.size, flags, NULL);
    char *mine = printed(ours), *other = printed(theirs);
    assert_string_equal(mine, other);
    assert_true(json_equal(ours, theirs));
    free(mine);
    free(other);
    json_decref(ours);
    json_decref(theirs);
    return true;
}

static const char *const good[] = {
    "{\"a\":\"x\\u00e9\\n\\\"y\",\"b\":\"\\ud83d\\ude00 z\",\"\\u0061b\":4096,\"\":{}}",
    " [ 1 , -0 , -17 , 9223372036854775807 , 0.5 , -1.25e-3 , 1E+2 , 5e-310 ]\n",
    "{\"t\":true,\"f\":[false,null,[[\"\\u0000\"],{}],[]],\"t\\/\":\"\\b\\f\\n\\r\\t\\\\/\"}",
    "{\"iss\":\"https://idp.example\",\"aud\":[\"vault\"],\"exp\":1800003600}",
    "{\"a\\u000a\":{\"b\":[{\"c\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}]}}",
    "\"of more than sixteen bytes \\u20ac\""};

static void tree_accepts_what_jansson_reads(void **state) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(is_taken(bytes_of_text(good[i]), &lenient));
    assert_true(is_taken(BYTES_LITERAL("{\"a\":1,\"b\":2,\"\\u0061\":3}"), &lenient));
}

static void tree_rejects_names_that_repeat_or_hold_nul(void **state) {
    struct fault fault = {0};
    json_t *root = NULL;
    static const char repeated[] = "{\"a\":[],\n\"b\":{\"c\":1,\"\\u0063\":2},\"d\":0}";
    assert_int_equal(
        jsontext_parse(bytes_of_text(repeated), &jsontext_token_limits, &fault, &root).class,
        VLT_MALFORMED);
    assert_int_equal(fault.line, 2);
    assert_non_null(strstr(fault.text, "two members have the same name"));
    assert_false(is_taken(BYTES_LITERAL("{\"a\":1,\"a\\u0000b\":2}"), &lenient));
    assert_null(root);
}

static void tree_survives_mutation(void **state) {
    unsigned taken = 0;
    for (size_t g = 0; g < sizeof good / sizeof *good; g++) {
        size_t whole = strlen(good[g]);
        for (size_t i = 0; i < whole; i++)
            for (unsigned byte = 0; byte < 256; byte++) {
                char *json = malloc(whole); // exact, so that a sanitizer sees a read behind it
                memcpy(json, good[g], whole);
                json[i] = (char)byte;
                taken += is_taken(bytes_of(json, whole), &lenient);
                taken += is_taken(bytes_of(json, whole), &jsontext_token_limits);
                free(json);
            }
        for (size_t size = 0; size < whole; size++) {
            char *json = malloc(size + 1);
            memcpy(json, good[g], size);
            taken += is_taken(bytes_of(json, size), &lenient);
            free(json);
        }
    }
    assert_true(taken > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_accepts_what_jansson_reads),
        cmocka_unit_test(tree_rejects_names_that_repeat_or_hold_nul),
        cmocka_unit_test(tree_survives_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
