// SPDX-License-Identifier: Apache-2.0
#include "forward/core/route.h"

#include "libvault/base/hex.h"

static bool is_unreserved(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

// RFC 3986 section 3.3: pchar without its percent-encoded form. A bit for each: the
// punctuation from '!' to '@', then '@' to '_', then '`' to '~'.
static bool may_stand_raw(uint8_t c) {
    static const uint32_t sets[8] = {[1] = 0x2fff7fd2, [2] = 0x87ffffff, [3] = 0x47fffffe};
    return sets[c >> 5] >> (c & 31) & 1;
}

static bool encoding_is_needed(struct bytes digits) {
    uint8_t c = 0;
    for (size_t i = 0; i < 2; i++)
        if (digits.at[i] >= 'a')
            return false;
    if (!vlt_is_ok(hex_decode(digits, &c, 1)))
        return false;
    return !is_unreserved(c) && c != '/' && c != '\\' && c != '%' && c >= 0x20 && c != 0x7f;
}

static bool segment_is_plain(struct bytes segment) {
    size_t name = bytes_find(segment, ';'); // Java servers cut a segment there
    if (name == 0 || (name <= 2 && segment.at[0] == '.' && segment.at[name - 1] == '.'))
        return false;
    for (size_t i = 0; i < segment.size; i++) {
        if (segment.at[i] == '%') {
            if (segment.size - i < 3 || !encoding_is_needed(bytes_of(segment.at + i + 1, 2)))
                return false;
            i += 2;
        } else if (!may_stand_raw(segment.at[i])) {
            return false;
        }
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
