// SPDX-License-Identifier: Apache-2.0
#include "forward/core/json_put.h"

void json_put_text(struct wire_writer *w, struct bytes text) {
    static const char hex[] = "0123456789abcdef";
    wire_put_u8(w, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        if (c < 0x20 || c == 0x7f) {
            json_put_raw(w, "\\u00");
            wire_put_u8(w, (uint8_t)hex[c >> 4]);
            wire_put_u8(w, (uint8_t)hex[c & 15]);
            continue;
        }
        if (c == '"' || c == '\\')
            wire_put_u8(w, '\\');
        wire_put_u8(w, c);
    }
    wire_put_u8(w, '"');
}
