// SPDX-License-Identifier: Apache-2.0
// Times that people type, against the texts that entries of the log have.
#include <stdio.h>
#include <string.h>

#include "cli/timestamp.h"
#include "tests/unit/check.h"

static void is(const char *text, const char *normal) {
    char got[CLOCK_TEXT_SIZE] = "";
    vlt_result result = timestamp_normal(text, got);
    if (!vlt_is_ok(result) || strcmp(got, normal) != 0)
        print_error("%s gives \"%s\"\n", text, got);
    assert_true(vlt_is_ok(result));
    assert_string_equal(got, normal);
}

static void timestamp_accepts_times_and_their_beginnings(void **state) {
    is("2026", "2026-01-01T00:00:00.000Z");
    is("2026-11", "2026-11-01T00:00:00.000Z");
    is("2026-11-21", "2026-11-21T00:00:00.000Z");
    is("2026-11-21T10:30", "2026-11-21T10:30:00.000Z");
    is("2026-11-21T10:30:05", "2026-11-21T10:30:05.000Z");
    is("2026-11-21 10:30:05Z", "2026-11-21T10:30:05.000Z");
    is("2026-11-21t10:30:05.5z", "2026-11-21T10:30:05.500Z");
    is("2026-11-21T10:30:05.25+01:00", "2026-11-21T09:30:05.250Z");
    is("2026-01-01T00:15-00:30", "2026-01-01T00:45:00.000Z");
    is("2026-01-01T00:15+01:30", "2025-12-31T22:45:00.000Z");
    is("2024-02-29", "2024-02-29T00:00:00.000Z");
    is("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"); // a leap second
    // Entries have milliseconds: one of .123 was written before .1231.
    is("2026-11-21T10:30:05.1230000Z", "2026-11-21T10:30:05.123Z");
    is("2026-11-21T10:30:05.1230001Z", "2026-11-21T10:30:05.124Z");
    is("2026-12-31T23:59:59.9999Z", "2027-01-01T00:00:00.000Z");
}

// A bound without a fraction must not rule out what was written within its second.
static void timestamp_accepts_the_order_of_texts(void **state) {
    char bound[CLOCK_TEXT_SIZE], entry[CLOCK_TEXT_SIZE];
    assert_true(vlt_is_ok(timestamp_normal("2026-11-21T11:55:38Z", bound)));
    for (int64_t at = 1795262137998; at < 1795262138002; at++) {
        clock_text(at * 1000, entry);
        assert_int_equal(strcmp(entry, bound) >= 0, at >= 1795262138000);
    }
}

static void timestamp_rejects_what_is_no_time(void **state) {
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "2026-",
                                      "2026T10:30",
                                      "2026-11T10:30",
                                      "20261121",
                                      "2026-1",
                                      "2026-13",
                                      "2026-00",
                                      "2026-11-",
                                      "2026-11-00",
                                      "2026-11-32",
                                      "2026-02-29",
                                      "2026-04-31",
                                      "2026-11-21T",
                                      "2026-11-21T10",
                                      "2026-11-21T24:00",
                                      "2026-11-21T10:60",
                                      "2026-11-21T10:30:61",
                                      "2026-11-21T10:30:05.",
                                      "2026-11-21T10:30:05.x",
                                      "2026-11-21T10:30:05ZZ",
                                      "2026-11-21T10:30:05+1",
                                      "2026-11-21T10:30:05+01",
                                      "2026-11-21Z",
                                      "2026-11-21T10:30:05+0100",
                                      " 2026-11-21",
                                      "2026-11-21 ",
                                      "+2026-11-21",
                                      "1763690000",
                                      "0000-01-01",
                                      "12026-01-01",
                                      "9999-12-31T23:59:59.9995",
                                      "9999-12-31T23:59:59-00:01",
                                      "1970-01-01T00:00:00+00:01",
                                      "2026-11-21X10:30"};
    char got[CLOCK_TEXT_SIZE] = "untouched";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (vlt_is_ok(timestamp_normal(bad[i], got)))
            print_error("\"%s\" is taken as %s\n", bad[i], got);
        assert_string_equal(got, "untouched");
    }
}

static void timestamp_survives_any_text(void **state) {
    static const char good[] = "2026-11-21T10:30:05.123456789+01:00";
    char text[sizeof good], got[CLOCK_TEXT_SIZE];
    for (size_t at = 0; at < sizeof good - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, good, sizeof good);
            text[at] = (char)byte;
            if (vlt_is_ok(timestamp_normal(text, got)))
                assert_int_equal(strlen(got), 24);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamp_accepts_times_and_their_beginnings),
        cmocka_unit_test(timestamp_accepts_the_order_of_texts),
        cmocka_unit_test(timestamp_rejects_what_is_no_time),
        cmocka_unit_test(timestamp_survives_any_text),
    };
    return cmocka_run_group_tests_name("timestamp", tests, NULL, NULL);
}
