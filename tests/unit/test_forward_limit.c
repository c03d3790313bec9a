// SPDX-License-Identifier: Apache-2.0
// How many tokens a request may have produced: by the profiles as they are shipped.
#include <stdio.h>
#include <stdlib.h>

#include "forward/core/model_scan.h"
#include "forward/core/token_peek.h"
#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "tests/unit/check.h"
#include "tests/unit/forward_fixture.h"

#define CHAT "/v1/chat/completions"
#define GEMINI "/v1beta/models/gemini-pro:generateContent"
#define REFUSED UINT64_MAX

static const struct profile_limit *limit_of(const char *profile, const char *path) {
    return profile_limit_find(profile_find(shipped, profile), bytes_of_text(path));
}

// The number, or REFUSED. Fed in pieces of `step` bytes.
static uint64_t scan(const struct profile_limit *limit, struct bytes body, size_t step) {
    struct model_scan s;
    model_scan_init(&s, "model", false);
    model_scan_count(&s, limit);
    for (size_t at = 0; at < body.size; at += step) {
        size_t size = body.size - at < step ? body.size - at : step;
        if (!vlt_is_ok(model_scan_feed(&s, bytes_of(body.at + at, size))))
            return REFUSED;
    }
    return vlt_is_ok(model_scan_end(&s)) ? model_scan_max_tokens(&s) : REFUSED;
}

static void expect(const struct profile_limit *limit, const char *text, uint64_t tokens) {
    struct bytes body = bytes_of_text(text);
    for (size_t step = 1; step <= body.size + 1; step++) {
        uint64_t found = scan(limit, body, step);
        if (found != tokens)
            fail_msg("%s in pieces of %zu: %llu", text, step, (unsigned long long)found);
    }
}

static void limit_accepts_what_each_provider_calls_it(void **state) {
    static const struct {
        const char *profile, *path, *body;
        uint64_t tokens;
    } cases[] = {
        {"openai", CHAT, "{\"model\":\"m\",\"max_tokens\":7}", 7},
        {"openai", CHAT, "{\"max_completion_tokens\": 8 ,\"model\":\"m\"}", 8},
        {"openai", CHAT, "{\"max_completion_tokens\":8,\"max_tokens\":9}", 9},
        {"openai", CHAT, "{\"max_tokens\":9,\"max_completion_tokens\":8}", 9},
        {"openai", CHAT, "{\"max_tokens\":9,\"n\":3}", 27},
        {"openai", CHAT, "{\"n\":3,\"max_tokens\":9}", 27},
        {"openai", CHAT, "{\"n\":null,\"max_tokens\":9}", 9},
        {"openai", CHAT, "{\"n\":0,\"max_tokens\":9}", 9},
        {"openai", CHAT, "{\"n\":1,\"max_tokens\":9007199254740992}", LIMIT_SCAN_MAX},
        {"openai", CHAT, "{\"n\":9007199254740992,\"max_tokens\":9007199254740992}",
         LIMIT_SCAN_MAX},
        {"openai", CHAT, "{\"n\":2,\"max_tokens\":4503599627370497}", LIMIT_SCAN_MAX},
        {"openai", CHAT, "{\"messages\":[{\"max_tokens\":5}],\"x\":{\"max_tokens\":6}}", 0},
        {"openai", CHAT, "{\"x\":\"max_tokens\",\"y\":[\"max_tokens\",5]}", 0},
        {"openai", CHAT, "{\"max_output_tokens\":5}", 0}, // of another call
        {"openai", CHAT, "{}", 0},
        {"openai", CHAT, "{\"max_tokens\":null}", 0},
        {"openai", CHAT, "{\"max_tokens\":-1}", 0}, // without an end, to some servers
        {"openai", CHAT, "{\"max_tokens\":9,\"max_completion_tokens\":-20}", 0},
        {"gemini", GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":-5}}", 0},
        {"openai", CHAT, "{\"max_tokens\":0}", 0},
        {"openai", CHAT, "{\"max_tokens\":9,\"max_completion_tokens\":null}", 0},
        {"openai", CHAT, "{\"max_tokens\":0,\"max_completion_tokens\":9}", 0},
        {"openai", "/v1/responses", "{\"max_output_tokens\":5}", 5},
        {"openai", "/v1/responses", "{\"max_tokens\":5}", 0},
        {"openai", "/v1/completions", "{\"prompt\":\"a\",\"max_tokens\":5,\"n\":2,\"best_of\":4}",
         20},
        {"openai", "/v1/completions", "{\"prompt\":\"a\",\"max_tokens\":5,\"n\":4,\"best_of\":2}",
         20},
        {"openai", "/v1/completions", "{\"prompt\":[\"a\",\"b\"],\"max_tokens\":5}", 0},
        {"openai", "/v1/completions", "{\"max_tokens\":5,\"prompt\":[]}", 0},
        {"openai", "/v1/completions", "{\"max_tokens\":5,\"prompt\":5}", 5},
        {"azure-openai", "/openai/deployments/x/chat/completions", "{\"max_tokens\":5}", 5},
        {"azure-openai", "/openai/v1/responses", "{\"max_output_tokens\":5}", 5},
        {"generic-bearer", "/api/v1/chat/completions", "{\"max_tokens\":5}", 5},
        {"anthropic", "/v1/messages", "{\"max_tokens\":5,\"n\":9}", 5},
        {"anthropic", "/v1/complete", "{\"max_tokens_to_sample\":5,\"max_tokens\":1}", 5},
        {"gemini", GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":5}}", 5},
        {"gemini", GEMINI, "{\"generation_config\":{\"max_output_tokens\":5}}", 5},
        {"gemini", GEMINI, "{\"generationConfig\":{\"max_output_tokens\":5,\"candidateCount\":2}}",
         10},
        {"gemini", GEMINI,
         "{\"generationConfig\":{\"a\":{\"maxOutputTokens\":1},\"maxOutputTokens\":5,\"b\":[{"
         "\"maxOutputTokens\":2}]},\"x\":{\"maxOutputTokens\":99}}",
         5},
        {"gemini", GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":5,\"max_output_tokens\":6}}",
         6},
        {"gemini", GEMINI,
         "{\"generationConfig\":{\"maxOutputTokens\":5,\"max_output_tokens\":null}}", 0},
        {"gemini", GEMINI, "{\"generationConfig\":{\"model\":7,\"maxOutputTokens\":5}}", 5},
        {"gemini", GEMINI, "{\"generationConfig\":null}", 0},
        {"gemini", GEMINI, "{\"generationConfig\":{}}", 0},
        {"gemini", GEMINI, "{\"maxOutputTokens\":5}", 0},
        {"gemini", "/v1beta/models/g:streamGenerateContent",
         "{\"generationConfig\":{\"maxOutputTokens\":5}}", 5},
        {"gemini", "/v1beta/openai/chat/completions", "{\"max_tokens\":5,\"n\":2}", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(limit_of(cases[i].profile, cases[i].path), cases[i].body, cases[i].tokens);
}

static void limit_accepts_nothing_where_nothing_is_known(void **state) {
    static const char *const paths[][2] = {
        {"openai", "/v1/embeddings"},    {"openai", CHAT "/"},
        {"openai", CHAT ";x"},           {"openai", "/v1/chat/COMPLETIONS"},
        {"anthropic", "/v1/messages/batches"}, {"anthropic", "/v1/messages/count_tokens"},
        {"gemini", "/v1beta/models/g:batchGenerateContent"}, {"generic-mcp", CHAT}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_null(limit_of(paths[i][0], paths[i][1]));
    expect(NULL, "{\"max_tokens\":5}", 0);
    expect(NULL, "{\"max_tokens\":\"5\",\"max_tokens\":1e99}", 0); // nobody's concern
}

// Members count in the object that they belong to, and a tool's name is none of theirs.
static void limit_accepts_members_of_their_own_object_only(void **state) {
    static const struct profile_limit two = {
        .member_count = 2,
        .members = {{PROFILE_LIMIT_MOST, BYTES_LITERAL("a"), BYTES_LITERAL("x")},
                    {PROFILE_LIMIT_MOST, BYTES_LITERAL("b"), BYTES_LITERAL("y")}}};
    expect(&two, "{\"a\":{\"x\":5}}", 5);
    expect(&two, "{\"b\":{\"y\":6}}", 6);
    expect(&two, "{\"a\":{\"y\":5}}", 0);
    expect(&two, "{\"b\":{\"x\":5,\"y\":null}}", 0);
    static const char body[] = "{\"a\":{\"name\":7,\"x\":5},\"method\":\"tools/call\","
                               "\"params\":{\"name\":\"t\",\"x\":8}}";
    struct model_scan s;
    model_scan_init(&s, NULL, true);
    model_scan_count(&s, &two);
    assert_true(vlt_is_ok(model_scan_feed(&s, bytes_of_text(body))));
    assert_true(vlt_is_ok(model_scan_end(&s)));
    assert_int_equal(model_scan_max_tokens(&s), 5);
    assert_true(bytes_equal_text(model_scan_tool(&s), "t"));
}

static void limit_rejects_what_is_no_whole_number_or_has_two_readings(void **state) {
    static const char *const bad[] = {
        "{\"max_tokens\":5,\"max_tokens\":5}",
        "{\"max_tokens\":5,\"max_tokens\":null}",
        "{\"max_tokens\":null,\"max_tokens\":5}",
        "{\"max_tokens\":5,\"Max_Tokens\":6}",
        "{\"MAX_TOKENS\":5}",
        "{\"max_tokens\":5,\"max_to\342\204\252ens\":6}",
        "{\"max_tokens\":5,\"max_complet\xc4\xb1on_token\xc5\xbf\":6}",
        "{\"MAX_TOKEN\xc5\xbf\":5}",
        "{\"max\\u005ftokens\":5}",
        "{\"max_tokens\":5,\"m\\u0061x_tokens\":6}",
        "{\"max_tokens\":5.0}",
        "{\"max_tokens\":5.5}",
        "{\"max_tokens\":1e3}",
        "{\"max_tokens\":1E99}",
        "{\"max_tokens\":1e-3}",
        "{\"max_tokens\":\"5\"}",
        "{\"max_tokens\":true}",
        "{\"max_tokens\":false}",
        "{\"max_tokens\":[5]}",
        "{\"max_tokens\":{}}",
        "{\"max_tokens\":nul}",
        "{\"max_tokens\":05}",
        "{\"max_tokens\":}",
        "{\"max_tokens\":9007199254740993}",
        "{\"max_tokens\":18446744073709551617}",
        "{\"max_tokens\":184467440737095516170000000000000000005}",
        "{\"max_tokens\":5,\"n\":-1}",
        "{\"max_tokens\":5,\"n\":1.5}",
        "{\"max_tokens\":5,\"n\":\"2\"}",
        "{\"max_tokens\":5,\"n\":[2]}",
        "{\"max_tokens\":5,\"n\":2,\"n\":1}",
        "{\"max_tokens\":5,\"N\":2}",
    };
    static const char *const bad_nested[] = {
        "{\"generationConfig\":{\"maxOutputTokens\":5},\"generationConfig\":{}}",
        "{\"generationConfig\":{\"maxOutputTokens\":5},\"generation_config\":{}}",
        "{\"generation_config\":null,\"generationConfig\":{\"maxOutputTokens\":5}}",
        "{\"generationConfig\":{\"maxOutputTokens\":5},\"generationconfig\":{}}",
        "{\"generationConfig\":{\"maxOutputTokens\":5,\"maxOutputTokens\":5}}",
        "{\"generationConfig\":{\"maxoutputtokens\":5}}",
        "{\"generationConfig\":{\"maxOutputToken\\u0073\":5}}",
        "{\"generationConfig\":{\"maxOutputTokens\":5},\"generatIonConf\xc4\xb0g\":{}}",
        "{\"generationConfig\":{\"maxOutputTokens\":\"5\"}}",
        "{\"generationConfig\":[{\"maxOutputTokens\":5}]}",
        "{\"generationConfig\":5}",
        "{\"generationConfig\":\"x\"}",
        "{\"generationConfig\":true}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect(limit_of("openai", CHAT), bad[i], REFUSED);
    for (size_t i = 0; i < sizeof bad_nested / sizeof *bad_nested; i++)
        expect(limit_of("gemini", GEMINI), bad_nested[i], REFUSED);
}

// What a strict parser reads; REFUSED where it must have been refused, too.
static uint64_t by_the_tree(struct bytes body) {
    json_t *root = NULL;
    uint64_t most = 0;
    bool is_open = false;
    if (!vlt_is_ok(jsontext_parse(body, &jsontext_document_limits, NULL, &root)))
        return REFUSED;
    static const char *const names[] = {"max_tokens", "max_completion_tokens"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_object_get(root, names[i]);
        if (value && json_integer_value(value) <= 0)
            is_open = true;
        else if (value && (uint64_t)json_integer_value(value) > most)
            most = (uint64_t)json_integer_value(value);
    }
    json_int_t n = json_integer_value(json_object_get(root, "n"));
    json_decref(root);
    return is_open ? 0 : most * (uint64_t)(n > 0 ? n : 1);
}

// Every change of a byte: refused, or the same number as the tree's.
static void limit_survives_mutation(void **state) {
    static const char good[] =
        "{\"model\":\"m\",\"max_tokens\":12,\"n\":3,\"max_completion_tokens\":7,\"x\":[1]}";
    const struct profile_limit *limit = limit_of("openai", CHAT);
    unsigned accepted = 0;
    for (size_t i = 0; i < sizeof good - 1; i++)
        for (unsigned change = 1; change < 256; change++) {
            char *body = malloc(sizeof good - 1); // exact, for a sanitizer
            memcpy(body, good, sizeof good - 1);
            body[i] = (char)(body[i] ^ (int)change);
            struct bytes text = bytes_of(body, sizeof good - 1);
            uint64_t found = scan(limit, text, 1), tree = by_the_tree(text);
            assert_int_equal(scan(limit, text, text.size), found);
            if (found != REFUSED && tree != REFUSED) {
                accepted++;
                assert_int_equal(found, tree);
            }
            free(body);
        }
    assert_in_range(accepted, 100, 20000);
    for (size_t size = 0; size < sizeof good - 1; size++)
        assert_int_equal(scan(limit, bytes_of(good, size), 5), REFUSED);
}

static void profile_rejects_limits_that_say_nothing(void **state) {
    static const char *const bad[] = {
        "{}",
        "5",
        "[5]",
        "[{}]",
        "[{\"path_end\":\"/x\"}]",
        "[{\"members\":[\"a\"]}]",
        "[{\"path_end\":\"\",\"members\":[\"a\"]}]",
        "[{\"path_end\":\"/x\",\"members\":[]}]",
        "[{\"path_end\":\"/x\",\"members\":\"a\"}]",
        "[{\"path_end\":\"/x\",\"members\":[5]}]",
        "[{\"path_end\":\"/x\",\"members\":[\"\"]}]",
        "[{\"path_end\":\"/x\",\"members\":[\".a\"]}]",
        "[{\"path_end\":\"/x\",\"members\":[\"a.\"]}]",
        "[{\"path_end\":\"/x\",\"members\":[\"a.b.c\"]}]",
        "[{\"path_end\":\"/x\",\"members\":[\"a\"],\"more\":1}]",
        "[{\"path_end\":\"/x\",\"members\":[\"a\"],\"times\":\"n\"}]",
        "[{\"path_end\":\"/"
        "x\",\"members\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}]",
        "[{\"path_end\":\"/"
        "x\",\"members\":[\"a23456789012345678901234567890123456789012345678901234567890123x\"]}]"};
    char text[1024];
    for (size_t i = 0; i < sizeof bad / sizeof *bad + 1; i++) {
        struct profile *profile = NULL;
        bool is_good = i == sizeof bad / sizeof *bad;
        snprintf(text, sizeof text,
                 "{\"name\":\"x\",\"title\":\"X\",\"inject\":[{\"in\":\"header\",\"name\":\"a\","
                 "\"format\":\"{secret}\"}],\"max_tokens\":%s}",
                 is_good ? "[{\"path_end\":\"/x\",\"members\":[\"a\",\"b.c\"],\"times\":[\"d\"]}]"
                         : bad[i]);
        struct fault fault = {0};
        vlt_result result = profile_parse(bytes_of_text(text), &fault, &profile);
        if (vlt_is_ok(result) != is_good)
            fail_msg("%s: %s", text, fault.text);
        profile_free(profile);
    }
}

static bool peek(const char *claims) {
    char token[2048] = "h.";
    b64u_encode_text(bytes_of_text(claims), token + 2);
    memcpy(token + strlen(token), ".s", 3);
    return token_peek_has_limit(bytes_of_text(token));
}

static void peek_accepts_a_limit_and_rejects_what_looks_like_one(void **state) {
    assert_true(peek("{\"authorization_details\":[{\"credential\":\"c\",\"max_tokens\":5}]}"));
    assert_false(peek("{\"authorization_details\":[{\"credential\":\"c\"}]}"));
    assert_false(peek("{\"a\":\"\\\"max_tokens\\\":5\",\"b\":\"max_tokens\"}"));
    assert_false(peek(""));
    static const char *const no_tokens[] = {"", ".", "..", "a", "a.b", "a.!.c", "...", "a..c"};
    for (size_t i = 0; i < sizeof no_tokens / sizeof *no_tokens; i++)
        assert_false(token_peek_has_limit(bytes_of_text(no_tokens[i])));
    static uint8_t long_token[40000];
    memset(long_token, 'A', sizeof long_token);
    long_token[1] = '.';
    assert_false(token_peek_has_limit(bytes_of(long_token, sizeof long_token)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_accepts_what_each_provider_calls_it),
        cmocka_unit_test(limit_accepts_nothing_where_nothing_is_known),
        cmocka_unit_test(limit_accepts_members_of_their_own_object_only),
        cmocka_unit_test(limit_rejects_what_is_no_whole_number_or_has_two_readings),
        cmocka_unit_test(limit_survives_mutation),
        cmocka_unit_test(profile_rejects_limits_that_say_nothing),
        cmocka_unit_test(peek_accepts_a_limit_and_rejects_what_looks_like_one),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
