// SPDX-License-Identifier: Apache-2.0
#include "cli/timestamp.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define YEAR_10000_US (INT64_C(253402300800) * 1000000)

// Exactly `digits` digits, from `min` to `max`.
static bool take_number(const char **at, int digits, int min, int max, int *ret_number) {
    int number = 0;
    for (int i = 0; i < digits; i++, ++*at) {
        if (!isdigit((unsigned char)**at))
            return false;
        number = number * 10 + (**at - '0');
    }
    if (number < min || number > max)
        return false;
    *ret_number = number;
    return true;
}

static bool take_one(const char **at, const char *allowed) {
    if (!**at || !strchr(allowed, **at))
        return false;
    ++*at;
    return true;
}

// "2026", "2026-11" or "2026-11-21".
static bool take_date(const char **at, struct tm *date) {
    date->tm_mday = 1;
    if (!take_number(at, 4, 1970, 9999, &date->tm_year))
        return false;
    date->tm_year -= 1900;
    if (!take_one(at, "-"))
        return true;
    if (!take_number(at, 2, 1, 12, &date->tm_mon))
        return false;
    date->tm_mon -= 1;
    return !take_one(at, "-") || take_number(at, 2, 1, 31, &date->tm_mday);
}

// The digits behind the point, in milliseconds, rounded up.
static bool take_fraction(const char **at, int *ret_ms) {
    int ms = 0, scale = 100;
    bool has_rest = false;
    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at); ++*at, scale /= 10) {
        ms += (**at - '0') * scale;
        has_rest = has_rest || (scale == 0 && **at != '0');
    }
    *ret_ms = ms + has_rest;
    return true;
}

// "10:30", "10:30:05" or "10:30:05.25".
static bool take_clock(const char **at, struct tm *date, int *ret_ms) {
    if (!take_number(at, 2, 0, 23, &date->tm_hour) || !take_one(at, ":") ||
        !take_number(at, 2, 0, 59, &date->tm_min))
        return false;
    if (!take_one(at, ":"))
        return true;
    return take_number(at, 2, 0, 60, &date->tm_sec) &&
           (!take_one(at, ".") || take_fraction(at, ret_ms));
}

// "", "Z" or "+01:30".
static bool take_zone(const char **at, int *ret_offset_s) {
    int hours, minutes, sign = **at == '-' ? -1 : 1;
    if (!**at || take_one(at, "Zz"))
        return true;
    if (!take_one(at, "+-") || !take_number(at, 2, 0, 23, &hours) || !take_one(at, ":") ||
        !take_number(at, 2, 0, 59, &minutes))
        return false;
    *ret_offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

vlt_result timestamp_normal(const char *text, char ret_text[CLOCK_TEXT_SIZE]) {
    const char *at = text;
    struct tm date = {0};
    int ms = 0, offset_s = 0;
    bool is_good = take_date(&at, &date);
    int day = date.tm_mday;
    if (is_good && at - text == sizeof "2026-11-21" - 1 && take_one(&at, "Tt "))
        is_good = take_clock(&at, &date, &ms) && take_zone(&at, &offset_s);
    if (!is_good || *at)
        return vlt_fail(VLT_MALFORMED, "not a time");
    bool is_leap_second = date.tm_sec == 60;
    time_t seconds = timegm(&date); // turns February 30 into March
    if (date.tm_mday != day && !is_leap_second)
        return vlt_fail(VLT_MALFORMED, "not a day of the calendar");
    int64_t at_us = ((int64_t)seconds - offset_s) * 1000000 + (int64_t)ms * 1000;
    if (at_us < 0 || at_us >= YEAR_10000_US) // their texts would not be in the order of times
        return vlt_fail(VLT_MALFORMED, "not between the years 1970 and 9999");
    clock_text(at_us, ret_text);
    return vlt_ok();
}
