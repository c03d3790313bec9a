// SPDX-License-Identifier: Apache-2.0
#include "forward/core/body_look.h"

void body_look_init(struct body_look *look) {
    *look = (struct body_look){.kind = BODY_UNDECIDED};
}

static bool is_white(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Bytes of the byte order marks of UTF-8 and UTF-16, and the empty half of ASCII
// in UTF-16 and UTF-32. Pictures and films begin so too, but do not go on with a
// brace.
static bool is_encoding(uint8_t c) {
    return c == 0xef || c == 0xbb || c == 0xbf || c == 0xfe || c == 0xff || c == 0;
}

size_t body_look_take(struct body_look *look, struct bytes piece) {
    size_t at = 0;
    for (; at < piece.size && look->kind == BODY_UNDECIDED; at++) {
        uint8_t c = piece.at[at];
        if (c == '{') {
            look->kind = look->is_odd ? BODY_IS_ODD_JSON : BODY_IS_JSON;
            break; // the scan begins with it
        }
        if (is_encoding(c))
            look->is_odd = true;
        else if (!is_white(c))
            look->kind = BODY_IS_OTHER;
    }
    return at;
}
