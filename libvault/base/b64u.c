// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/b64u.h"

// Eight characters are worked on at once, in the bytes of one word, and without a
// table: nothing may depend on memory that a neighbour can observe, because JWE
// parts and secrets pass through here too.

struct alphabet { // the two characters that are not alike everywhere
    uint8_t c62, c63;
};
static const struct alphabet url_alphabet = {'-', '_'}, std_alphabet = {'+', '/'};

// The bytes of a word as gcc and clang compute with them at once.
typedef uint8_t lanes __attribute__((vector_size(8)));

// ---- Encode ----

// Each range of the alphabet lies at another distance from its values than the range
// before it: what is added there changes at its first value.
static uint64_t characters_of(uint64_t values, struct alphabet alphabet) {
    const uint8_t lower = 'a' - 26 - 'A', digit = (uint8_t)('0' - 52 - ('a' - 26)),
                  c62 = (uint8_t)(alphabet.c62 - 62 - ('0' - 52)),
                  c63 = (uint8_t)(alphabet.c63 - 63 - (alphabet.c62 - 62));
    lanes value;
    memcpy(&value, &values, sizeof value);
    lanes character = value + (uint8_t)'A';
    character += (lanes)(value > 25) & lower;
    character += (lanes)(value > 51) & digit;
    character += (lanes)(value > 61) & c62;
    character += (lanes)(value > 62) & c63;
    memcpy(&values, &character, sizeof values);
    return values;
}

// 48 bits become eight bytes of six.
static uint64_t spread(uint64_t bits) {
    bits = (bits << 8 & UINT64_C(0x00FFFFFF00000000)) | (bits & UINT64_C(0x0000000000FFFFFF));
    bits = (bits << 4 & UINT64_C(0x0FFF00000FFF0000)) | (bits & UINT64_C(0x00000FFF00000FFF));
    return (bits << 2 & UINT64_C(0x3F003F003F003F00)) | (bits & UINT64_C(0x003F003F003F003F));
}

static uint64_t encode_six(const uint8_t *at, struct alphabet alphabet) {
    uint32_t first = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    uint64_t bits = (uint64_t)first << 16 | (uint64_t)at[4] << 8 | at[5];
    return characters_of(spread(bits), alphabet);
}

static void put_characters(uint64_t word, size_t count, char *text) {
    for (size_t i = 0; i < count; i++)
        text[i] = (char)(word >> (56 - 8 * i));
}

// All eight, which a compiler makes one move of.
static void put_eight(uint64_t word, char *text) {
    text[0] = (char)(word >> 56);
    text[1] = (char)(word >> 48);
    text[2] = (char)(word >> 40);
    text[3] = (char)(word >> 32);
    text[4] = (char)(word >> 24);
    text[5] = (char)(word >> 16);
    text[6] = (char)(word >> 8);
    text[7] = (char)word;
}

static void encode(struct bytes bytes, struct alphabet alphabet, char *text) {
    size_t at = 0;
    for (; bytes.size - at >= 6; at += 6, text += 8)
        put_eight(encode_six(bytes.at + at, alphabet), text);
    if (at == bytes.size)
        return;
    uint8_t last[6] = {0};
    memcpy(last, bytes.at + at, bytes.size - at);
    put_characters(encode_six(last, alphabet), B64U_SIZE(bytes.size - at), text);
}

void b64u_encode_text(struct bytes bytes, char *text) {
    encode(bytes, url_alphabet, text);
    text[B64U_SIZE(bytes.size)] = 0;
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

// ---- Decode ----

static uint64_t load(const uint8_t *at) {
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 |
           (uint64_t)at[3] << 32 | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
           (uint64_t)at[6] << 8 | at[7];
}

// All bits of each byte that is `from` to `to`.
static lanes within(lanes character, uint8_t from, uint8_t to) {
    return (lanes)((lanes)(character - from) <= (uint8_t)(to - from));
}

// Sets a bit of *bad when a character is not of the alphabet.
static uint64_t values_of(uint64_t characters, struct alphabet alphabet, uint64_t *bad) {
    uint64_t values, known;
    lanes character;
    memcpy(&character, &characters, sizeof character);
    lanes upper = within(character, 'A', 'Z'), lower = within(character, 'a', 'z'),
          digit = within(character, '0', '9'), is_62 = (lanes)(character == alphabet.c62),
          is_63 = (lanes)(character == alphabet.c63);
    lanes value = (upper & (character - 'A')) | (lower & (character - ('a' - 26))) |
                  (digit & (character + (52 - '0'))) | (is_62 & 62) | (is_63 & 63);
    lanes any = upper | lower | digit | is_62 | is_63;
    memcpy(&values, &value, sizeof values);
    memcpy(&known, &any, sizeof known);
    *bad |= ~known;
    return values;
}

// Eight bytes of six bits become 48 bits.
static uint64_t gather(uint64_t values) {
    values = (values & UINT64_C(0x3F003F003F003F00)) >> 2 | (values & UINT64_C(0x003F003F003F003F));
    values = (values & UINT64_C(0x0FFF00000FFF0000)) >> 4 | (values & UINT64_C(0x00000FFF00000FFF));
    return (values & UINT64_C(0x00FFFFFF00000000)) >> 8 | (values & UINT64_C(0x0000000000FFFFFF));
}

static void put_bytes(uint64_t bits, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)(bits >> (40 - 8 * i));
}

// All six, which a compiler makes two moves of.
static void put_six(uint64_t bits, uint8_t *out) {
    out[0] = (uint8_t)(bits >> 40);
    out[1] = (uint8_t)(bits >> 32);
    out[2] = (uint8_t)(bits >> 24);
    out[3] = (uint8_t)(bits >> 16);
    out[4] = (uint8_t)(bits >> 8);
    out[5] = (uint8_t)bits;
}

static vlt_result decode(struct bytes text, struct alphabet alphabet, uint8_t *out, size_t capacity,
                         size_t *ret_size) {
    size_t size = B64U_DECODED_MAX(text.size), at = 0, left = size;
    uint64_t bad = 0, bits = 0;
    if (text.size % 4 == 1)
        return vlt_fail(VLT_MALFORMED, "base64: impossible length");
    if (size > capacity)
        return vlt_fail(VLT_LIMIT, "base64: too long");
    for (; text.size - at >= 8; at += 8, left -= 6, out += 6)
        put_six(gather(values_of(load(text.at + at), alphabet, &bad)), out);
    if (at < text.size) {
        uint8_t last[8] = "AAAAAAAA"; // zeros behind what is left
        memcpy(last, text.at + at, text.size - at);
        bits = gather(values_of(load(last), alphabet, &bad));
        put_bytes(bits, left, out);
    }
    if (bad)
        return vlt_fail(VLT_MALFORMED, "base64: character outside the alphabet");
    if (bits & ((UINT64_C(1) << (48 - 8 * left)) - 1))
        return vlt_fail(VLT_MALFORMED, "base64: unused bits are not zero");
    *ret_size = size;
    return vlt_ok();
}

vlt_result b64u_decode(struct bytes text, uint8_t *out, size_t capacity, size_t *ret_size) {
    return decode(text, url_alphabet, out, capacity, ret_size);
}

vlt_result b64u_decode_next(struct bytes text, uint8_t **next, struct bytes *ret_part) {
    size_t size = 0;
    VLT_TRY(b64u_decode(text, *next, B64U_DECODED_MAX(text.size), &size));
    *ret_part = bytes_of(*next, size);
    *next += size;
    return vlt_ok();
}

vlt_result b64_decode(struct bytes text, uint8_t *out, size_t capacity, size_t *ret_size) {
    if (text.size % 4)
        return vlt_fail(VLT_MALFORMED, "base64: not a multiple of four characters");
    size_t pad = 0;
    while (pad < 2 && pad < text.size && text.at[text.size - 1 - pad] == '=')
        pad++;
    return decode(bytes_of(text.at, text.size - pad), std_alphabet, out, capacity, ret_size);
}
