// SPDX-License-Identifier: Apache-2.0
// decimal: a 64-bit number of ten-thousandths. Text: optional minus, digits, a
// point, one to four digits.
#include "libvault/policy/policy_ext.h"

#define FRACTION_DIGITS 4
#define SCALE 10000

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

vlt_result policy_decimal_parse(struct bytes text, int64_t *ret_scaled) {
    size_t at = text.size && text.at[0] == '-' ? 1 : 0;
    int sign = at ? -1 : 1; // digits are added with their sign: the minimum has no positive twin
    size_t begin = at;
    int64_t value = 0;
    bool overflows = false;
    for (; at < text.size && is_digit(text.at[at]); at++)
        overflows |= __builtin_mul_overflow(value, 10, &value) ||
                     __builtin_add_overflow(value, sign * (text.at[at] - '0'), &value);
    if (at == begin || at == text.size || text.at[at++] != '.')
        return vlt_fail(VLT_MALFORMED, "not a decimal");
    int64_t fraction = 0;
    size_t digits = 0;
    for (; at < text.size && is_digit(text.at[at]) && digits < FRACTION_DIGITS; at++, digits++)
        fraction = fraction * 10 + (text.at[at] - '0');
    if (digits == 0 || at != text.size)
        return vlt_fail(VLT_MALFORMED, "not a decimal of one to four places");
    for (; digits < FRACTION_DIGITS; digits++)
        fraction *= 10;
    overflows |= __builtin_mul_overflow(value, SCALE, &value) ||
                 __builtin_add_overflow(value, sign * fraction, &value);
    if (overflows)
        return vlt_fail(VLT_MALFORMED, "decimal out of range");
    *ret_scaled = value;
    return vlt_ok();
}

vlt_result policy_ext_decimal(const struct policy_value *arguments, struct policy_arena *arena,
                              struct policy_value *ret_value) {
    if (arguments->kind != POLICY_STRING)
        return vlt_fail(VLT_MALFORMED, "decimal() takes a string");
    int64_t scaled;
    VLT_TRY(policy_decimal_parse(arguments->string, &scaled));
    *ret_value = policy_value_number(POLICY_DECIMAL, scaled);
    return vlt_ok();
}

static vlt_result compare_decimals(const struct policy_value *arguments, int *ret_order) {
    const struct policy_value *a = &arguments[0], *b = &arguments[1];
    if (a->kind != POLICY_DECIMAL || b->kind != POLICY_DECIMAL)
        return vlt_fail(VLT_MALFORMED, "expected a decimal");
    *ret_order = (a->number > b->number) - (a->number < b->number);
    return vlt_ok();
}

vlt_result policy_ext_less_than(const struct policy_value *arguments, struct policy_arena *arena,
                                struct policy_value *ret_value) {
    int order;
    VLT_TRY(compare_decimals(arguments, &order));
    *ret_value = policy_value_bool(order < 0);
    return vlt_ok();
}

vlt_result policy_ext_less_than_or_equal(const struct policy_value *arguments,
                                         struct policy_arena *arena,
                                         struct policy_value *ret_value) {
    int order;
    VLT_TRY(compare_decimals(arguments, &order));
    *ret_value = policy_value_bool(order <= 0);
    return vlt_ok();
}

vlt_result policy_ext_greater_than(const struct policy_value *arguments, struct policy_arena *arena,
                                   struct policy_value *ret_value) {
    int order;
    VLT_TRY(compare_decimals(arguments, &order));
    *ret_value = policy_value_bool(order > 0);
    return vlt_ok();
}

vlt_result policy_ext_greater_than_or_equal(const struct policy_value *arguments,
                                            struct policy_arena *arena,
                                            struct policy_value *ret_value) {
    int order;
    VLT_TRY(compare_decimals(arguments, &order));
    *ret_value = policy_value_bool(order >= 0);
    return vlt_ok();
}
