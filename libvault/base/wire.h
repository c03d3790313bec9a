// SPDX-License-Identifier: Apache-2.0
// Typed fields in a row of bytes: IPC messages, binary records, associated
// data. Integers are big-endian, byte strings carry a 32-bit length. Nothing is
// native layout. Failure sticks on both sides: read or write everything, then
// check once.
#ifndef VLT_BASE_WIRE_H
#define VLT_BASE_WIRE_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

// Writes into caller's memory of fixed capacity.
struct wire_writer {
    uint8_t *at;
    size_t size, capacity;
    bool failed; // did not fit
};

void wire_writer_init(struct wire_writer *w, void *at, size_t capacity);
void wire_put_u8(struct wire_writer *w, uint8_t value);
void wire_put_u16(struct wire_writer *w, uint16_t value);
void wire_put_u32(struct wire_writer *w, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint64_t value);
void wire_put_raw(struct wire_writer *w, struct bytes bytes);  // no length
void wire_put_bytes(struct wire_writer *w, struct bytes bytes); // u32 length, bytes
void wire_put_text(struct wire_writer *w, const char *text);    // as bytes, no NUL
// Room for `size` bytes, which the caller fills; NULL when it failed.
uint8_t *wire_put_space(struct wire_writer *w, size_t size);
// The same, preceded by their u32 length.
uint8_t *wire_put_room(struct wire_writer *w, size_t size);

struct wire_reader {
    const uint8_t *at;
    size_t size, next;
    bool failed; // truncated or beyond a maximum
};

// Inline: some messages are read for each request of a forwarder.
static inline void wire_reader_init(struct wire_reader *r, struct bytes bytes) {
    *r = (struct wire_reader){.at = bytes.at, .size = bytes.size};
}
// Borrowed from the input.
static inline struct bytes wire_get_raw(struct wire_reader *r, size_t size) {
    if (r->failed || size > r->size - r->next) {
        r->failed = true;
        return bytes_of(NULL, 0);
    }
    struct bytes got = bytes_of(r->at + r->next, size);
    r->next += size;
    return got;
}
static inline uint32_t wire_load_u32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
// Getters return 0 or empty once failed.
static inline uint8_t wire_get_u8(struct wire_reader *r) {
    struct bytes got = wire_get_raw(r, 1);
    return got.size ? got.at[0] : 0;
}
static inline uint32_t wire_get_u32(struct wire_reader *r) {
    struct bytes got = wire_get_raw(r, 4);
    return got.size ? wire_load_u32(got.at) : 0;
}
static inline uint64_t wire_get_u64(struct wire_reader *r) {
    struct bytes got = wire_get_raw(r, 8);
    return got.size ? (uint64_t)wire_load_u32(got.at) << 32 | wire_load_u32(got.at + 4) : 0;
}
uint16_t wire_get_u16(struct wire_reader *r);
// A byte string of at most max_bytes; borrowed from the input.
static inline struct bytes wire_get_bytes(struct wire_reader *r, size_t max_bytes) {
    uint32_t size = wire_get_u32(r);
    if (size > max_bytes)
        r->failed = true;
    return wire_get_raw(r, size);
}
// Copies a byte string into text and terminates it; fails on NUL or overflow.
void wire_get_text(struct wire_reader *r, char *text, size_t capacity);
// VLT_MALFORMED when a getter failed or bytes are left over.
vlt_result wire_reader_end(const struct wire_reader *r) VLT_MUST_USE;

#endif
