// SPDX-License-Identifier: Apache-2.0
// How many tokens an answer cost, as the provider says in it: finds the members that a profile
// names in JSON (RFC 8259) or in server-sent events whose data is JSON (WHATWG HTML, section
// 9.2), while the answer passes in pieces of any size. Fixed memory, one pass.
//
// A member counts where the profile places it, and at no other depth; what stands in a text is
// text. Values are whole numbers up to USAGE_SCAN_MAX; everything else (null, fractions,
// exponents, signs, texts) is passed over. What is said last counts: providers that say a number
// more than once in a stream say it up to there. Names may be spelled with escapes; one with a
// character beyond the basic plane in this way is no name of ours. A byte order mark at the
// beginning is passed over, as readers of JSON may (RFC 8259 section 8.1) and of events must.
//
// It does not judge the answer: inside of objects that hold no counts only texts and brackets
// are looked at. Where the outer ones are not JSON, counting ends, for events until the next one.
//
// Caller: the nginx module. Not thread-safe, no allocation, nothing can fail.
#ifndef VLT_FORWARD_USAGE_SCAN_H
#define VLT_FORWARD_USAGE_SCAN_H

#include "forward/core/profile.h"

#define USAGE_SCAN_MAX (UINT64_C(1) << 53) // larger numbers are passed over

struct usage_scan {
    // What is read now; inside of usage_scan.c.
    const struct profile_usage *usage;
    bool is_events, after_cr;
    uint8_t mark; // how much of a byte order mark stood at the beginning; its size: that is over
    uint8_t line, state;
    uint8_t escape_digits; // of \uXXXX in a name: that were read
    unsigned escape_code;  // what they say
    bool in_list;                               // the answer is a list of objects
    unsigned level;                             // of open objects that may hold counts
    unsigned open[PROFILE_USAGE_DEPTH_MAX + 2]; // by level: bit i: objects[i] is this, or inside
    unsigned pending;                           // as above: what the value to come is
    const struct profile_usage_member *member;  // of which the value to come is, or is read
    uint64_t skipped;                           // open containers that hold no counts
    uint64_t value;
    uint8_t key[PROFILE_NAME_MAX];
    size_t key_size; // beyond the room: no name of ours
    // What was found.
    unsigned seen; // bit i: counts[i]
    uint64_t counts[PROFILE_USAGE_COUNTS_MAX];
};

// `usage` is borrowed. is_events: text/event-stream, else JSON.
void usage_scan_init(struct usage_scan *scan, const struct profile_usage *usage, bool is_events);
void usage_scan_feed(struct usage_scan *scan, struct bytes piece);
// At any time: so far. False: the answer did not say.
bool usage_scan_input(const struct usage_scan *scan, uint64_t *ret_tokens);
bool usage_scan_output(const struct usage_scan *scan, uint64_t *ret_tokens);

#endif
