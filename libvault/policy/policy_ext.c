// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_ext.h"

static const struct policy_ext functions[] = {
    {"ip", false, 1, policy_ext_ip},
    {"isIpv4", true, 1, policy_ext_is_ipv4},
    {"isIpv6", true, 1, policy_ext_is_ipv6},
    {"isLoopback", true, 1, policy_ext_is_loopback},
    {"isMulticast", true, 1, policy_ext_is_multicast},
    {"isInRange", true, 2, policy_ext_is_in_range},
    {"decimal", false, 1, policy_ext_decimal},
    {"lessThan", true, 2, policy_ext_less_than},
    {"lessThanOrEqual", true, 2, policy_ext_less_than_or_equal},
    {"greaterThan", true, 2, policy_ext_greater_than},
    {"greaterThanOrEqual", true, 2, policy_ext_greater_than_or_equal},
    {"datetime", false, 1, policy_ext_datetime},
    {"offset", true, 2, policy_ext_offset},
    {"durationSince", true, 2, policy_ext_duration_since},
    {"toDate", true, 1, policy_ext_to_date},
    {"toTime", true, 1, policy_ext_to_time},
    {"duration", false, 1, policy_ext_duration},
    {"toMilliseconds", true, 1, policy_ext_to_milliseconds},
    {"toSeconds", true, 1, policy_ext_to_seconds},
    {"toMinutes", true, 1, policy_ext_to_minutes},
    {"toHours", true, 1, policy_ext_to_hours},
    {"toDays", true, 1, policy_ext_to_days},
};

const struct policy_ext *policy_ext_at(size_t index) {
    return index < sizeof functions / sizeof *functions ? &functions[index] : NULL;
}

const struct policy_ext *policy_ext_find(struct bytes name) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (bytes_equal_text(name, functions[i].name))
            return &functions[i];
    return NULL;
}
