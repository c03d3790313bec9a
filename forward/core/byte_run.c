// SPDX-License-Identifier: Apache-2.0
#include "forward/core/byte_run.h"

#include <endian.h>

// GCC's and clang's vectors: one operation on 16 bytes, in whatever instructions the
// processor has for it. Comparisons give 0xff where they hold. Signed, because more
// processors compare those: what is beyond ASCII is negative.
typedef int8_t lanes __attribute__((vector_size(16)));
#define LANE_BYTES sizeof(lanes)

static inline lanes lanes_at(const uint8_t *at) {
    lanes v;
    memcpy(&v, at, sizeof v);
    return v;
}

static inline bool hold_everywhere(lanes v) {
    uint64_t halves[2];
    memcpy(halves, &v, sizeof v);
    return (halves[0] & halves[1]) == UINT64_MAX;
}

// How many hold before the first that does not.
static inline size_t hold_first(lanes v) {
    uint64_t halves[2];
    memcpy(halves, &v, sizeof v);
    for (size_t i = 0; i < 2; i++)
        if (halves[i] != UINT64_MAX)
            return 8 * i + (size_t)__builtin_ctzll(~htole64(halves[i])) / 8;
    return LANE_BYTES;
}

static inline lanes are_b64u(const uint8_t *at) {
    lanes c = lanes_at(at), lower = c | 0x20;
    return ((lanes)(lower >= 'a') & (lanes)(lower <= 'z')) |
           ((lanes)(c >= '0') & (lanes)(c <= '9')) | (lanes)(c == '-') | (lanes)(c == '_');
}

static inline lanes are_json(const uint8_t *at) {
    lanes c = lanes_at(at);
    return (lanes)(c >= 0x20) & ~((lanes)(c == '"') | (lanes)(c == '\\'));
}

static inline lanes are_line(const uint8_t *at) {
    lanes c = lanes_at(at);
    return ~((lanes)(c == '\r') | (lanes)(c == '\n'));
}

// The last bytes, one by one.
static inline bool is_b64u(uint8_t c) {
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '-' || c == '_';
}

static inline bool is_json(uint8_t c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline bool is_line(uint8_t c) {
    return c != '\r' && c != '\n';
}

// Asking whether all hold costs as much as comparing: once for four.
#define RUN(text, at, are, is)                                                                     \
    const uint8_t *p = (text).at + (at), *end = (text).at + (text).size;                           \
    while ((size_t)(end - p) >= 4 * LANE_BYTES &&                                                  \
           hold_everywhere(are(p) & are(p + LANE_BYTES) & are(p + 2 * LANE_BYTES) &                \
                           are(p + 3 * LANE_BYTES)))                                               \
        p += 4 * LANE_BYTES;                                                                       \
    while ((size_t)(end - p) >= LANE_BYTES) {                                                      \
        size_t held = hold_first(are(p));                                                          \
        p += held;                                                                                 \
        if (held < LANE_BYTES)                                                                     \
            return (size_t)(p - (text).at);                                                        \
    }                                                                                              \
    while (p < end && is(*p))                                                                      \
        p++;                                                                                       \
    return (size_t)(p - (text).at)

size_t byte_run_b64u(struct bytes text, size_t at) {
    RUN(text, at, are_b64u, is_b64u);
}

size_t byte_run_json(struct bytes text, size_t at) {
    RUN(text, at, are_json, is_json);
}

size_t byte_run_line(struct bytes text, size_t at) {
    RUN(text, at, are_line, is_line);
}
