// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_literal.h"

#include "libvault/base/hex.h"

// What one escape or plain character stands for.
struct piece {
    uint32_t character;
    size_t size;       // of the source
    bool is_star_text; // \* in a pattern
};

// \xHH of an ASCII character.
static bool read_hex(struct bytes raw, struct piece *piece) {
    if (raw.size < 4 || hex_value(raw.at[2]) < 0 || hex_value(raw.at[3]) < 0)
        return false;
    piece->character = (uint32_t)(hex_value(raw.at[2]) << 4 | hex_value(raw.at[3]));
    piece->size = 4;
    return piece->character < 0x80;
}

// \u{…}: one to six digits, underscores between them.
static bool read_unicode(struct bytes raw, struct piece *piece) {
    size_t at = 3, digits = 0;
    uint32_t value = 0;
    if (raw.size < 5 || raw.at[2] != '{' || raw.at[3] == '_')
        return false;
    for (; at < raw.size && raw.at[at] != '}'; at++) {
        if (raw.at[at] == '_')
            continue;
        if (hex_value(raw.at[at]) < 0 || ++digits > 6)
            return false;
        value = value << 4 | (uint32_t)hex_value(raw.at[at]);
    }
    if (at == raw.size || digits == 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return false;
    *piece = (struct piece){.character = value, .size = at + 1};
    return true;
}

static bool read_escape(struct bytes raw, bool in_pattern, struct piece *piece) {
    static const char names[] = "nrt\\0'\"", values[] = "\n\r\t\\\0'\"";
    if (raw.size < 2)
        return false;
    if (raw.at[1] == 'x')
        return read_hex(raw, piece);
    if (raw.at[1] == 'u')
        return read_unicode(raw, piece);
    if (in_pattern && raw.at[1] == '*') {
        *piece = (struct piece){.character = '*', .size = 2, .is_star_text = true};
        return true;
    }
    for (size_t i = 0; i < sizeof names - 1; i++)
        if (raw.at[1] == (uint8_t)names[i]) {
            *piece = (struct piece){.character = (uint8_t)values[i], .size = 2};
            return true;
        }
    return false;
}

static size_t put_utf8(uint8_t *at, uint32_t c) {
    if (c < 0x80) {
        at[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        at[i] = (uint8_t)(0x80 | (c & 0x3f));
    at[0] = (uint8_t)(first[size] | c);
    return size;
}

// The next piece of `raw`. A bare carriage return is refused, as Rust does.
static bool read_piece(struct bytes raw, bool in_pattern, struct piece *piece) {
    if (raw.at[0] == '\\')
        return read_escape(raw, in_pattern, piece);
    *piece = (struct piece){.character = raw.at[0], .size = 1};
    return raw.at[0] != '\r';
}

// An unescaped text is never longer than its source.
static vlt_result room_for(struct policy_arena *arena, struct bytes raw, uint8_t **ret_room) {
    uint8_t *room = policy_arena_take(arena, raw.size);
    if (!room)
        return vlt_fail(VLT_LIMIT, "no memory left for the policies");
    *ret_room = room;
    return vlt_ok();
}

vlt_result policy_literal_string(struct policy_arena *arena, struct bytes raw, size_t *ret_bad_at,
                                 struct bytes *ret_text) {
    uint8_t *room;
    size_t size = 0;
    VLT_TRY(room_for(arena, raw, &room));
    for (size_t at = 0; at < raw.size;) {
        struct piece piece = {0};
        if (!read_piece(bytes_from(raw, at), false, &piece)) {
            if (ret_bad_at)
                *ret_bad_at = at;
            return vlt_fail(VLT_MALFORMED, "not a valid escape");
        }
        // Bytes of a longer character are copied one by one.
        if (raw.at[at] == '\\')
            size += put_utf8(room + size, piece.character);
        else
            room[size++] = raw.at[at];
        at += piece.size;
    }
    if (size > POLICY_LITERAL_MAX_BYTES)
        return vlt_fail(VLT_LIMIT, "string literal too long");
    *ret_text = bytes_of(room, size);
    return vlt_ok();
}

static vlt_result count_stars(struct bytes raw, size_t *ret_bad_at, size_t *ret_stars) {
    size_t stars = 0;
    for (size_t at = 0; at < raw.size;) {
        struct piece piece = {0};
        if (!read_piece(bytes_from(raw, at), true, &piece)) {
            if (ret_bad_at)
                *ret_bad_at = at;
            return vlt_fail(VLT_MALFORMED, "not a valid escape");
        }
        stars += piece.character == '*' && !piece.is_star_text;
        at += piece.size;
    }
    *ret_stars = stars;
    return vlt_ok();
}

vlt_result policy_literal_pattern(struct policy_arena *arena, struct bytes raw, size_t *ret_bad_at,
                                  struct policy_pattern *ret_pattern) {
    size_t stars, size = 0, begin = 0, count = 0;
    uint8_t *room;
    VLT_TRY(count_stars(raw, ret_bad_at, &stars));
    VLT_TRY(room_for(arena, raw, &room));
    struct bytes *pieces = policy_arena_take_array(arena, stars + 1, sizeof *pieces);
    if (!pieces)
        return vlt_fail(VLT_LIMIT, "no memory left for the policies");
    for (size_t at = 0; at < raw.size;) {
        struct piece piece = {0};
        if (!read_piece(bytes_from(raw, at), true, &piece))
            return vlt_fail(VLT_BUG, "pattern read twice, differently");
        // A star is one however it is written, except as \*.
        if (piece.character == '*' && !piece.is_star_text) {
            pieces[count++] = bytes_of(room + begin, size - begin);
            begin = size;
        } else if (raw.at[at] == '\\') {
            size += put_utf8(room + size, piece.character);
        } else {
            room[size++] = raw.at[at];
        }
        at += piece.size;
    }
    pieces[count++] = bytes_of(room + begin, size - begin);
    if (raw.size > POLICY_LITERAL_MAX_BYTES)
        return vlt_fail(VLT_LIMIT, "string literal too long");
    *ret_pattern = (struct policy_pattern){pieces, count};
    return vlt_ok();
}

static bool ends_with(struct bytes text, struct bytes end) {
    return text.size >= end.size && bytes_equal(bytes_from(text, text.size - end.size), end);
}

// Whole characters are matched without looking at their borders: UTF-8 finds
// no character inside another.
bool policy_pattern_matches(const struct policy_pattern *pattern, struct bytes text, size_t *work) {
    const struct bytes *pieces = pattern->pieces;
    size_t last = pattern->piece_count - 1;
    if (last == 0)
        return bytes_equal(text, pieces[0]);
    if (!bytes_begin_with(text, pieces[0]))
        return false;
    text = bytes_from(text, pieces[0].size);
    // Each piece between two stars is best found as early as possible.
    for (size_t i = 1; i < last; i++) {
        while (!bytes_begin_with(text, pieces[i])) {
            if (text.size <= pieces[i].size)
                return false;
            text = bytes_from(text, 1);
            *work += 1 + pieces[i].size / 16;
            if (*work > POLICY_STEPS_MAX)
                return false; // the evaluator stops at that, whatever is said here
        }
        text = bytes_from(text, pieces[i].size);
        *work += 1 + pieces[i].size / 16;
    }
    return ends_with(text, pieces[last]);
}

bool policy_name_is_free(struct bytes name) {
    static const char *const reserved[] = {"if", "true", "false", "then", "else",
                                           "in", "is",   "has",   "like", "__cedar"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (bytes_equal_text(name, reserved[i]))
            return false;
    return true;
}

static bool is_identifier(struct bytes name) {
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.size > 0;
}

bool policy_path_is_valid(struct bytes path) {
    for (;;) {
        size_t colon = bytes_find(path, ':');
        struct bytes name = bytes_of(path.at, colon);
        if (!is_identifier(name) || !policy_name_is_free(name))
            return false;
        if (colon == path.size)
            return true;
        if (colon + 1 >= path.size || path.at[colon + 1] != ':')
            return false;
        path = bytes_from(path, colon + 2);
    }
}
