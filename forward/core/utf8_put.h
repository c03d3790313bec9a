// SPDX-License-Identifier: Apache-2.0
// UTF-8 of what a JSON text spells as \uXXXX (RFC 3629, RFC 8259 section 7). Callers:
// json_cursor and usage_scan.
#ifndef VLT_FORWARD_UTF8_PUT_H
#define VLT_FORWARD_UTF8_PUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_PUT_MAX 3

// Half of a character beyond the basic plane: none by itself.
static inline bool utf8_is_surrogate(unsigned code) {
    return code >= 0xd800 && code <= 0xdfff;
}

// `code`: of the basic plane and no surrogate. How many bytes it takes.
static inline size_t utf8_put(unsigned code, uint8_t out[UTF8_PUT_MAX]) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 63));
        return 2;
    }
    out[0] = (uint8_t)(0xe0 | code >> 12);
    out[1] = (uint8_t)(0x80 | (code >> 6 & 63));
    out[2] = (uint8_t)(0x80 | (code & 63));
    return 3;
}

#endif
