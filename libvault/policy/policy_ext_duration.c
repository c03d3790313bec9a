// SPDX-License-Identifier: Apache-2.0
// duration: a signed 64-bit number of milliseconds. Text: optional minus, then
// quantities with the units d h m s ms, each at most once, in this order.
#include "libvault/policy/policy_ext.h"

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

// The unit at `at`, counted from 0 for days; -1 for none. "m" is minutes only
// when no "s" follows.
static int unit_at(struct bytes text, size_t *at) {
    if (*at >= text.size)
        return -1;
    switch (text.at[(*at)++]) {
    case 'd':
        return 0;
    case 'h':
        return 1;
    case 'm':
        if (*at < text.size && text.at[*at] == 's') {
            (*at)++;
            return 4;
        }
        return 2;
    case 's':
        return 3;
    default:
        return -1;
    }
}

vlt_result policy_duration_parse(struct bytes text, int64_t *ret_ms) {
    static const int64_t unit_ms[] = {86400000, 3600000, 60000, 1000, 1};
    size_t at = text.size && text.at[0] == '-' ? 1 : 0;
    int sign = at ? -1 : 1;
    int64_t total = 0;
    int last_unit = -1;
    bool overflows = false;
    if (at == text.size)
        return vlt_fail(VLT_MALFORMED, "not a duration");
    while (at < text.size) {
        size_t begin = at;
        int64_t quantity = 0;
        for (; at < text.size && is_digit(text.at[at]); at++)
            overflows |= __builtin_mul_overflow(quantity, 10, &quantity) ||
                         __builtin_add_overflow(quantity, sign * (text.at[at] - '0'), &quantity);
        int unit = at > begin ? unit_at(text, &at) : -1;
        if (unit <= last_unit)
            return vlt_fail(VLT_MALFORMED, "not a duration like 1d2h3m4s5ms");
        last_unit = unit;
        overflows |= __builtin_mul_overflow(quantity, unit_ms[unit], &quantity) ||
                     __builtin_add_overflow(total, quantity, &total);
    }
    if (overflows)
        return vlt_fail(VLT_MALFORMED, "duration out of range");
    *ret_ms = total;
    return vlt_ok();
}

vlt_result policy_ext_duration(const struct policy_value *arguments, struct policy_arena *arena,
                               struct policy_value *ret_value) {
    if (arguments->kind != POLICY_STRING)
        return vlt_fail(VLT_MALFORMED, "duration() takes a string");
    int64_t ms;
    VLT_TRY(policy_duration_parse(arguments->string, &ms));
    *ret_value = policy_value_number(POLICY_DURATION, ms);
    return vlt_ok();
}

static vlt_result to_unit(const struct policy_value *value, int64_t unit_ms,
                          struct policy_value *ret_value) {
    if (value->kind != POLICY_DURATION)
        return vlt_fail(VLT_MALFORMED, "expected a duration");
    *ret_value = policy_value_number(POLICY_LONG, value->number / unit_ms);
    return vlt_ok();
}

vlt_result policy_ext_to_milliseconds(const struct policy_value *arguments,
                                      struct policy_arena *arena, struct policy_value *ret_value) {
    return to_unit(arguments, 1, ret_value);
}

vlt_result policy_ext_to_seconds(const struct policy_value *arguments, struct policy_arena *arena,
                                 struct policy_value *ret_value) {
    return to_unit(arguments, 1000, ret_value);
}

vlt_result policy_ext_to_minutes(const struct policy_value *arguments, struct policy_arena *arena,
                                 struct policy_value *ret_value) {
    return to_unit(arguments, 60000, ret_value);
}

vlt_result policy_ext_to_hours(const struct policy_value *arguments, struct policy_arena *arena,
                               struct policy_value *ret_value) {
    return to_unit(arguments, 3600000, ret_value);
}

vlt_result policy_ext_to_days(const struct policy_value *arguments, struct policy_arena *arena,
                              struct policy_value *ret_value) {
    return to_unit(arguments, 86400000, ret_value);
}
