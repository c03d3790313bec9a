// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "tests/unit/check.h"
#include "vaultd/redeemer/verdict_memo.h"

static const uint8_t token_sha256[32] = {1, 2, 3};

static struct verdict_question question(void) {
    return (struct verdict_question){
        token_sha256, BYTES_LITERAL("edge"), BYTES_LITERAL("10.1.2.3"), BYTES_LITERAL("POST"),
        BYTES_LITERAL("api.openai.com"), BYTES_LITERAL("/v1/chat/completions"),
        BYTES_LITERAL("gpt-4o"), BYTES_LITERAL(""), 0};
}

static const struct verdict permitted = {.credential = "openai-prod", .policies = "p1 p2",
                                         .policy_set = "hash", .model_required = true,
                                         .numbers = {0, UINT64_MAX}};

static int setup(void **state) {
    *state = verdict_memo_new();
    return *state ? 0 : -1;
}
static int teardown(void **state) {
    verdict_memo_free(*state);
    return 0;
}

static void finds_what_was_kept_accepts_the_same_question(void **state) {
    const struct verdict_question q = question();
    struct verdict found = {0};
    assert_false(verdict_memo_find(*state, &q, 7, &found));
    verdict_memo_keep(*state, &q, 7, &permitted);
    assert_true(verdict_memo_find(*state, &q, 7, &found));
    assert_memory_equal(&found, &permitted, sizeof found);
}

// Every part of the question, changed by itself, makes it another question.
static void any_other_part_rejects_the_verdict(void **state) {
    const uint8_t other_token[32] = {1, 2, 4};
    const struct bytes other = BYTES_LITERAL("other");
    struct verdict found;
    struct verdict_question kept = question();
    verdict_memo_keep(*state, &kept, 7, &permitted);
    struct verdict_question asked[8];
    for (size_t i = 0; i < 8; i++)
        asked[i] = kept;
    asked[0].token_sha256 = other_token;
    asked[1].forwarder = other;
    asked[2].source = other;
    asked[3].method = other;
    asked[4].host = other;
    asked[5].path = other;
    asked[6].model = other;
    asked[7].tool = other;
    for (size_t i = 0; i < 8; i++)
        assert_false(verdict_memo_find(*state, &asked[i], 7, &found));
}

// max_tokens is no part of the key: the verdict says for which numbers it holds.
static void numbers_inside_accepts_and_others_rejects_the_verdict(void **state) {
    static const struct {
        struct verdict_numbers holds;
        uint64_t asked;
        bool is_found;
    } cases[] = {{{0, UINT64_MAX}, 0, true},
                 {{0, UINT64_MAX}, UINT64_MAX, true},
                 {{1, 100}, 0, false},
                 {{1, 100}, 1, true},
                 {{1, 100}, 100, true},
                 {{1, 100}, 101, false},
                 {{64, 64}, 63, false},
                 {{64, 64}, 64, true},
                 {{64, 64}, 65, false},
                 {{0, 0}, 0, true},
                 {{0, 0}, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct verdict verdict = permitted, found;
        struct verdict_question q = question();
        verdict.numbers = cases[i].holds;
        q.max_tokens = 64; // whatever it was asked with
        verdict_memo_keep(*state, &q, 7, &verdict);
        q.max_tokens = cases[i].asked;
        assert_int_equal(verdict_memo_find(*state, &q, 7, &found), cases[i].is_found);
    }
}

// Bytes that move from one part to the next must not make the same key.
static void shifted_parts_rejects_the_verdict(void **state) {
    struct verdict found;
    struct verdict_question kept = question(), shifted = question();
    kept.model = BYTES_LITERAL("ab");
    kept.tool = BYTES_LITERAL("c");
    shifted.model = BYTES_LITERAL("a");
    shifted.tool = BYTES_LITERAL("bc");
    verdict_memo_keep(*state, &kept, 7, &permitted);
    assert_false(verdict_memo_find(*state, &shifted, 7, &found));
}

static void a_commit_rejects_every_verdict_before_it(void **state) {
    const struct verdict_question q = question();
    struct verdict found;
    verdict_memo_keep(*state, &q, 7, &permitted);
    assert_false(verdict_memo_find(*state, &q, 8, &found));
    assert_false(verdict_memo_find(*state, &q, 6, &found));
    verdict_memo_keep(*state, &q, 0, &permitted); // no store yet
    assert_false(verdict_memo_find(*state, &q, 0, &found));
}

static void a_question_that_is_too_long_survives_unkept(void **state) {
    static uint8_t path[4096];
    struct verdict found;
    memset(path, 'a', sizeof path);
    struct verdict_question q = question();
    q.path = bytes_of(path, sizeof path);
    verdict_memo_keep(*state, &q, 7, &permitted);
    assert_false(verdict_memo_find(*state, &q, 7, &found));
}

static void many_questions_survives_with_the_newest(void **state) {
    char path[32];
    struct verdict found;
    struct verdict_question q = question();
    for (unsigned i = 0; i < 5000; i++) {
        struct verdict verdict = permitted;
        size_t size = 0;
        for (unsigned n = i; size == 0 || n; n /= 10)
            path[size++] = (char)('0' + n % 10);
        q.path = bytes_of(path, size);
        memcpy(verdict.credential, path, size);
        verdict.credential[size] = 0;
        verdict_memo_keep(*state, &q, 7, &verdict);
        assert_true(verdict_memo_find(*state, &q, 7, &found));
        assert_string_equal(found.credential, verdict.credential);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_what_was_kept_accepts_the_same_question, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(any_other_part_rejects_the_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_inside_accepts_and_others_rejects_the_verdict,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(shifted_parts_rejects_the_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_rejects_every_verdict_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_that_is_too_long_survives_unkept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_questions_survives_with_the_newest, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
