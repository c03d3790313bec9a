// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/b64u.h"

static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(struct bytes bytes, const char *alphabet, char *text) {
    size_t out = 0, i = 0;
    for (; i + 3 <= bytes.size; i += 3) {
        uint32_t v = (uint32_t)bytes.at[i] << 16 | (uint32_t)bytes.at[i + 1] << 8 | bytes.at[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            text[out++] = alphabet[v >> shift & 63];
    }
    size_t left = bytes.size - i;
    if (left) {
        uint32_t v = (uint32_t)bytes.at[i] << 16 | (left == 2 ? (uint32_t)bytes.at[i + 1] << 8 : 0);
        for (size_t k = 0; k <= left; k++)
            text[out++] = alphabet[v >> (18 - 6 * k) & 63];
    }
    return out;
}

void b64u_encode_text(struct bytes bytes, char *text) {
    text[encode(bytes, url_alphabet, text)] = 0;
}

void b64u_encode(struct bytes bytes, struct buf *out) {
    uint8_t *room = buf_extend(out, B64U_SIZE(bytes.size));
    if (room)
        encode(bytes, url_alphabet, (char *)room);
}

void b64_encode(struct bytes bytes, struct buf *out) {
    uint8_t *room = buf_extend(out, B64U_SIZE(bytes.size));
    if (!room)
        return;
    encode(bytes, std_alphabet, (char *)room);
    for (size_t pad = (3 - bytes.size % 3) % 3; pad; pad--)
        buf_put_byte(out, '=');
}

// Without a table: the value of a character must not depend on memory that a
// neighbour can observe, because JWE parts and secrets pass through here too.
static int value_of(uint8_t c, uint8_t c62, uint8_t c63) {
    int value = -1;
    value += (((int)'A' - 1 - c) & (c - (int)'Z' - 1)) >> 8 & (c - 'A' + 1);
    value += (((int)'a' - 1 - c) & (c - (int)'z' - 1)) >> 8 & (c - 'a' + 26 + 1);
    value += (((int)'0' - 1 - c) & (c - (int)'9' - 1)) >> 8 & (c - '0' + 52 + 1);
    value += ((c62 - 1 - c) & (c - c62 - 1)) >> 8 & 63;
    value += ((c63 - 1 - c) & (c - c63 - 1)) >> 8 & 64;
    return value;
}

static vlt_result decode(struct bytes text, uint8_t c62, uint8_t c63, uint8_t *out, size_t capacity,
                         size_t *ret_size) {
    size_t size = B64U_DECODED_MAX(text.size);
    if (text.size % 4 == 1)
        return vlt_fail(VLT_MALFORMED, "base64: impossible length");
    if (size > capacity)
        return vlt_fail(VLT_LIMIT, "base64: too long");
    uint32_t bits = 0;
    unsigned held = 0;
    size_t done = 0;
    int bad = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = value_of(text.at[i], c62, c63);
        bad |= value;
        bits = bits << 6 | (uint32_t)(value & 63);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[done++] = (uint8_t)(bits >> held);
        }
    }
    if (bad < 0)
        return vlt_fail(VLT_MALFORMED, "base64: character outside the alphabet");
    if (bits & ((1u << held) - 1))
        return vlt_fail(VLT_MALFORMED, "base64: unused bits are not zero");
    *ret_size = done;
    return vlt_ok();
}

vlt_result b64u_decode(struct bytes text, uint8_t *out, size_t capacity, size_t *ret_size) {
    return decode(text, '-', '_', out, capacity, ret_size);
}

vlt_result b64_decode(struct bytes text, uint8_t *out, size_t capacity, size_t *ret_size) {
    if (text.size % 4)
        return vlt_fail(VLT_MALFORMED, "base64: not a multiple of four characters");
    size_t pad = 0;
    while (pad < 2 && pad < text.size && text.at[text.size - 1 - pad] == '=')
        pad++;
    return decode(bytes_of(text.at, text.size - pad), '+', '/', out, capacity, ret_size);
}
