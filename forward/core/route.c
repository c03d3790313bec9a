// SPDX-License-Identifier: Apache-2.0
#include "forward/core/route.h"

#include "libvault/base/hex.h"
#include "libvault/base/uri.h"

// RFC 3986 section 3.3: pchar without its percent-encoded form. A bit for each: the
// punctuation and digits from '!' to '?', then '@' to '~'.
static bool may_stand_raw(uint8_t c) {
    static const uint64_t sets[4] = {UINT64_C(0x2fff7fd200000000), UINT64_C(0x47fffffe87ffffff)};
    return sets[c >> 6] >> (c & 63) & 1;
}

static bool encoding_is_needed(struct bytes digits) {
    uint8_t c = 0;
    for (size_t i = 0; i < 2; i++)
        if (digits.at[i] >= 'a')
            return false;
    if (!vlt_is_ok(hex_decode(digits, &c, 1)))
        return false;
    return !uri_is_unreserved(c) && c != '/' && c != '\\' && c != '%' && c >= 0x20 && c != 0x7f;
}

// "." or "..". Java servers cut a segment at ';'.
static bool segment_is_dots(struct bytes segment) {
    size_t name = bytes_find(segment, ';');
    return name <= 2 && segment.at[0] == '.' && segment.at[name - 1] == '.';
}

static bool segment_is_plain(struct bytes segment) {
    if (!segment.size || segment.at[0] == ';' ||
        (segment.at[0] == '.' && segment_is_dots(segment)))
        return false;
    for (size_t i = 0; i < segment.size; i++) {
        if (may_stand_raw(segment.at[i]))
            continue;
        if (segment.at[i] != '%' || segment.size - i < 3 ||
            !encoding_is_needed(bytes_of(segment.at + i + 1, 2)))
            return false;
        i += 2;
    }
    return true;
}

bool route_path_is_plain(struct bytes path) {
    if (path.size == 0 || path.at[0] != '/')
        return false;
    for (path = bytes_from(path, 1); path.size;) {
        size_t end = bytes_find(path, '/');
        if (!segment_is_plain(bytes_of(path.at, end)))
            return false;
        path = bytes_from(path, end + 1); // a single '/' at the end is fine
    }
    return true;
}

bool route_model(const char *pattern, struct bytes path, struct bytes *ret_model) {
    struct bytes model = {0};
    static const char name[] = "{model}";
    while (*pattern) {
        size_t taken = 0;
        if (*pattern == '*' && pattern[1] == '\0') {
            taken = path.size;
        } else if (*pattern == '*' || !strncmp(pattern, name, sizeof name - 1)) {
            bool is_model = *pattern != '*';
            pattern += is_model ? sizeof name - 2 : 0; // on its last character
            uint8_t stop = (uint8_t)pattern[1];
            while (taken < path.size && path.at[taken] != '/' && path.at[taken] != stop)
                taken++;
            if (taken == 0)
                return false;
            if (is_model)
                model = bytes_of(path.at, taken);
        } else {
            if (path.size == 0 || path.at[0] != (uint8_t)*pattern)
                return false;
            taken = 1;
        }
        path = bytes_from(path, taken);
        pattern++;
    }
    if (path.size || !model.size)
        return false;
    *ret_model = model;
    return true;
}
