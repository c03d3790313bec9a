// SPDX-License-Identifier: Apache-2.0
// Character classes of RFC 9110 and RFC 3986 in one table. Inside vault_http only.
#ifndef VLT_HTTP_HTTP_CLASS_H
#define VLT_HTTP_HTTP_CLASS_H

#include "libvault/base/bytes.h"

enum {
    CLASS_TOKEN = 1,       // tchar
    CLASS_FIELD = 2,       // HTAB, SP, VCHAR, obs-text
    CLASS_TARGET = 4,      // pchar without '%', '/', '?'
    CLASS_HOST = 8,        // unreserved and sub-delims
    CLASS_HEX = 16,
    CLASS_UNRESERVED = 32,
    CLASS_UPPER = 64
};
extern const uint8_t http_class_of[256];

static inline bool http_class_is(uint8_t c, unsigned class) {
    return (http_class_of[c] & class) != 0;
}
// Are all bytes of that class? True for an empty view.
bool http_class_all(struct bytes text, unsigned class);
// Every '%' is followed by two hex digits, everything else is of that class.
bool http_class_all_or_encoded(struct bytes text, unsigned class);
// Value of a hex digit of either case; the caller has checked CLASS_HEX.
uint8_t http_hex_value(uint8_t c);

#endif
