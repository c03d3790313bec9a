// SPDX-License-Identifier: Apache-2.0
// How many tokens a request may have produced: reads the members that a profile
// names out of a JSON body, byte by byte, inside of a model_scan, which knows the
// grammar and says where it stands.
//
// The largest of several limits counts, times the largest of the multipliers. What
// the provider might read as no limit (null, 0, -1, a list of prompts where one is
// expected) is none: better a request too many refused than one let through. What
// is no whole number at all, or could be read in two ways, is refused.
#ifndef VLT_FORWARD_LIMIT_SCAN_H
#define VLT_FORWARD_LIMIT_SCAN_H

#include "forward/core/profile.h"

#define LIMIT_SCAN_MAX (UINT64_C(1) << 53) // larger numbers are refused, a larger product is this

struct limit_scan {
    const struct profile_limit *limit; // NULL: nothing is counted
    const struct profile_limit_member *pending; // its value comes next, or is being read
    bool parent_is_pending, parent_is_open;
    bool is_unlimited; // something that may mean "no limit" was there
    unsigned seen;     // bit i: members[i]
    struct bytes parent; // the one that was there
    uint64_t value, most, times;
};

void limit_scan_init(struct limit_scan *scan, const struct profile_limit *limit);
// Each returns why the body must be refused, or NULL.
// The name of a member at level 1 (of the top object) or 2; is_variant: it was not spelled so,
// but some readers take it for this.
const char *limit_scan_key(struct limit_scan *scan, unsigned level, struct bytes key,
                           bool is_variant);
// The first byte of a value, when limit_scan_waits.
const char *limit_scan_value(struct limit_scan *scan, uint8_t first);
// Each byte of a number, the first too, while `pending`.
const char *limit_scan_digit(struct limit_scan *scan, uint8_t c);
// The number has ended.
void limit_scan_number_end(struct limit_scan *scan);

static inline bool limit_scan_waits(const struct limit_scan *scan) {
    return scan->pending || scan->parent_is_pending;
}

// 0: the body says no limit.
uint64_t limit_scan_tokens(const struct limit_scan *scan);

#endif
