// SPDX-License-Identifier: Apache-2.0
// datetime: milliseconds since 1970 in a 64-bit number. Five texts:
// YYYY-MM-DD, and with Thh:mm:ss then Z, .SSSZ, (+|-)hhmm or .SSS(+|-)hhmm.
// No leap second, no year before 0000 or after 9999 in the text.
#include "libvault/policy/policy_ext.h"

#define DAY_MS INT64_C(86400000)

struct scan {
    struct bytes text;
    size_t at;
    bool failed;
};

static bool scan_sees(const struct scan *scan, char c) {
    return scan->at < scan->text.size && scan->text.at[scan->at] == (uint8_t)c;
}

static void scan_char(struct scan *scan, char c) {
    if (scan_sees(scan, c))
        scan->at++;
    else
        scan->failed = true;
}

static int scan_digits(struct scan *scan, int count) {
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (scan->at >= scan->text.size || scan->text.at[scan->at] < '0' ||
            scan->text.at[scan->at] > '9') {
            scan->failed = true;
            return 0;
        }
        value = value * 10 + (scan->text.at[scan->at++] - '0');
    }
    return value;
}

static int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

// Days since 1970-01-01 in the proleptic Gregorian calendar, counting years
// from March so that the leap day is the last of its year.
static int64_t days_from_civil(int year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static bool scan_date(struct scan *scan, int64_t *ret_ms) {
    int year = scan_digits(scan, 4);
    scan_char(scan, '-');
    int month = scan_digits(scan, 2);
    scan_char(scan, '-');
    int day = scan_digits(scan, 2);
    if (scan->failed || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ret_ms = days_from_civil(year, month, day) * DAY_MS;
    return true;
}

static bool scan_time(struct scan *scan, int64_t *ret_ms) {
    scan_char(scan, 'T');
    int hour = scan_digits(scan, 2);
    scan_char(scan, ':');
    int minute = scan_digits(scan, 2);
    scan_char(scan, ':');
    int second = scan_digits(scan, 2);
    int ms = 0;
    if (scan_sees(scan, '.')) {
        scan->at++;
        ms = scan_digits(scan, 3);
    }
    if (scan->failed || hour > 23 || minute > 59 || second > 59)
        return false;
    *ret_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + ms;
    return true;
}

static bool scan_zone(struct scan *scan, int64_t *ret_ms) {
    if (scan_sees(scan, 'Z')) {
        scan->at++;
        *ret_ms = 0;
        return true;
    }
    int sign = scan_sees(scan, '-') ? -1 : 1;
    if (sign > 0)
        scan_char(scan, '+');
    else
        scan->at++;
    int hours = scan_digits(scan, 2), minutes = scan_digits(scan, 2);
    if (scan->failed || hours > 23 || minutes > 59)
        return false;
    *ret_ms = sign * (hours * 60 + minutes) * INT64_C(60000);
    return true;
}

vlt_result policy_datetime_parse(struct bytes text, int64_t *ret_epoch_ms) {
    struct scan scan = {.text = text};
    int64_t date, time = 0, zone = 0;
    if (!scan_date(&scan, &date))
        return vlt_fail(VLT_MALFORMED, "not a datetime: expected a date YYYY-MM-DD");
    if (scan.at < text.size &&
        (!scan_time(&scan, &time) || !scan_zone(&scan, &zone) || scan.at != text.size))
        return vlt_fail(VLT_MALFORMED, "not a datetime: expected Thh:mm:ss[.SSS](Z|+hhmm|-hhmm)");
    *ret_epoch_ms = date + time - zone;
    return vlt_ok();
}

vlt_result policy_ext_datetime(const struct policy_value *arguments, struct policy_arena *arena,
                               struct policy_value *ret_value) {
    if (arguments->kind != POLICY_STRING)
        return vlt_fail(VLT_MALFORMED, "datetime() takes a string");
    int64_t ms;
    VLT_TRY(policy_datetime_parse(arguments->string, &ms));
    *ret_value = policy_value_number(POLICY_DATETIME, ms);
    return vlt_ok();
}

static vlt_result want(const struct policy_value *value, enum policy_kind kind) {
    if (value->kind != kind)
        return vlt_fail(VLT_MALFORMED,
                        kind == POLICY_DATETIME ? "expected a datetime" : "expected a duration");
    return vlt_ok();
}

vlt_result policy_ext_offset(const struct policy_value *arguments, struct policy_arena *arena,
                             struct policy_value *ret_value) {
    VLT_TRY(want(&arguments[0], POLICY_DATETIME));
    VLT_TRY(want(&arguments[1], POLICY_DURATION));
    int64_t sum;
    if (__builtin_add_overflow(arguments[0].number, arguments[1].number, &sum))
        return vlt_fail(VLT_MALFORMED, "datetime out of range");
    *ret_value = policy_value_number(POLICY_DATETIME, sum);
    return vlt_ok();
}

vlt_result policy_ext_duration_since(const struct policy_value *arguments,
                                     struct policy_arena *arena, struct policy_value *ret_value) {
    VLT_TRY(want(&arguments[0], POLICY_DATETIME));
    VLT_TRY(want(&arguments[1], POLICY_DATETIME));
    int64_t difference;
    if (__builtin_sub_overflow(arguments[0].number, arguments[1].number, &difference))
        return vlt_fail(VLT_MALFORMED, "duration out of range");
    *ret_value = policy_value_number(POLICY_DURATION, difference);
    return vlt_ok();
}

// The time of day is never negative, also before 1970.
static int64_t time_of_day(int64_t ms) {
    int64_t rest = ms % DAY_MS;
    return rest < 0 ? rest + DAY_MS : rest;
}

vlt_result policy_ext_to_date(const struct policy_value *arguments, struct policy_arena *arena,
                              struct policy_value *ret_value) {
    VLT_TRY(want(arguments, POLICY_DATETIME));
    int64_t midnight;
    if (__builtin_sub_overflow(arguments->number, time_of_day(arguments->number), &midnight))
        return vlt_fail(VLT_MALFORMED, "datetime out of range");
    *ret_value = policy_value_number(POLICY_DATETIME, midnight);
    return vlt_ok();
}

vlt_result policy_ext_to_time(const struct policy_value *arguments, struct policy_arena *arena,
                              struct policy_value *ret_value) {
    VLT_TRY(want(arguments, POLICY_DATETIME));
    *ret_value = policy_value_number(POLICY_DURATION, time_of_day(arguments->number));
    return vlt_ok();
}
