// SPDX-License-Identifier: Apache-2.0
// libvault/token: what a token covers, what lies inside what, and the request
// parameter authorization_details (RFC 9396).
#include "libvault/token/token_details.h"
#include "libvault/token/token_scope.h"
#include "tests/unit/check.h"

static bool matches(const char *pattern, const char *text) {
    return token_pattern_matches(bytes_of_text(pattern), bytes_of_text(text));
}
static bool inside(const char *inner, const char *outer) {
    return token_pattern_is_inside(bytes_of_text(inner), bytes_of_text(outer));
}

static void test_pattern_accepts_only_what_it_says(void **state) {
    (void)state;
    assert_true(matches("gpt-4o", "gpt-4o"));
    assert_true(matches("gpt-*", "gpt-4o"));
    assert_true(matches("gpt-*", "gpt-"));
    assert_true(matches("*", "anything"));
    assert_false(matches("gpt-4o", "gpt-4o-mini"));
    assert_false(matches("gpt-*", "GPT-4o"));
    assert_false(matches("gpt-*", "gpt"));
    assert_false(matches("", "x"));
}

static void test_pattern_inside_agrees_with_matching(void **state) {
    (void)state;
    assert_true(inside("gpt-4o", "gpt-*"));
    assert_true(inside("gpt-4*", "gpt-*"));
    assert_true(inside("gpt-*", "gpt-*"));
    assert_true(inside("gpt-*", "*"));
    assert_false(inside("gpt-*", "gpt-4*"));
    assert_false(inside("*", "gpt-*"));
    assert_false(inside("gpt-*", "gpt-4o"));
    assert_false(inside("gp*", "gpt-*"));
    // Exhaustively over a small alphabet: inside means that every text that the
    // inner pattern matches is matched by the outer one.
    static const char *const patterns[] = {"*",  "a",  "b",   "a*",  "b*",  "aa", "ab",
                                           "ba", "aa*", "ab*", "ba*", "aab", "aab*"};
    static const char *const texts[] = {"",   "a",   "b",   "aa",  "ab",   "ba",   "bb",
                                        "aaa", "aab", "aba", "abb", "aabb", "baab", "aaba"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        for (size_t k = 0; k < sizeof patterns / sizeof *patterns; k++)
            for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
                if (inside(patterns[i], patterns[k]) && matches(patterns[i], texts[t]))
                    assert_true(matches(patterns[k], texts[t]));
}

static void test_path_normal_rejects_ways_out(void **state) {
    (void)state;
    static const char *const good[] = {"/",      "/v1/chat/completions", "/v1/",       "/a/..b/c",
                                       "/a/b.c", "/v1/x%20y",            "/a/.../b", "/v1/m:run",
                                       "/v1/a;b=c/d"};
    static const char *const bad[] = {
        "",           "v1",        "/v1/../x",   "/..",      "/v1/..",       "/./v1",
        "//v1",       "/v1//x",    "/v1?x",      "/v1#x",    "/v1\\x",       "/v1/%2e/x",
        "/v1/%2E%2E", "/v1/%2Fx",  "/v1/%2f",    "/v1/%00",  "/v1/%5C",      "/v1/%",
        "/v1/%4",     "/v1/ x",    "/v1/\x7f",   "/v1/%0A",  "/v1/\xc3\xa9", "/v1/.",
        "/%zz",       "/v1/..;/x", "/v1/..;a=b", "/v1/.;/x", "/v1/;a/x",     "/v1/;"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!token_path_is_normal(bytes_of_text(good[i])))
            fail_msg("refused %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (token_path_is_normal(bytes_of_text(bad[i])))
            fail_msg("accepted %s", bad[i]);
}

// ---- Cover ----

static struct token_claims limited(void) {
    return (struct token_claims){
        .detail_count = 2,
        .details = {{.credential = BYTES_LITERAL("openai"),
                     .methods = {1, {BYTES_LITERAL("POST")}},
                     .paths = {1, {BYTES_LITERAL("/v1/*")}},
                     .models = {1, {BYTES_LITERAL("gpt-*")}}},
                    {.credential = BYTES_LITERAL("mcp"),
                     .tools = {1, {BYTES_LITERAL("search")}}}}};
}

static void test_cover_accepts_use_inside(void **state) {
    (void)state;
    struct token_claims claims = limited();
    const struct token_detail *detail = NULL;
    struct token_use use = {BYTES_LITERAL("openai"), BYTES_LITERAL("POST"),
                            BYTES_LITERAL("/v1/responses"), BYTES_LITERAL("gpt-5"),
                            BYTES_LITERAL(""), 0};
    assert_true(vlt_is_ok(token_covers(&claims, &use, &detail)));
    assert_ptr_equal(detail, &claims.details[0]);
    use = (struct token_use){BYTES_LITERAL("mcp"), BYTES_LITERAL("GET"), BYTES_LITERAL("/x"),
                             BYTES_LITERAL("any"), BYTES_LITERAL("search"), 0};
    assert_true(vlt_is_ok(token_covers(&claims, &use, NULL)));
}

static void test_cover_rejects_use_outside(void **state) {
    (void)state;
    struct token_claims claims = limited();
    const struct token_detail *detail = NULL;
    const struct token_use uses[] = {
        {BYTES_LITERAL("anthropic"), BYTES_LITERAL("POST"), BYTES_LITERAL("/v1/x"),
         BYTES_LITERAL("gpt-5"), BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("openai"), BYTES_LITERAL("GET"), BYTES_LITERAL("/v1/x"),
         BYTES_LITERAL("gpt-5"), BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("openai"), BYTES_LITERAL("post"), BYTES_LITERAL("/v1/x"),
         BYTES_LITERAL("gpt-5"), BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("openai"), BYTES_LITERAL("POST"), BYTES_LITERAL("/v2/x"),
         BYTES_LITERAL("gpt-5"), BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("openai"), BYTES_LITERAL("POST"), BYTES_LITERAL("/v1/../v2/x"),
         BYTES_LITERAL("gpt-5"), BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("openai"), BYTES_LITERAL("POST"), BYTES_LITERAL("/v1/x"),
         BYTES_LITERAL("o3"), BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("openai"), BYTES_LITERAL("POST"), BYTES_LITERAL("/v1/x"), BYTES_LITERAL(""),
         BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("openai"), BYTES_LITERAL(""), BYTES_LITERAL("/v1/x"), BYTES_LITERAL("gpt-5"),
         BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("mcp"), BYTES_LITERAL("GET"), BYTES_LITERAL("/x"), BYTES_LITERAL(""),
         BYTES_LITERAL(""), 0},
        {BYTES_LITERAL("mcp"), BYTES_LITERAL("GET"), BYTES_LITERAL("/x"), BYTES_LITERAL(""),
         BYTES_LITERAL("delete"), 0}};
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
        assert_int_equal(token_covers(&claims, &uses[i], &detail).class, VLT_DENIED);
    assert_null(detail);
}

// One that says no number is outside of every limit, and inside of none at all.
static void test_cover_accepts_numbers_up_to_the_limit(void **state) {
    (void)state;
    static const struct {
        uint64_t limit, asked;
        bool is_covered;
    } cases[] = {{100, 1, true},          {100, 100, true},   {100, 101, false},
                 {100, UINT64_MAX, false}, {100, 0, false},    {1, 1, true},
                 {1, 2, false},            {0, 0, true},       {0, 1, true},
                 {0, UINT64_MAX, true},    {UINT64_MAX, 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_claims claims = limited();
        claims.details[0].max_tokens = cases[i].limit;
        const struct token_use use = {BYTES_LITERAL("openai"), BYTES_LITERAL("POST"),
                                      BYTES_LITERAL("/v1/x"),  BYTES_LITERAL("gpt-5"),
                                      BYTES_LITERAL(""),       cases[i].asked};
        assert_int_equal(vlt_is_ok(token_covers(&claims, &use, NULL)), cases[i].is_covered);
    }
}

// Two details of one credential: the second takes what is too much for the first.
static void test_cover_accepts_the_detail_that_fits(void **state) {
    (void)state;
    struct token_claims claims = limited();
    claims.details[0].max_tokens = 10;
    claims.details[1] = claims.details[0];
    claims.details[1].max_tokens = 1000;
    const struct token_detail *detail = NULL;
    struct token_use use = {BYTES_LITERAL("openai"), BYTES_LITERAL("POST"), BYTES_LITERAL("/v1/x"),
                            BYTES_LITERAL("gpt-5"), BYTES_LITERAL(""), 10};
    assert_true(vlt_is_ok(token_covers(&claims, &use, &detail)));
    assert_ptr_equal(detail, &claims.details[0]);
    use.max_tokens = 11;
    assert_true(vlt_is_ok(token_covers(&claims, &use, &detail)));
    assert_ptr_equal(detail, &claims.details[1]);
    use.max_tokens = 1001;
    assert_int_equal(token_covers(&claims, &use, &detail).class, VLT_DENIED);
    use.max_tokens = 0;
    assert_int_equal(token_covers(&claims, &use, &detail).class, VLT_DENIED);
}

// ---- Narrow ----

static void test_narrow_accepts_inside_and_inherits(void **state) {
    (void)state;
    struct token_detail allowed = {.credential = BYTES_LITERAL("c"),
                                   .paths = {1, {BYTES_LITERAL("/v1/*")}},
                                   .models = {1, {BYTES_LITERAL("gpt-*")}},
                                   .max_tokens = 100};
    struct token_detail requested = {.credential = BYTES_LITERAL("c"),
                                     .methods = {1, {BYTES_LITERAL("POST")}},
                                     .models = {1, {BYTES_LITERAL("gpt-4*")}}};
    struct token_detail granted;
    assert_true(vlt_is_ok(token_detail_narrow(&requested, &allowed, &granted)));
    assert_true(bytes_equal_text(granted.models.items[0], "gpt-4*"));
    assert_true(bytes_equal_text(granted.paths.items[0], "/v1/*"));
    assert_true(bytes_equal_text(granted.methods.items[0], "POST"));
    assert_int_equal(granted.max_tokens, 100);
}

static void test_narrow_rejects_more_than_allowed(void **state) {
    (void)state;
    struct token_detail allowed = {.credential = BYTES_LITERAL("c"),
                                   .models = {1, {BYTES_LITERAL("gpt-*")}},
                                   .max_tokens = 100};
    struct token_detail requested = {.credential = BYTES_LITERAL("d")}, granted;
    assert_int_equal(token_detail_narrow(&requested, &allowed, &granted).class, VLT_DENIED);
    requested = (struct token_detail){
        .credential = BYTES_LITERAL("c"),
        .models = {2, {BYTES_LITERAL("gpt-4"), BYTES_LITERAL("o3")}}};
    assert_int_equal(token_detail_narrow(&requested, &allowed, &granted).class, VLT_DENIED);
    requested = (struct token_detail){.credential = BYTES_LITERAL("c"), .max_tokens = 101};
    assert_int_equal(token_detail_narrow(&requested, &allowed, &granted).class, VLT_DENIED);
}

// ---- authorization_details ----

static vlt_result parse(const char *json, struct token_details *details) {
    struct fault fault = {0};
    return token_details_parse(bytes_of_text(json), &fault, details);
}

static void test_details_accepts_full_and_minimal(void **state) {
    (void)state;
    struct token_details details;
    assert_true(vlt_is_ok(parse(
        "[{\"type\":\"credential_use\",\"credential\":\"openai-prod\",\"methods\":[\"POST\"],"
        "\"paths\":[\"/v1/chat/completions\",\"/v1/*\"],\"models\":[\"gpt-*\"],"
        "\"tools\":[\"search\"],\"max_tokens\":4096},"
        "{\"type\":\"credential_use\",\"credential\":\"b\"}]",
        &details)));
    assert_int_equal(details.count, 2);
    assert_int_equal(details.items[0].paths.count, 2);
    assert_int_equal(details.items[0].max_tokens, 4096);
    assert_true(bytes_equal_text(details.items[1].credential, "b"));
    assert_int_equal(details.items[1].models.count, 0);
    token_details_done(&details);
}

#define USE(rest) "[{\"type\":\"credential_use\",\"credential\":\"c\"" rest "}]"
static const char *const bad_details[] = {
    "", "{}", "[]", "null", "[null]", "[[]]", "[{}]", "[{\"type\":\"model_call\"}]",
    "[{\"credential\":\"c\"}]", "[{\"type\":\"credential_use\"}]", USE(",\"x\":1"),
    USE(",\"credential\":\"c\""), USE(",\"methods\":\"POST\""), USE(",\"methods\":[]"),
    USE(",\"methods\":[\"post\"]"), USE(",\"methods\":[\"P*\"]"), USE(",\"methods\":[1]"),
    USE(",\"paths\":[\"v1\"]"), USE(",\"paths\":[\"/a/../b\"]"), USE(",\"paths\":[\"/*/b\"]"),
    USE(",\"paths\":[\"*\"]"), USE(",\"models\":[\"*-x\"]"), USE(",\"models\":[\"\"]"),
    USE(",\"models\":[\"a\\u0000b\"]"), USE(",\"tools\":{}"), USE(",\"max_tokens\":0"),
    USE(",\"max_tokens\":-1"), USE(",\"max_tokens\":\"1\""), USE(",\"max_tokens\":1.5"),
    "[{\"type\":\"credential_use\",\"credential\":\"../x\"}]",
    "[{\"type\":\"credential_use\",\"credential\":\"\"}]",
    "[{\"type\":\"credential_use\",\"credential\":1}]", USE("") " x",
    "[{\"type\":[[[[[]]]]]}]"};

static void test_details_rejects_everything_else(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_details / sizeof *bad_details; i++) {
        struct token_details details;
        struct fault fault = {0};
        vlt_result result = token_details_parse(bytes_of_text(bad_details[i]), &fault, &details);
        if (vlt_is_ok(result))
            fail_msg("accepted %s", bad_details[i]);
        assert_true(fault.text[0] != 0);
    }
}

static void test_details_rejects_too_many(void **state) {
    (void)state;
    struct token_details details;
    struct buf text;
    buf_init(&text, 65536);
    buf_put_byte(&text, '[');
    for (int i = 0; i <= TOKEN_DETAILS_MAX; i++)
        buf_put_format(&text, "%s{\"type\":\"credential_use\",\"credential\":\"c%d\"}",
                       i ? "," : "", i);
    buf_put_byte(&text, ']');
    assert_int_equal(token_details_parse(buf_bytes(&text), NULL, &details).class, VLT_LIMIT);
    buf_clear(&text);
    buf_put_text(&text, "[{\"type\":\"credential_use\",\"credential\":\"c\",\"models\":[");
    for (int i = 0; i <= TOKEN_LIST_MAX; i++)
        buf_put_format(&text, "%s\"m%d\"", i ? "," : "", i);
    buf_put_text(&text, "]}]");
    assert_int_equal(token_details_parse(buf_bytes(&text), NULL, &details).class, VLT_LIMIT);
    buf_done(&text);
}

static void test_details_survives_mutation(void **state) {
    (void)state;
    char text[] = USE(",\"paths\":[\"/v1/*\"],\"models\":[\"gpt-*\"],\"max_tokens\":5");
    struct token_details details;
    size_t size = sizeof text - 1;
    for (size_t cut = 0; cut < size; cut++)
        assert_false(vlt_is_ok(token_details_parse(bytes_of(text, cut), NULL, &details)));
    for (size_t bit = 0; bit < size * 8; bit++) {
        text[bit / 8] ^= (char)(1 << bit % 8);
        if (vlt_is_ok(token_details_parse(bytes_of(text, size), NULL, &details))) {
            assert_true(vlt_is_ok(token_detail_check(&details.items[0])));
            token_details_done(&details);
        }
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pattern_accepts_only_what_it_says),
        cmocka_unit_test(test_pattern_inside_agrees_with_matching),
        cmocka_unit_test(test_path_normal_rejects_ways_out),
        cmocka_unit_test(test_cover_accepts_use_inside),
        cmocka_unit_test(test_cover_rejects_use_outside),
        cmocka_unit_test(test_cover_accepts_numbers_up_to_the_limit),
        cmocka_unit_test(test_cover_accepts_the_detail_that_fits),
        cmocka_unit_test(test_narrow_accepts_inside_and_inherits),
        cmocka_unit_test(test_narrow_rejects_more_than_allowed),
        cmocka_unit_test(test_details_accepts_full_and_minimal),
        cmocka_unit_test(test_details_rejects_everything_else),
        cmocka_unit_test(test_details_rejects_too_many),
        cmocka_unit_test(test_details_survives_mutation),
    };
    return cmocka_run_group_tests_name("token_scope", tests, NULL, NULL);
}
