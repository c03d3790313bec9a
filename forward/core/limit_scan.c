// SPDX-License-Identifier: Apache-2.0
#include "forward/core/limit_scan.h"

static const char wrong_type[] = "a limit in the body is not a whole number",
                  twice[] = "the body has the same member twice";

void limit_scan_init(struct limit_scan *scan, const struct profile_limit *limit) {
    *scan = (struct limit_scan){.limit = limit, .times = 1};
}

// ---- Names ----

// Two spellings of one object are two objects to one reader and one to another.
static const char *parent_begin(struct limit_scan *scan, struct bytes parent) {
    if (scan->parent_is_pending)
        return NULL; // several members of it are watched
    if (scan->parent.size)
        return twice;
    scan->parent = parent;
    scan->parent_is_pending = true;
    return NULL;
}

static const char *member_begin(struct limit_scan *scan, size_t index) {
    if (scan->seen & 1u << index)
        return twice;
    scan->seen |= 1u << index;
    scan->pending = &scan->limit->members[index];
    return NULL;
}

// Is the member, or the object that it is in, one of this level?
static bool is_here(const struct limit_scan *scan, const struct profile_limit_member *member,
                    unsigned level) {
    return level == 1 || (scan->parent_is_open && bytes_equal(member->parent, scan->parent));
}

const char *limit_scan_key(struct limit_scan *scan, unsigned level, struct bytes key,
                           bool is_variant) {
    const char *refused = NULL;
    for (size_t i = 0; scan->limit && i < scan->limit->member_count && !refused; i++) {
        const struct profile_limit_member *member = &scan->limit->members[i];
        bool is_parent = level == 1 && member->parent.size;
        struct bytes name = is_parent ? member->parent : member->member;
        if (key.size != name.size || !is_here(scan, member, level) ||
            !bytes_equal_nocase(key, name))
            continue;
        if (is_variant || !bytes_equal(key, name))
            refused = "the body has a member that differs from a known one in case only";
        else
            refused = is_parent ? parent_begin(scan, name) : member_begin(scan, i);
    }
    return refused;
}

// ---- Values ----

static const char *parent_value(struct limit_scan *scan, uint8_t first) {
    scan->parent_is_pending = false;
    scan->parent_is_open = first == '{';
    return first == '{' || first == 'n' ? NULL : "a member of the body has the wrong type";
}

const char *limit_scan_value(struct limit_scan *scan, uint8_t first) {
    if (scan->parent_is_pending)
        return parent_value(scan, first);
    enum profile_limit_use use = scan->pending->use;
    bool is_number = first >= '0' && first <= '9' && use != PROFILE_LIMIT_SINGLE;
    scan->value = 0;
    if (is_number)
        return NULL;
    scan->pending = NULL;
    bool may_be_none = first == 'n' || (first == '-' && use == PROFILE_LIMIT_MOST);
    if ((use == PROFILE_LIMIT_MOST && may_be_none) ||
        (use == PROFILE_LIMIT_SINGLE && first == '['))
        scan->is_unlimited = true;
    return use == PROFILE_LIMIT_SINGLE || may_be_none ? NULL : wrong_type;
}

const char *limit_scan_digit(struct limit_scan *scan, uint8_t c) {
    if (c < '0' || c > '9')
        return wrong_type;
    scan->value = scan->value * 10 + (uint64_t)(c - '0');
    return scan->value > LIMIT_SCAN_MAX ? "a limit in the body is too large" : NULL;
}

void limit_scan_number_end(struct limit_scan *scan) {
    uint64_t *largest = scan->pending->use == PROFILE_LIMIT_MOST ? &scan->most : &scan->times;
    if (scan->value > *largest)
        *largest = scan->value;
    if (scan->pending->use == PROFILE_LIMIT_MOST && scan->value == 0)
        scan->is_unlimited = true;
    scan->pending = NULL;
}

uint64_t limit_scan_tokens(const struct limit_scan *scan) {
    if (scan->is_unlimited)
        return 0;
    return scan->most > LIMIT_SCAN_MAX / scan->times ? LIMIT_SCAN_MAX : scan->most * scan->times;
}
