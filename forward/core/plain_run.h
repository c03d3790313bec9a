// SPDX-License-Identifier: Apache-2.0
// How far a JSON text goes on with nothing that needs a look.
#ifndef VLT_FORWARD_PLAIN_RUN_H
#define VLT_FORWARD_PLAIN_RUN_H

#include "libvault/base/bytes.h"

// Eight bytes at once: none is a quote, a backslash, a control character or
// beyond ASCII. Subtracting borrows into a byte's top bit exactly when it was smaller;
// a borrow from the byte below gives a false alarm, which only costs time.
static inline bool plain_run_eight(const uint8_t *at) {
    const uint64_t ones = 0x0101010101010101, tops = ones << 7;
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
    uint64_t special = word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
                       ((backslash - ones) & ~backslash);
    return (special & tops) == 0;
}

// The first place from `at` on of a quote, a backslash, a control character or a byte
// beyond ASCII; piece.size when there is none.
static inline size_t plain_run_end(struct bytes piece, size_t at) {
    while (piece.size - at >= 8 && plain_run_eight(piece.at + at))
        at += 8;
    while (at < piece.size && piece.at[at] >= 0x20 && piece.at[at] < 0x80 && piece.at[at] != '"' &&
           piece.at[at] != '\\')
        at++;
    return at;
}

#endif
