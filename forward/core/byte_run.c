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

static inline bool holds_nowhere(lanes v) {
    uint64_t halves[2];
    memcpy(halves, &v, sizeof v);
    return (halves[0] | halves[1]) == 0;
}

// How many do not hold before the first that does.
static inline size_t held_from(lanes v) {
    uint64_t halves[2];
    memcpy(halves, &v, sizeof v);
    for (size_t i = 0; i < 2; i++)
        if (halves[i])
            return 8 * i + (size_t)__builtin_ctzll(htole64(halves[i])) / 8;
    return LANE_BYTES;
}

// Where a run ends.
static inline lanes end_b64u(const uint8_t *at) {
    lanes c = lanes_at(at), lower = c | 0x20;
    return ~(((lanes)(lower >= 'a') & (lanes)(lower <= 'z')) |
             ((lanes)(c >= '0') & (lanes)(c <= '9')) | (lanes)(c == '-') | (lanes)(c == '_'));
}

// The quote without its second bit is a space: the first behind what is below 0x20.
static inline lanes end_json(const uint8_t *at) {
    lanes c = lanes_at(at);
    return (lanes)((c ^ 2) <= ('"' ^ 2)) | (lanes)(c == '\\');
}

// With the highest bit turned over, signed comparison is what unsigned was.
static inline lanes end_text(const uint8_t *at) {
    lanes c = lanes_at(at);
    return (lanes)((c ^ INT8_MIN) < 0x20 + INT8_MIN) | (lanes)(c == '"') | (lanes)(c == '\\');
}

static inline lanes end_line(const uint8_t *at) {
    lanes c = lanes_at(at);
    return (lanes)(c == '\r') | (lanes)(c == '\n');
}

// The last bytes, one by one.
static inline bool is_b64u(uint8_t c) {
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '-' || c == '_';
}

static inline bool is_json(uint8_t c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline bool is_text(uint8_t c) {
    return c >= 0x20 && c != '"' && c != '\\';
}

static inline bool is_line(uint8_t c) {
    return c != '\r' && c != '\n';
}

// Goes on by one lane, and stops where the run ends in it.
#define LANE(end_of)                                                                               \
    do {                                                                                           \
        size_t held = held_from(end_of(p));                                                        \
        p += held;                                                                                 \
        if (held < LANE_BYTES)                                                                     \
            return (size_t)(p - text.at);                                                          \
    } while (0)

#define RUN(end_of, is)                                                                            \
    while ((size_t)(end - p) >= LANE_BYTES)                                                        \
        LANE(end_of);                                                                              \
    while (p < end && is(*p))                                                                      \
        p++;                                                                                       \
    return (size_t)(p - text.at)

// Most runs are short: names, words. In long ones, asking whether any holds costs as much as
// comparing: once for four.
#define LONG_RUN(end_of, is)                                                                       \
    for (unsigned i = 0; i < 2 && (size_t)(end - p) >= LANE_BYTES; i++)                            \
        LANE(end_of);                                                                              \
    while ((size_t)(end - p) >= 4 * LANE_BYTES &&                                                  \
           holds_nowhere(end_of(p) | end_of(p + LANE_BYTES) | end_of(p + 2 * LANE_BYTES) |         \
                         end_of(p + 3 * LANE_BYTES)))                                              \
        p += 4 * LANE_BYTES;                                                                       \
    RUN(end_of, is)

size_t byte_run_b64u(struct bytes text, size_t at) {
    const uint8_t *p = text.at + at, *end = text.at + text.size;
    LONG_RUN(end_b64u, is_b64u);
}

size_t byte_run_json(struct bytes text, size_t at) {
    const uint8_t *p = text.at + at, *end = text.at + text.size;
    LONG_RUN(end_json, is_json);
}

size_t byte_run_line(struct bytes text, size_t at) {
    const uint8_t *p = text.at + at, *end = text.at + text.size;
    RUN(end_line, is_line);
}

size_t byte_run_text(struct bytes text, size_t at) {
    const uint8_t *p = text.at + at, *end = text.at + text.size;
    LONG_RUN(end_text, is_text);
}
