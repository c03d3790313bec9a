// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/dpop_uri.h"

#include "libvault/base/hex.h"
#include "libvault/base/uri.h"

#define PATH_MAX_BYTES 8192

struct uri_parts {
    bool is_https;
    struct bytes host, port, path; // port empty when it is the default one
};

static bool split_authority(struct bytes authority, struct uri_parts *parts) {
    if (authority.size == 0 || bytes_find(authority, '@') != authority.size)
        return false; // user information has no place in an htu
    size_t colon = authority.size;
    if (authority.at[0] == '[') {
        size_t end = bytes_find(authority, ']');
        if (end == authority.size)
            return false;
        if (end + 1 < authority.size)
            colon = end + 1;
    } else {
        colon = bytes_find(authority, ':');
    }
    parts->host = bytes_of(authority.at, colon);
    parts->port = bytes_from(authority, colon + 1);
    if (colon < authority.size && authority.at[colon] != ':')
        return false;
    if (bytes_equal_text(parts->port, parts->is_https ? "443" : "80"))
        parts->port.size = 0;
    return parts->host.size > 0;
}

static bool split_uri(struct bytes uri, struct uri_parts *parts) {
    struct bytes scheme = bytes_of(uri.at, bytes_find(uri, ':'));
    parts->is_https = bytes_equal_nocase(scheme, BYTES_LITERAL("https"));
    if (!parts->is_https && !bytes_equal_nocase(scheme, BYTES_LITERAL("http")))
        return false;
    struct bytes rest = bytes_from(uri, scheme.size);
    if (!bytes_begin_with(rest, BYTES_LITERAL("://")))
        return false;
    rest = bytes_from(rest, 3);
    rest.size = bytes_find(rest, '#');
    rest.size = bytes_find(rest, '?');
    size_t slash = bytes_find(rest, '/');
    parts->path = slash < rest.size ? bytes_from(rest, slash) : BYTES_LITERAL("/");
    return split_authority(bytes_of(rest.at, slash), parts);
}

// The next unit of a path: a byte, or a percent-encoded octet as 0x100 | value;
// an encoded unreserved character is that character. -1: broken.
static int next_unit(struct bytes path, size_t *at) {
    int c = path.at[(*at)++];
    if (c != '%')
        return c;
    if (*at + 2 > path.size)
        return -1;
    int high = hex_value(path.at[*at]), low = hex_value(path.at[*at + 1]);
    if (high < 0 || low < 0)
        return -1;
    *at += 2;
    int value = high << 4 | low;
    return uri_is_unreserved((uint8_t)value) ? value : 0x100 | value;
}

static bool path_equal(struct bytes a, struct bytes b) {
    size_t i = 0, k = 0;
    if (a.size > PATH_MAX_BYTES || b.size > PATH_MAX_BYTES)
        return false;
    while (i < a.size && k < b.size) {
        int left = next_unit(a, &i), right = next_unit(b, &k);
        if (left < 0 || left != right)
            return false;
    }
    return i == a.size && k == b.size;
}

bool dpop_uri_equal(struct bytes a, struct bytes b) {
    struct uri_parts left, right;
    return split_uri(a, &left) && split_uri(b, &right) && left.is_https == right.is_https &&
           bytes_equal_nocase(left.host, right.host) && bytes_equal(left.port, right.port) &&
           path_equal(left.path, right.path);
}
