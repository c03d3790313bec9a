// SPDX-License-Identifier: Apache-2.0
// The extension functions of Cedar: ipaddr, decimal, datetime, duration.
// Constructors take one string and refuse what the specification refuses;
// methods take values of their own type.
#ifndef VLT_POLICY_POLICY_EXT_H
#define VLT_POLICY_POLICY_EXT_H

#include "libvault/base/result.h"
#include "libvault/policy/policy_value.h"

#define POLICY_EXT_ARGUMENTS_MAX 2

// `arguments` are as many as the table says, of any kind: the function checks
// the kinds. `arena` for values that are larger than a number.
typedef vlt_result policy_ext_fn(const struct policy_value *arguments, struct policy_arena *arena,
                                 struct policy_value *ret_value);

struct policy_ext {
    const char *name;
    bool is_method;      // x.name(…): x is the first argument
    unsigned arguments;  // with x
    policy_ext_fn *call;
};

// NULL when there is no such function.
const struct policy_ext *policy_ext_find(struct bytes name);
// The i-th function of the table, NULL at the end (for suggestions and tests).
const struct policy_ext *policy_ext_at(size_t index);

// The constructors' parsers, for requests that are built from C. VLT_MALFORMED.
vlt_result policy_ip_parse(struct bytes text, struct policy_ip *ret_ip) VLT_MUST_USE;
vlt_result policy_decimal_parse(struct bytes text, int64_t *ret_scaled) VLT_MUST_USE;
vlt_result policy_datetime_parse(struct bytes text, int64_t *ret_epoch_ms) VLT_MUST_USE;
vlt_result policy_duration_parse(struct bytes text, int64_t *ret_ms) VLT_MUST_USE;

// One file for each type; policy_ext.c lists them.
policy_ext_fn policy_ext_ip, policy_ext_is_ipv4, policy_ext_is_ipv6, policy_ext_is_loopback,
    policy_ext_is_multicast, policy_ext_is_in_range;
policy_ext_fn policy_ext_decimal, policy_ext_less_than, policy_ext_less_than_or_equal,
    policy_ext_greater_than, policy_ext_greater_than_or_equal;
policy_ext_fn policy_ext_datetime, policy_ext_offset, policy_ext_duration_since,
    policy_ext_to_date, policy_ext_to_time;
policy_ext_fn policy_ext_duration, policy_ext_to_milliseconds, policy_ext_to_seconds,
    policy_ext_to_minutes, policy_ext_to_hours, policy_ext_to_days;

#endif
