// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/spiffe_id.h"

static bool is_digit_or(uint8_t c, uint8_t first, uint8_t last) {
    return (c >= '0' && c <= '9') || (c >= first && c <= last) || c == '.' || c == '_' || c == '-';
}

static bool domain_is_valid(struct bytes domain) {
    if (!domain.size || domain.size > 255)
        return false;
    for (size_t i = 0; i < domain.size; i++) {
        if (!is_digit_or(domain.at[i], 'a', 'z'))
            return false;
    }
    return true;
}

static bool segment_is_valid(struct bytes segment) {
    if (!segment.size || bytes_equal_text(segment, ".") || bytes_equal_text(segment, ".."))
        return false;
    for (size_t i = 0; i < segment.size; i++) {
        if (!is_digit_or(segment.at[i], 'a', 'z') && !is_digit_or(segment.at[i], 'A', 'Z'))
            return false;
    }
    return true;
}

bool spiffe_id_split(struct bytes id, struct bytes *ret_domain) {
    static const struct bytes scheme = BYTES_LITERAL("spiffe://");
    if (id.size > SPIFFE_ID_MAX_BYTES || !bytes_begin_with(id, scheme))
        return false;
    struct bytes rest = bytes_from(id, scheme.size);
    size_t slash = bytes_find(rest, '/');
    if (slash == rest.size || !domain_is_valid(bytes_of(rest.at, slash)))
        return false;
    for (size_t at = slash; at < rest.size;) {
        struct bytes after = bytes_from(rest, at + 1);
        size_t end = bytes_find(after, '/');
        if (!segment_is_valid(bytes_of(after.at, end)))
            return false;
        at += 1 + end;
    }
    *ret_domain = bytes_of(id.at, scheme.size + slash);
    return true;
}
