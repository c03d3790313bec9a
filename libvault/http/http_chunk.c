// SPDX-License-Identifier: Apache-2.0
// chunk-size [ chunk-ext ] of RFC 9112 section 7.1. Extensions mean nothing to
// us, but where one ends decides where the chunk begins: so they must be well
// formed, and the "bad" white space around ';' and '=', which nobody may send and
// a reader would have to pass over, is refused.
#include "libvault/http/http_class.h"
#include "libvault/http/http_head.h"

static size_t token_end(struct bytes line, size_t at) {
    while (at < line.size && http_class_is(line.at[at], CLASS_TOKEN))
        at++;
    return at;
}

// From the opening quote to behind the closing one; 0 when it is not closed.
static size_t quoted_end(struct bytes line, size_t at) {
    for (at++; at < line.size; at++) {
        if (line.at[at] == '"')
            return at + 1;
        if (line.at[at] == '\\')
            at++;
        if (at >= line.size || !http_class_is(line.at[at], CLASS_FIELD))
            return 0;
    }
    return 0;
}

// One ";name[=value]" at `at`; 0 when it is not one.
static size_t extension_end(struct bytes line, size_t at) {
    if (line.at[at] != ';')
        return 0;
    size_t end = token_end(line, at + 1);
    if (end == at + 1)
        return 0;
    if (end == line.size || line.at[end] != '=')
        return end;
    size_t value = end + 1;
    if (value < line.size && line.at[value] == '"')
        return quoted_end(line, value);
    end = token_end(line, value);
    return end == value ? 0 : end;
}

enum http_refusal http_chunk_line(struct bytes line, uint64_t *ret_size) {
    uint64_t size = 0;
    size_t at = 0;
    for (; at < line.size && http_class_is(line.at[at], CLASS_HEX); at++) {
        if (at == 15) // 60 bits are enough for every body
            return HTTP_CHUNK_INVALID;
        size = size << 4 | http_hex_value(line.at[at]);
    }
    if (!at)
        return HTTP_CHUNK_INVALID;
    while (at < line.size) {
        at = extension_end(line, at);
        if (!at)
            return HTTP_CHUNK_INVALID;
    }
    *ret_size = size;
    return HTTP_REFUSAL_NONE;
}
