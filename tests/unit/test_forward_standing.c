// SPDX-License-Identifier: Apache-2.0
// POST /v1/standing as the forwarder writes and reads it.
#include <stdlib.h>

#include "forward/core/standing.h"
#include "libvault/base/jsontext.h"
#include "tests/unit/check.h"

#define ID BYTES_LITERAL("0123456789abcdef0123456789abcdef")

static void question_accepts_until_it_is_full(void **state) {
    static uint8_t room[STANDING_QUESTION_MAX];
    static const struct jsontext_limits limits = {.max_bytes = 65536, .max_depth = 4};
    static uint8_t long_grant[8192];
    struct bytes grants[] = {BYTES_LITERAL("g"), bytes_of(long_grant, sizeof long_grant)};
    memset(long_grant, 'x', sizeof long_grant);
    for (size_t which = 0; which < 2; which++) {
        struct standing_question question;
        standing_question_begin(&question, room);
        while (standing_question_add(&question, grants[which], ID))
            ;
        assert_true(question.count == (which ? 7 : STANDING_GRANTS_MAX));
        struct bytes text = standing_question_end(&question);
        assert_true(text.at >= room && text.at + text.size <= room + sizeof room);
        size_t body_at = bytes_find(text, '{');
        json_t *root = NULL;
        assert_true(vlt_is_ok(jsontext_parse(bytes_from(text, body_at), &limits, NULL, &root)));
        const json_t *list = json_object_get(root, "grants");
        assert_int_equal(json_array_size(list), question.count);
        const json_t *last = json_array_get(list, question.count - 1);
        assert_int_equal(json_string_length(json_object_get(last, "grant")), grants[which].size);
        assert_int_equal(json_string_length(json_object_get(last, "request_id")), 32);
        json_decref(root);
        static const char length[] = "content-length: ";
        const char *at = strstr((const char *)text.at, length);
        assert_non_null(at);
        assert_int_equal(strtoul(at + strlen(length), NULL, 10), text.size - body_at);
    }
}

static vlt_result parse(const char *text, size_t count, struct standing_answer *answer) {
    static char room[1024];
    memcpy(room, text, strlen(text));
    return standing_answer_parse((uint8_t *)room, strlen(text), count, answer);
}

static const char whole[] =
    "{\"standing\":12,\"ended\":[{\"index\":0,\"reason\":\"the token is revoked\"},"
    "{\"reason\":\"the tenant is disabled\",\"index\":3,\"later\":[1]}]}";

static void answer_accepts_what_was_agreed(void **state) {
    struct standing_answer answer;
    assert_true(vlt_is_ok(parse(whole, 4, &answer)));
    assert_int_equal(answer.ended_count, 2);
    assert_int_equal(answer.ended[0].index, 0);
    assert_int_equal(answer.ended[1].index, 3);
    assert_true(bytes_equal_text(answer.ended[1].reason, "the tenant is disabled"));
    assert_true(vlt_is_ok(parse("{\"ended\":[]}", 1, &answer)));
    assert_int_equal(answer.ended_count, 0);
}

static void answer_rejects_what_was_not_asked(void **state) {
    static const char *const bad[] = {
        "", "{}", "[]", "null", "{\"ended\":{}}", "{\"ended\":[7]}", "{\"ended\":[]} x",
        "{\"ended\":[{}]}", "{\"ended\":[{\"index\":0}]}", "{\"ended\":[{\"reason\":\"x\"}]}",
        "{\"ended\":[{\"index\":4,\"reason\":\"x\"}]}",
        "{\"ended\":[{\"index\":-1,\"reason\":\"x\"}]}",
        "{\"ended\":[{\"index\":1,\"reason\":\"x\"},{\"index\":1,\"reason\":\"x\"}]}",
        "{\"ended\":[{\"index\":1,\"reason\":\"x\"},{\"index\":0,\"reason\":\"x\"}]}",
        "{\"ended\":[{\"index\":0,\"reason\":\"\"}]}",
        "{\"ended\":[{\"index\":0,\"reason\":\"a\\nforged line\"}]}",
        "{\"ended\":[{\"index\":0,\"reason\":\"\\u00e9\"}]}"};
    struct standing_answer answer = {.ended_count = 77};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (vlt_is_ok(parse(bad[i], 4, &answer)))
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(answer.ended_count, 77);
}

static void answer_survives_mutation(void **state) {
    for (size_t at = 0; at < sizeof whole - 1; at++)
        for (unsigned change = 0; change < 9; change++) {
            size_t size = change == 8 ? at : sizeof whole - 1;
            uint8_t *room = malloc(size ? size : 1);
            struct standing_answer answer = {.ended_count = 0};
            memcpy(room, whole, size);
            if (change < 8)
                room[at] ^= (uint8_t)(1u << change);
            if (vlt_is_ok(standing_answer_parse(room, size, 4, &answer)))
                for (size_t i = 0; i < answer.ended_count; i++)
                    assert_true(answer.ended[i].index < 4 && answer.ended[i].reason.size > 0);
            free(room);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(question_accepts_until_it_is_full),
                                       cmocka_unit_test(answer_accepts_what_was_agreed),
                                       cmocka_unit_test(answer_rejects_what_was_not_asked),
                                       cmocka_unit_test(answer_survives_mutation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
