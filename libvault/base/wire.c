// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/wire.h"

void wire_writer_init(struct wire_writer *w, void *at, size_t capacity) {
    *w = (struct wire_writer){.at = at, .capacity = capacity};
}

static uint8_t *writer_room(struct wire_writer *w, size_t size) {
    if (w->failed || size > w->capacity - w->size) {
        w->failed = true;
        return NULL;
    }
    uint8_t *room = w->at + w->size;
    w->size += size;
    return room;
}

static void put_big_endian(struct wire_writer *w, uint64_t value, size_t size) {
    uint8_t *room = writer_room(w, size);
    for (size_t i = 0; room && i < size; i++)
        room[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

void wire_put_u8(struct wire_writer *w, uint8_t value) { put_big_endian(w, value, 1); }
void wire_put_u16(struct wire_writer *w, uint16_t value) { put_big_endian(w, value, 2); }
void wire_put_u32(struct wire_writer *w, uint32_t value) { put_big_endian(w, value, 4); }
void wire_put_u64(struct wire_writer *w, uint64_t value) { put_big_endian(w, value, 8); }

void wire_put_raw(struct wire_writer *w, struct bytes bytes) {
    uint8_t *room = writer_room(w, bytes.size);
    if (room && bytes.size)
        memcpy(room, bytes.at, bytes.size);
}

uint8_t *wire_put_room(struct wire_writer *w, size_t size) {
    if (size > UINT32_MAX) {
        w->failed = true;
        return NULL;
    }
    wire_put_u32(w, (uint32_t)size);
    return writer_room(w, size);
}

void wire_put_bytes(struct wire_writer *w, struct bytes bytes) {
    uint8_t *room = wire_put_room(w, bytes.size);
    if (room && bytes.size)
        memcpy(room, bytes.at, bytes.size);
}

void wire_put_text(struct wire_writer *w, const char *text) {
    wire_put_bytes(w, bytes_of_text(text));
}

void wire_reader_init(struct wire_reader *r, struct bytes bytes) {
    *r = (struct wire_reader){.at = bytes.at, .size = bytes.size};
}

struct bytes wire_get_raw(struct wire_reader *r, size_t size) {
    if (r->failed || size > r->size - r->next) {
        r->failed = true;
        return bytes_of(NULL, 0);
    }
    struct bytes got = bytes_of(r->at + r->next, size);
    r->next += size;
    return got;
}

static uint64_t get_big_endian(struct wire_reader *r, size_t size) {
    struct bytes got = wire_get_raw(r, size);
    uint64_t value = 0;
    for (size_t i = 0; i < got.size; i++)
        value = value << 8 | got.at[i];
    return value;
}

uint8_t wire_get_u8(struct wire_reader *r) { return (uint8_t)get_big_endian(r, 1); }
uint16_t wire_get_u16(struct wire_reader *r) { return (uint16_t)get_big_endian(r, 2); }
uint32_t wire_get_u32(struct wire_reader *r) { return (uint32_t)get_big_endian(r, 4); }
uint64_t wire_get_u64(struct wire_reader *r) { return get_big_endian(r, 8); }

struct bytes wire_get_bytes(struct wire_reader *r, size_t max_bytes) {
    uint32_t size = wire_get_u32(r);
    if (size > max_bytes)
        r->failed = true;
    return wire_get_raw(r, size);
}

void wire_get_text(struct wire_reader *r, char *text, size_t capacity) {
    struct bytes got = wire_get_bytes(r, capacity - 1);
    text[0] = 0;
    if (!r->failed && !bytes_to_text(got, text, capacity))
        r->failed = true;
}

vlt_result wire_reader_end(const struct wire_reader *r) {
    if (r->failed)
        return vlt_fail(VLT_MALFORMED, "a field is truncated or too long");
    if (r->next != r->size)
        return vlt_fail(VLT_MALFORMED, "bytes are left over after the last field");
    return vlt_ok();
}
