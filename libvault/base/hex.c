// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/hex.h"

void hex_encode(struct bytes bytes, char *text) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        text[2 * i] = digits[bytes.at[i] >> 4];
        text[2 * i + 1] = digits[bytes.at[i] & 15];
    }
    text[2 * bytes.size] = 0;
}

int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

vlt_result hex_decode(struct bytes text, uint8_t *out, size_t size) {
    if (text.size != 2 * size)
        return vlt_fail(VLT_MALFORMED, "hex: wrong number of digits");
    for (size_t i = 0; i < text.size; i++)
        if (hex_value(text.at[i]) < 0)
            return vlt_fail(VLT_MALFORMED, "hex: not a hexadecimal digit");
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(hex_value(text.at[2 * i]) << 4 | hex_value(text.at[2 * i + 1]));
    return vlt_ok();
}
