// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *buf, size_t max_bytes) { *buf = (struct buf){.max = max_bytes}; }

void buf_done(struct buf *buf) {
    free(buf->at);
    *buf = (struct buf){.max = buf->max};
}

void buf_clear(struct buf *buf) {
    buf->size = 0;
    buf->failed = false;
}

bool buf_failed(const struct buf *buf) { return buf->failed; }

// Makes room for `more` bytes beyond size and one for a terminating NUL.
static bool buf_reserve(struct buf *buf, size_t more) {
    if (buf->failed || more > buf->max - buf->size) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->size + more + 1;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    uint8_t *at = realloc(buf->at, capacity);
    if (!at) {
        buf->failed = true;
        return false;
    }
    buf->at = at;
    buf->capacity = capacity;
    return true;
}

uint8_t *buf_grow(struct buf *buf, size_t size) {
    if (!buf_reserve(buf, size))
        return NULL;
    uint8_t *room = buf->at + buf->size;
    buf->size += size;
    return room;
}

void buf_put_text(struct buf *buf, const char *text) { buf_put(buf, bytes_of_text(text)); }

void buf_put_number(struct buf *buf, uint64_t number) {
    char digits[20];
    buf_put(buf, bytes_of_number(number, digits));
}

void buf_put_format(struct buf *buf, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *room = size < 0 ? NULL : buf_extend(buf, (size_t)size);
    if (room)
        vsnprintf((char *)room, (size_t)size + 1, format,
                  again); // buf_reserve left room for the NUL
    else
        buf->failed = true;
    va_end(again);
}

const char *buf_text(struct buf *buf) {
    if (!buf_reserve(buf, 0))
        return NULL;
    buf->at[buf->size] = 0;
    return (const char *)buf->at;
}
