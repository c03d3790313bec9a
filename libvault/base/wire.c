// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/wire.h"

void wire_writer_init(struct wire_writer *w, void *at, size_t capacity) {
    *w = (struct wire_writer){.at = at, .capacity = capacity};
}

uint8_t *wire_put_space(struct wire_writer *w, size_t size) {
    if (w->failed || size > w->capacity - w->size) {
        w->failed = true;
        return NULL;
    }
    uint8_t *room = w->at + w->size;
    w->size += size;
    return room;
}

void wire_put_u8(struct wire_writer *w, uint8_t value) {
    uint8_t *room = wire_put_space(w, 1);
    if (room)
        room[0] = value;
}

// Big-endian one byte at a time, which compilers make one move and one swap of.
void wire_put_u16(struct wire_writer *w, uint16_t value) {
    uint8_t *room = wire_put_space(w, 2);
    if (!room)
        return;
    room[0] = (uint8_t)(value >> 8);
    room[1] = (uint8_t)value;
}

static void store_u32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

void wire_put_u32(struct wire_writer *w, uint32_t value) {
    uint8_t *room = wire_put_space(w, 4);
    if (room)
        store_u32(room, value);
}

void wire_put_u64(struct wire_writer *w, uint64_t value) {
    uint8_t *room = wire_put_space(w, 8);
    if (!room)
        return;
    store_u32(room, (uint32_t)(value >> 32));
    store_u32(room + 4, (uint32_t)value);
}

void wire_put_raw(struct wire_writer *w, struct bytes bytes) {
    uint8_t *room = wire_put_space(w, bytes.size);
    if (room && bytes.size)
        memcpy(room, bytes.at, bytes.size);
}

uint8_t *wire_put_room(struct wire_writer *w, size_t size) {
    if (size > UINT32_MAX) {
        w->failed = true;
        return NULL;
    }
    uint8_t *room = wire_put_space(w, 4 + size);
    if (!room)
        return NULL;
    store_u32(room, (uint32_t)size);
    return room + 4;
}

void wire_put_bytes(struct wire_writer *w, struct bytes bytes) {
    uint8_t *room = wire_put_room(w, bytes.size);
    if (room && bytes.size)
        memcpy(room, bytes.at, bytes.size);
}

void wire_put_text(struct wire_writer *w, const char *text) {
    wire_put_bytes(w, bytes_of_text(text));
}

uint16_t wire_get_u16(struct wire_reader *r) {
    struct bytes got = wire_get_raw(r, 2);
    return got.size ? (uint16_t)(got.at[0] << 8 | got.at[1]) : 0;
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
