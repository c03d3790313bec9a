// SPDX-License-Identifier: Apache-2.0
#include "forward/core/json_cursor.h"

#include "forward/core/utf8_put.h"
#include "libvault/base/hex.h"

#define SKIP_DEPTH 16

void json_cursor_init(struct json_cursor *c, uint8_t *at, size_t size) {
    *c = (struct json_cursor){.at = at, .end = at + size};
}

static int peek(struct json_cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
    return c->failed || c->at == c->end ? -1 : *c->at;
}

static bool take(struct json_cursor *c, char wanted) {
    if (peek(c) != wanted) {
        c->failed = true;
        return false;
    }
    c->at++;
    return true;
}

static void begin(struct json_cursor *c, char open) {
    take(c, open);
    c->is_first = true;
}

// False when the container ends here.
static bool next(struct json_cursor *c, char close) {
    if (peek(c) == close) {
        c->at++;
        c->is_first = false;
        return false;
    }
    if (!c->is_first)
        take(c, ',');
    c->is_first = false;
    return !c->failed;
}

void json_object_begin(struct json_cursor *c) {
    begin(c, '{');
}
void json_array_begin(struct json_cursor *c) {
    begin(c, '[');
}
bool json_item_next(struct json_cursor *c) {
    return next(c, ']');
}

bool json_member_next(struct json_cursor *c, struct bytes *ret_name) {
    if (!next(c, '}'))
        return false;
    struct bytes name = json_text(c);
    take(c, ':');
    if (c->failed)
        return false;
    *ret_name = name;
    return true;
}

// After "\u": a code point of the basic plane as UTF-8. Surrogates are refused:
// nothing that the redeemer sends lies beyond that plane.
static uint8_t *put_code_point(struct json_cursor *c, uint8_t *out) {
    uint8_t unit[2];
    if (c->end - c->at < 4 || !vlt_is_ok(hex_decode(bytes_of(c->at, 4), unit, 2)) ||
        utf8_is_surrogate(unit[0] * 256u + unit[1])) {
        c->failed = true;
        return out;
    }
    c->at += 4;
    return out + utf8_put(unit[0] * 256u + unit[1], out); // shorter than what spelled it
}

static uint8_t *put_escape(struct json_cursor *c, uint8_t *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (c->at == c->end) {
        c->failed = true;
        return out;
    }
    uint8_t escape = *c->at++;
    if (escape == 'u')
        return put_code_point(c, out);
    const char *found = escape ? strchr(from, escape) : NULL;
    if (!found)
        c->failed = true;
    else
        *out++ = (uint8_t)to[found - from];
    return out;
}

struct bytes json_text(struct json_cursor *c) {
    if (!take(c, '"'))
        return bytes_of(NULL, 0);
    uint8_t *begin_at = c->at, *out = c->at;
    while (!c->failed) {
        if (c->at == c->end || *c->at < 0x20) {
            c->failed = true;
            break;
        }
        uint8_t byte = *c->at++;
        if (byte == '"')
            return bytes_of(begin_at, (size_t)(out - begin_at));
        if (byte == '\\')
            out = put_escape(c, out);
        else
            *out++ = byte;
    }
    return bytes_of(NULL, 0);
}

uint64_t json_number(struct json_cursor *c) {
    uint64_t value = 0;
    int first = peek(c);
    if (first < '0' || first > '9')
        c->failed = true;
    while (!c->failed && c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        if (value > (UINT64_MAX - 9) / 10)
            c->failed = true;
        value = value * 10 + (*c->at++ - '0');
    }
    return c->failed ? 0 : value;
}

static bool take_word(struct json_cursor *c, const char *word) {
    size_t size = strlen(word);
    if (peek(c) != word[0] || (size_t)(c->end - c->at) < size ||
        !bytes_equal(bytes_of(c->at, size), bytes_of(word, size)))
        return false;
    c->at += size;
    return true;
}

bool json_boolean(struct json_cursor *c) {
    if (take_word(c, "true"))
        return true;
    if (!take_word(c, "false"))
        c->failed = true;
    return false;
}

static void skip(struct json_cursor *c, unsigned depth) {
    struct bytes name;
    int first = peek(c);
    if (depth == SKIP_DEPTH) {
        c->failed = true;
    } else if (first == '{') {
        json_object_begin(c);
        while (json_member_next(c, &name))
            skip(c, depth + 1);
    } else if (first == '[') {
        json_array_begin(c);
        while (json_item_next(c))
            skip(c, depth + 1);
    } else if (first == '"') {
        json_text(c);
    } else if (first == '-' || (first >= '0' && first <= '9')) {
        while (c->at < c->end && *c->at && strchr("+-.0123456789eE", *c->at))
            c->at++;
    } else if (!take_word(c, "null")) {
        json_boolean(c);
    }
}

void json_skip(struct json_cursor *c) {
    skip(c, 0);
}

bool json_cursor_is_done(struct json_cursor *c) {
    return peek(c) == -1 && !c->failed;
}
