// SPDX-License-Identifier: Apache-2.0
// What URIs are made of (RFC 3986).
#ifndef VLT_BASE_URI_H
#define VLT_BASE_URI_H

#include <stdbool.h>
#include <stdint.h>

// Section 2.3: means the same whether it is percent-encoded or not.
static inline bool uri_is_unreserved(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

#endif
