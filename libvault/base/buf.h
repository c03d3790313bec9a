// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer that states its maximum at birth. Failure sticks: write
// everything, then ask once with buf_failed. Never for secrets (see
// libvault/secret).
#ifndef VLT_BASE_BUF_H
#define VLT_BASE_BUF_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

struct buf {
    uint8_t *at;
    size_t size, capacity, max;
    bool failed; // out of memory, or beyond max; nothing was written after that
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_done(struct buf *buf);           // frees; the buffer may be init'ed again
void buf_clear(struct buf *buf);          // size and failure back to zero, memory kept
static inline void buf_put(struct buf *buf, struct bytes bytes);
static inline void buf_put_byte(struct buf *buf, uint8_t byte);
void buf_put_text(struct buf *buf, const char *text);
void buf_put_number(struct buf *buf, uint64_t number); // decimal
void buf_put_format(struct buf *buf, const char *format, ...) VLT_PRINTF(2, 3);
// Room for exactly `size` more bytes, already counted; NULL when it failed.
static inline uint8_t *buf_extend(struct buf *buf, size_t size);
bool buf_failed(const struct buf *buf);
static inline struct bytes buf_bytes(const struct buf *buf) {
    return bytes_of(buf->at, buf->size);
}
// The content as text: adds a NUL that is not counted. NULL when it failed.
// Valid until the next call on this buffer.
const char *buf_text(struct buf *buf);

// Texts are made of many small pieces for which there is nearly always room.
uint8_t *buf_grow(struct buf *buf, size_t size); // as buf_extend, when there may be none
static inline uint8_t *buf_extend(struct buf *buf, size_t size) {
    size_t end = buf->size + size;
    if (size >= buf->capacity || end >= buf->capacity || end > buf->max || buf->failed)
        return buf_grow(buf, size);
    uint8_t *room = buf->at + buf->size;
    buf->size = end;
    return room;
}
static inline void buf_put(struct buf *buf, struct bytes bytes) {
    uint8_t *room = buf_extend(buf, bytes.size);
    if (room && bytes.size)
        memcpy(room, bytes.at, bytes.size);
}
static inline void buf_put_byte(struct buf *buf, uint8_t byte) {
    uint8_t *room = buf_extend(buf, 1);
    if (room)
        *room = byte;
}

#endif
