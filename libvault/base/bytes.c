// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/bytes.h"

// Eight bytes at any address, in the order of this machine.
static uint64_t word_at(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

bool bytes_equal(struct bytes a, struct bytes b) {
    // Public bytes only, so the early exit of a plain comparison is wanted.
    if (a.size != b.size)
        return false;
    size_t i = 0;
    for (; a.size - i >= sizeof(uint64_t); i += sizeof(uint64_t))
        if (word_at(a.at + i) != word_at(b.at + i))
            return false;
    if (i && i < a.size) // the last word, whatever of it was compared before
        return word_at(a.at + a.size - sizeof(uint64_t)) ==
               word_at(b.at + a.size - sizeof(uint64_t));
    for (; i < a.size; i++)
        if (a.at[i] != b.at[i])
            return false;
    return true;
}

bool bytes_equal_text(struct bytes a, const char *text) {
    return bytes_equal(a, bytes_of_text(text));
}

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c; }

bool bytes_match_nocase(const uint8_t *a, const uint8_t *b, size_t size) {
    size_t i = 0;
    while (size - i >= sizeof(uint64_t) && word_at(a + i) == word_at(b + i))
        i += sizeof(uint64_t); // mostly spelled alike
    if (i && word_at(a + size - sizeof(uint64_t)) == word_at(b + size - sizeof(uint64_t)) &&
        size - i < sizeof(uint64_t))
        return true;
    for (; i < size; i++)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool bytes_begin_with(struct bytes a, struct bytes prefix) {
    return a.size >= prefix.size && bytes_equal(bytes_of(a.at, prefix.size), prefix);
}

struct bytes bytes_of_number(uint64_t number, char room[20]) {
    size_t at = 20;
    do
        room[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return bytes_of(room + at, 20 - at);
}

bool bytes_to_text(struct bytes a, char *text, size_t capacity) {
    if (a.size >= capacity || bytes_find(a, 0) != a.size)
        return false;
    if (a.size)
        memcpy(text, a.at, a.size);
    text[a.size] = 0;
    return true;
}

// Length of the well-formed sequence at p (RFC 3629 section 4), 0 if there is none.
static size_t utf8_sequence(const uint8_t *p, size_t left) {
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || left < size)
        return 0;
    uint8_t low = 0x80, high = 0xBF; // range of the second byte
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

bool bytes_is_utf8(struct bytes a, size_t *ret_bad_at) {
    for (size_t i = 0; i < a.size;) {
        // Nearly all text is ASCII: eight characters at once.
        if (a.size - i >= sizeof(uint64_t) && !(word_at(a.at + i) & UINT64_C(0x8080808080808080))) {
            i += sizeof(uint64_t);
            continue;
        }
        size_t step = utf8_sequence(a.at + i, a.size - i);
        if (step == 0) {
            if (ret_bad_at)
                *ret_bad_at = i;
            return false;
        }
        i += step;
    }
    return true;
}
