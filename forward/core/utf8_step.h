// SPDX-License-Identifier: Apache-2.0
// UTF-8 one byte at a time (RFC 3629: no surrogates, no overlong forms).
#ifndef VLT_FORWARD_UTF8_STEP_H
#define VLT_FORWARD_UTF8_STEP_H

#include <stdbool.h>
#include <stdint.h>

struct utf8_step {
    uint8_t left, low, high; // how many bytes are to follow, and between what the next one lies
};

// False when the byte may not stand here. Not for ASCII between two characters.
static inline bool utf8_step(struct utf8_step *step, uint8_t c) {
    if (step->left) {
        bool fits = c >= step->low && c <= step->high;
        *step = (struct utf8_step){(uint8_t)(step->left - 1), 0x80, 0xbf};
        return fits;
    }
    step->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    step->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    step->left = c >= 0xc2 && c <= 0xdf   ? 1
                 : c >= 0xe0 && c <= 0xef ? 2
                 : c >= 0xf0 && c <= 0xf4 ? 3
                                          : 0;
    return step->left > 0;
}

#endif
