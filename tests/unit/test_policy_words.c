// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "tests/unit/check.h"
#include "vaultd/policy/policy_words.h"

static void words_accept_each_id_once(void **state) {
    char list[POLICY_WORDS_SIZE] = "", other[POLICY_WORDS_SIZE] = "b c a d";
    policy_words_add(list, BYTES_LITERAL("a"));
    policy_words_add(list, BYTES_LITERAL("b"));
    policy_words_add(list, BYTES_LITERAL("a"));
    policy_words_add(list, BYTES_LITERAL("aa"));
    assert_string_equal(list, "a b aa");
    policy_words_join(list, other);
    assert_string_equal(list, "a b aa c d");
    policy_words_join(list, "");
    assert_string_equal(list, "a b aa c d");
}

// An id is any text that a policy has in @id("…").
static void words_accept_ids_that_are_no_words(void **state) {
    char list[POLICY_WORDS_SIZE] = "", word[POLICY_WORDS_SIZE];
    policy_words_add(list, BYTES_LITERAL("the team uses"));
    policy_words_add(list, BYTES_LITERAL("the"));
    policy_words_add(list, BYTES_LITERAL("the team uses"));
    policy_words_add(list, BYTES_LITERAL("100%\n\x7f\xC3\xBC"));
    assert_string_equal(list, "the%20team%20uses the 100%25%0A%7F\xC3\xBC");
    assert_true(policy_word_of(BYTES_LITERAL("the team uses"), word));
    assert_string_equal(word, "the%20team%20uses");
    assert_true(policy_word_of(BYTES_LITERAL("the%20team%20uses"), word));
    assert_string_equal(word, "the%2520team%2520uses"); // no two ids have one word
}

// What has no room is not left out without a word.
static void words_survive_more_than_fits(void **state) {
    char list[POLICY_WORDS_SIZE] = "", word[POLICY_WORDS_SIZE] = "as it was";
    char id[32], huge[2 * POLICY_WORDS_SIZE], *last;
    for (int i = 0; i < 200; i++) {
        int size = snprintf(id, sizeof id, "policy number %d", i);
        policy_words_add(list, bytes_of(id, (size_t)size));
    }
    assert_true(strlen(list) < sizeof list);
    last = strrchr(list, ' ') + 1;
    assert_true(policy_word_is_rest(last));
    assert_false(policy_word_is_rest("policy"));
    *--last = 0;
    assert_null(strstr(list, "\xE2\x80\xA6")); // said once, and of whole ids only
    assert_int_equal(strncmp(strrchr(list, ' '), " policy%20number%20", 19), 0);
    memset(huge, 'x', sizeof huge);
    memset(list, 0, sizeof list);
    policy_words_add(list, bytes_of(huge, sizeof huge));
    policy_words_add(list, BYTES_LITERAL("a"));
    assert_string_equal(list, "\xE2\x80\xA6 a");
    assert_false(policy_word_of(bytes_of(huge, POLICY_WORDS_SIZE - 2), word));
    assert_string_equal(word, "as it was");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_accept_each_id_once),
        cmocka_unit_test(words_accept_ids_that_are_no_words),
        cmocka_unit_test(words_survive_more_than_fits),
    };
    return cmocka_run_group_tests_name("policy_words", tests, NULL, NULL);
}
