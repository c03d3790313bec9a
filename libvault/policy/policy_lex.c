// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_lex.h"

void policy_lexer_init(struct policy_lexer *lexer, struct bytes source) {
    *lexer = (struct policy_lexer){.source = source, .line = 1, .column = 1};
}

static uint8_t peek(const struct policy_lexer *lexer, size_t ahead) {
    size_t at = lexer->at + ahead;
    return at < lexer->source.size ? lexer->source.at[at] : 0;
}

// Columns count characters, so bytes that continue one do not.
static void step(struct policy_lexer *lexer, size_t count) {
    for (; count > 0; count--) {
        uint8_t c = lexer->source.at[lexer->at++];
        if (c == '\n') {
            lexer->line++;
            lexer->column = 1;
        } else if ((c & 0xc0) != 0x80) {
            lexer->column++;
        }
    }
}

static size_t character_size(uint8_t first) {
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

// Bytes of the white space character here; 0 when there is none. The list is
// Unicode's White_Space property.
static size_t space_size(const struct policy_lexer *lexer) {
    uint8_t a = peek(lexer, 0), b = peek(lexer, 1), c = peek(lexer, 2);
    if (a == ' ' || (a >= '\t' && a <= '\r'))
        return 1;
    if (a == 0xc2)
        return b == 0x85 || b == 0xa0 ? 2 : 0;
    if (a == 0xe1)
        return b == 0x9a && c == 0x80 ? 3 : 0;
    if (a == 0xe2 && b == 0x80)
        return (c >= 0x80 && c <= 0x8a) || c == 0xa8 || c == 0xa9 || c == 0xaf ? 3 : 0;
    if (a == 0xe2 && b == 0x81)
        return c == 0x9f ? 3 : 0;
    return a == 0xe3 && b == 0x80 && c == 0x80 ? 3 : 0;
}

static void skip_space(struct policy_lexer *lexer) {
    while (lexer->at < lexer->source.size) {
        size_t size = space_size(lexer);
        if (size > 0) {
            step(lexer, size);
        } else if (peek(lexer, 0) == '/' && peek(lexer, 1) == '/') {
            while (lexer->at < lexer->source.size && peek(lexer, 0) != '\n' &&
                   peek(lexer, 0) != '\r')
                step(lexer, 1);
        } else {
            return;
        }
    }
}

static bool begins_name(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static size_t name_size(const struct policy_lexer *lexer, size_t from) {
    size_t size = from;
    while (begins_name(peek(lexer, size)) || is_digit(peek(lexer, size)))
        size++;
    return size;
}

// With both quotes; 0 when the string has no end. A backslash takes the next
// character with it, which must not be the end of the line.
static size_t string_size(const struct policy_lexer *lexer) {
    size_t left = lexer->source.size - lexer->at;
    for (size_t size = 1; size < left; size++) {
        uint8_t c = peek(lexer, size);
        if (c == '"')
            return size + 1;
        if (c == '\\' && (++size == left || peek(lexer, size) == '\n'))
            return 0;
    }
    return 0;
}

static size_t sign_size(const struct policy_lexer *lexer) {
    static const char *const pairs[] = {"::", "==", "!=", "<=", ">=", "||", "&&"};
    uint8_t a = peek(lexer, 0), b = peek(lexer, 1);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (a == (uint8_t)pairs[i][0] && b == (uint8_t)pairs[i][1])
            return 2;
    return a && strchr("@.,;:(){}[]<>+-*/%!=", a) ? 1 : 0;
}

struct policy_token policy_lexer_next(struct policy_lexer *lexer) {
    skip_space(lexer);
    struct policy_token token = {.line = lexer->line, .column = lexer->column};
    size_t begin = lexer->at, size = 0;
    if (begin == lexer->source.size)
        return token;
    uint8_t c = peek(lexer, 0);
    if (begins_name(c)) {
        token.kind = POLICY_TOKEN_NAME;
        size = name_size(lexer, 1);
    } else if (is_digit(c)) {
        token.kind = POLICY_TOKEN_NUMBER;
        while (is_digit(peek(lexer, size)))
            size++;
    } else if (c == '"') {
        token.kind = POLICY_TOKEN_STRING;
        size = string_size(lexer);
    } else if (c == '?' && begins_name(peek(lexer, 1))) {
        token.kind = POLICY_TOKEN_SLOT;
        size = name_size(lexer, 2);
    } else {
        token.kind = POLICY_TOKEN_SIGN;
        size = sign_size(lexer);
    }
    if (size == 0) {
        token.kind = POLICY_TOKEN_WRONG;
        size = character_size(c);
    }
    token.text = bytes_of(lexer->source.at + begin, size);
    step(lexer, size);
    if (token.kind == POLICY_TOKEN_STRING)
        token.text = bytes_of(token.text.at + 1, size - 2);
    return token;
}
