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
// Room for `size` bytes preceded by their u32 length; NULL when it failed.
uint8_t *wire_put_room(struct wire_writer *w, size_t size);

struct wire_reader {
    const uint8_t *at;
    size_t size, next;
    bool failed; // truncated or beyond a maximum
};

void wire_reader_init(struct wire_reader *r, struct bytes bytes);
uint8_t wire_get_u8(struct wire_reader *r); // getters return 0 or empty once failed
uint16_t wire_get_u16(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
struct bytes wire_get_raw(struct wire_reader *r, size_t size); // borrowed from the input
// A byte string of at most max_bytes; borrowed from the input.
struct bytes wire_get_bytes(struct wire_reader *r, size_t max_bytes);
// Copies a byte string into text and terminates it; fails on NUL or overflow.
void wire_get_text(struct wire_reader *r, char *text, size_t capacity);
// VLT_MALFORMED when a getter failed or bytes are left over.
vlt_result wire_reader_end(const struct wire_reader *r) VLT_MUST_USE;

#endif
