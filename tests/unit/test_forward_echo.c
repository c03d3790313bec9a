// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "forward/core/echo_scan.h"
#include "tests/unit/check.h"

#define SECRET "sk-live/a+b\"c\\d"
#define ROOM 4096

struct stream {
    struct echo_scan scan;
    uint8_t forms[2][ROOM], room[ROOM];
    char out[1 << 16];
    size_t size;
};

static void stream_open(struct stream *s, const char *const *secrets, size_t count) {
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < count; i++) {
        struct bytes secret = bytes_of_text(secrets[i]);
        assert_true(echo_forms_room(secret) <= ROOM);
        echo_scan_add(&s->scan, secret, s->forms[i]);
    }
    assert_true(echo_stream_room(&s->scan) <= ROOM);
    echo_scan_begin(&s->scan, s->room);
}

static void put(struct stream *s, struct bytes part) {
    if (part.size)
        memcpy(s->out + s->size, part.at, part.size);
    s->size += part.size;
}

static void feed(struct stream *s, const char *at, size_t size, bool is_last) {
    uint8_t *piece = malloc(size + 1); // its own, so that a sanitizer sees its end
    struct bytes before;
    size_t passed;
    memcpy(piece, at, size);
    echo_feed(&s->scan, piece, size, is_last, &before, &passed);
    assert_true(passed <= size);
    put(s, before);
    put(s, bytes_of(piece, passed));
    free(piece);
}

// In pieces of each size: the same comes out, and as much as went in.
static void check(const char *const *secrets, size_t count, const char *text,
                  const char *expected) {
    size_t size = strlen(text);
    for (size_t step = 1; step <= size + 1; step++)
        for (int has_end = 0; has_end < 2; has_end++) { // a last piece that is empty
            static struct stream s;
            stream_open(&s, secrets, count);
            for (size_t i = 0; i < size; i += step)
                feed(&s, text + i, size - i < step ? size - i : step, !has_end && i + step >= size);
            if (has_end || !size)
                feed(&s, "", 0, true);
            s.out[s.size] = 0;
            assert_string_equal(s.out, expected);
        }
}

static void echo_covers_each_form(void **state) {
    static const char *const secret[] = {SECRET}, *const key[] = {"0123456789abcdef"};
    static const char *const spaced[] = {"  first secret "};
    check(secret, 1, "Bearer " SECRET ".", "Bearer ***************.");
    check(secret, 1, "?key=sk-live%2Fa%2Bb%22c%5Cd&", "?key=***********************&");
    check(secret, 1, "?key=sk-live%2fa%2bb%22c%5cd&", "?key=***********************&");
    check(secret, 1, "{\"k\":\"sk-live/a+b\\\"c\\\\d\"}", "{\"k\":\"*****************\"}");
    check(secret, 1, "{\"k\":\"sk-live\\/a+b\\\"c\\\\d\"}", "{\"k\":\"******************\"}");
    check(key, 1, "0123456789abcdef0123456789abcdef", "********************************");
    check(key, 1, "00123456789abcdef", "0****************");
    check(key, 1, "01234560123456789abcdef", "0123456****************");
    check(spaced, 1, "[\"first secret\"]", "[\"************\"]"); // as a header's reader sees it
    check(spaced, 1, "Bearer   first secret \n", "Bearer   ************ \n");
}

static void echo_lets_everything_else_pass(void **state) {
    static const char *const secret[] = {SECRET}, *const doubled[] = {"abababab"};
    static const char *const same[] = {"", "sk-live/a+b\"c\\", "sk-live/a+b\"c\\D", "s",
                                       "sk-live", "sk-livesk-live", "data: s\n\ndata: sk-l\n\n"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        check(secret, 1, same[i], same[i]);
    static struct stream empty;
    struct bytes before;
    size_t size = 1;
    stream_open(&empty, secret, 1);
    echo_feed(&empty.scan, NULL, 0, true, &before, &size); // an end, and nothing was held back
    assert_int_equal(before.size + size, 0);
    check(doubled, 1, "ababab", "ababab");
    check(doubled, 1, "aabababab", "a********");
    check(doubled, 1, "ababababab", "********ab");
}

static void echo_covers_several_and_no_short_ones(void **state) {
    static const char *const two[] = {"first-secret", "2nd/secret"};
    static const char *const one_short[] = {"first-secret", "1234567"};
    check(two, 2, "2nd/secretfirst-secret2nd%2Fsecret", "**********************************");
    check(one_short, 2, "1234567 first-secret", "1234567 ************");
    struct echo_scan none = {0};
    uint8_t room[ROOM];
    echo_scan_add(&none, BYTES_LITERAL("1234567"), room);
    assert_int_equal(none.count, 0);
}

// What an event ends with is no part of a key: it is there at once. Else it does not depend on
// the key what is held back.
static void echo_holds_back_what_any_key_could_begin_with(void **state) {
    static const char *const key[] = {"sk-0123456789"};
    static const char *const ends[] = {"sk-01234", "sk-01235", "........"};
    static struct stream s;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        stream_open(&s, key, 1);
        feed(&s, "data: {\"x\":1}\n\n", 15, false);
        assert_int_equal(s.size, 15);
        feed(&s, "data: {\"x\":1}\n", 14, false);
        assert_int_equal(s.size, 29);
        feed(&s, ends[i], 8, false);
        assert_int_equal(s.size, 29);
        feed(&s, ends[i], 8, false);
        assert_int_equal(s.size, 29 + 16 - 12);
        feed(&s, "\n", 1, false);
        assert_int_equal(s.size, 29 + 16 + 1);
        assert_int_equal(s.scan.covered, 0);
    }
    feed(&s, "sk-0123456789", 13, false);
    assert_int_equal(s.scan.covered, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_covers_each_form),
        cmocka_unit_test(echo_lets_everything_else_pass),
        cmocka_unit_test(echo_covers_several_and_no_short_ones),
        cmocka_unit_test(echo_holds_back_what_any_key_could_begin_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
