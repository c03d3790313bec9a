// SPDX-License-Identifier: Apache-2.0
// A borrowed view of bytes that somebody else owns. Never for secrets.
#ifndef VLT_BASE_BYTES_H
#define VLT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *at; // may be NULL when size is 0
    size_t size;
};

static inline struct bytes bytes_of(const void *at, size_t size) {
    return (struct bytes){(const uint8_t *)at, size};
}
static inline struct bytes bytes_of_text(const char *text) {
    return bytes_of(text, text ? strlen(text) : 0);
}
#define BYTES_LITERAL(text) ((struct bytes){(const uint8_t *)("" text), sizeof(text) - 1})

// Not constant time: for public bytes only (secrets: secret_equal).
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_text(struct bytes a, const char *text);
// ASCII case-insensitive. Names of headers are compared with many others, nearly all
// of another length: that is seen without a call.
bool bytes_match_nocase(const uint8_t *a, const uint8_t *b, size_t size);
static inline bool bytes_equal_nocase(struct bytes a, struct bytes b) {
    return a.size == b.size && bytes_match_nocase(a.at, b.at, a.size);
}
bool bytes_begin_with(struct bytes a, struct bytes prefix);
// The part from `from` to the end; `from` beyond the end gives an empty view.
static inline struct bytes bytes_from(struct bytes a, size_t from) {
    return from < a.size ? bytes_of(a.at + from, a.size - from) : bytes_of(NULL, 0);
}
// First place of `c`, or a.size when absent.
static inline size_t bytes_find(struct bytes a, uint8_t c) {
    const uint8_t *hit = a.size ? (const uint8_t *)memchr(a.at, c, a.size) : NULL;
    return hit ? (size_t)(hit - a.at) : a.size;
}
// The number in decimal, a view of a part of room.
struct bytes bytes_of_number(uint64_t number, char room[20]);
// Copies into text and terminates; false (text untouched) when it does not fit
// or holds a NUL byte.
bool bytes_to_text(struct bytes a, char *text, size_t capacity);
// Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? On failure
// *ret_bad_at (may be NULL) is the offset of the first bad byte.
bool bytes_is_utf8(struct bytes a, size_t *ret_bad_at);

#endif
