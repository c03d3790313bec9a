// SPDX-License-Identifier: Apache-2.0
#include "libvault/http/http_class.h"

// Sixteen characters a row; the unit test holds it against the grammars.
const uint8_t http_class_of[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 15, 2, 3, 15, 3, 15, 15, 14, 14, 15, 15, 14, 47, 47, 6,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 6, 14, 2, 14, 2, 6,
    6, 127, 127, 127, 127, 127, 127, 111, 111, 111, 111, 111, 111, 111, 111, 111,
    111, 111, 111, 111, 111, 111, 111, 111, 111, 111, 111, 2, 2, 2, 3, 47,
    3, 63, 63, 63, 63, 63, 63, 47, 47, 47, 47, 47, 47, 47, 47, 47,
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 2, 3, 2, 47, 0,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
};

bool http_class_all(struct bytes text, unsigned class) {
    for (size_t i = 0; i < text.size; i++)
        if (!http_class_is(text.at[i], class))
            return false;
    return true;
}

bool http_class_all_or_encoded(struct bytes text, unsigned class) {
    for (size_t i = 0; i < text.size; i++) {
        if (http_class_is(text.at[i], class))
            continue;
        if (text.at[i] != '%' || text.size - i < 3 || !http_class_is(text.at[i + 1], CLASS_HEX) ||
            !http_class_is(text.at[i + 2], CLASS_HEX))
            return false;
        i += 2;
    }
    return true;
}

uint8_t http_hex_value(uint8_t c) {
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}
