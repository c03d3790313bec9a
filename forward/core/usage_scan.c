// SPDX-License-Identifier: Apache-2.0
#include "forward/core/usage_scan.h"

#include "forward/core/byte_run.h"
#include "forward/core/utf8_put.h"

// What may come next in the JSON.
enum state {
    START, // the top object, or a list of such
    KEY,   // a name, or '}'
    COLON,
    VALUE,
    AFTER,  // ',' or '}'
    SKIP,   // anything inside of a container that holds no counts
    TEXT,   // that no one asks for
    ESCAPE, // after a backslash in it
    NAME,
    NAME_ESCAPE,
    NAME_CODE, // after \u
    NUMBER, // that is a count
    SCALAR, // that is none
    OVER    // there is no more, or it is not understood
};

// How much of the field's name stood in this line; then what the line is.
#define FIELD "data:"
enum line { LINE_BEGIN = 0, LINE_DATA = sizeof FIELD - 1, LINE_OTHER };

static void document_begin(struct usage_scan *s) {
    s->state = START;
    s->in_list = false;
    s->level = 0;
    s->skipped = 0;
}

void usage_scan_init(struct usage_scan *scan, const struct profile_usage *usage, bool is_events) {
    *scan = (struct usage_scan){.usage = usage, .is_events = is_events};
    document_begin(scan);
}

// ---- Objects that may hold counts ----

static void object_open(struct usage_scan *s, unsigned objects) {
    s->open[++s->level] = objects;
    s->state = KEY;
}

static void object_close(struct usage_scan *s) {
    s->level--;
    s->state = s->level ? AFTER : s->in_list ? START : OVER;
}

// With the first `level - 1` names of an object we are in it, or on the way to it.
static void key_end(struct usage_scan *s) {
    const struct profile_usage *usage = s->usage;
    struct bytes key = bytes_of(s->key, s->key_size);
    size_t names = s->level - 1;
    bool holds_counts = false;
    s->state = COLON;
    s->pending = 0;
    s->member = NULL;
    if (s->key_size > sizeof s->key)
        return;
    for (unsigned i = 0; i < usage->object_count; i++) {
        const struct profile_usage_object *object = &usage->objects[i];
        if (!(s->open[s->level] & 1u << i))
            continue;
        if (object->depth == names)
            holds_counts = true;
        else if (bytes_equal(object->names[names], key))
            s->pending |= 1u << i;
    }
    for (size_t i = 0; holds_counts && i < usage->member_count; i++)
        if (bytes_equal(usage->members[i].name, key))
            s->member = &usage->members[i];
}

// ---- Values ----

static void container_skip(struct usage_scan *s) {
    s->skipped = 1;
    s->state = SKIP;
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

// Of a number, true, false or null.
static bool is_scalar(uint8_t c) {
    return is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 26 || c == '-' || c == '+' || c == '.';
}

static void value_begin(struct usage_scan *s, uint8_t c) {
    if (c == '"') {
        s->state = TEXT;
    } else if (c == '{' && s->pending) {
        object_open(s, s->pending);
    } else if (c == '{' || c == '[') {
        container_skip(s);
    } else if (is_digit(c) && s->member) {
        s->value = (uint64_t)(c - '0');
        s->state = NUMBER;
    } else {
        s->state = is_scalar(c) ? SCALAR : OVER;
    }
}

static void start_take(struct usage_scan *s, uint8_t c) {
    if (c == '{')
        object_open(s, (1u << s->usage->object_count) - 1);
    else if (c == '[' && !s->in_list)
        s->in_list = true;
    else if (c != ',' || !s->in_list)
        s->state = OVER;
}

static void key_begin(struct usage_scan *s, uint8_t c) {
    s->key_size = 0;
    if (c == '"')
        s->state = NAME;
    else if (c == '}')
        object_close(s);
    else
        s->state = OVER;
}

static void after_take(struct usage_scan *s, uint8_t c) {
    if (c == ',')
        s->state = KEY;
    else if (c == '}')
        object_close(s);
    else
        s->state = OVER;
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void structure_take(struct usage_scan *s, uint8_t c) {
    if (is_space(c))
        return;
    switch (s->state) {
    case START:
        start_take(s, c);
        break;
    case KEY:
        key_begin(s, c);
        break;
    case COLON:
        s->state = c == ':' ? VALUE : OVER;
        break;
    case VALUE:
        value_begin(s, c);
        break;
    default:
        after_take(s, c);
    }
}

// No leading zero, and up to what every reader of JSON can hold.
static void number_take(struct usage_scan *s, uint8_t c) {
    if (is_digit(c)) {
        bool is_zero = s->value == 0;
        s->value = s->value * 10 + (uint64_t)(c - '0');
        if (is_zero || s->value > USAGE_SCAN_MAX)
            s->state = SCALAR;
        return;
    }
    if (is_scalar(c)) {
        s->state = SCALAR;
        return;
    }
    if (c == ',' || c == '}' || is_space(c)) {
        s->counts[s->member->count] = s->value;
        s->seen |= 1u << s->member->count;
    }
    s->state = AFTER;
    structure_take(s, c);
}

// ---- What is passed over, and names ----

static size_t text_take(struct usage_scan *s, struct bytes piece, size_t at) {
    for (;;) {
        at = byte_run_text(piece, at);
        if (at == piece.size)
            return at;
        uint8_t c = piece.at[at++];
        if (c == '\\' && at < piece.size) {
            at++;
            continue;
        }
        if (c == '"')
            s->state = s->skipped ? SKIP : AFTER;
        else
            s->state = c == '\\' ? ESCAPE : OVER;
        return at;
    }
}

static size_t skip_take(struct usage_scan *s, struct bytes piece, size_t at) {
    while (at < piece.size && s->state == SKIP)
        switch (piece.at[at++]) {
        case '"':
            s->state = TEXT;
            break;
        case '{':
        case '[':
            s->skipped++;
            break;
        case '}':
        case ']':
            if (--s->skipped == 0)
                s->state = AFTER;
        }
    return at;
}

static void name_is_none_of_ours(struct usage_scan *s) {
    s->key_size = sizeof s->key + 1;
}

static void name_put(struct usage_scan *s, const uint8_t *at, size_t size) {
    if (s->key_size <= sizeof s->key && size <= sizeof s->key - s->key_size) {
        memcpy(s->key + s->key_size, at, size);
        s->key_size += size;
    } else {
        name_is_none_of_ours(s);
    }
}

static size_t name_take(struct usage_scan *s, struct bytes piece, size_t at) {
    size_t end = byte_run_text(piece, at);
    name_put(s, piece.at + at, end - at);
    if (end == piece.size)
        return end;
    uint8_t c = piece.at[end];
    if (c == '"')
        key_end(s);
    else
        s->state = c == '\\' ? NAME_ESCAPE : OVER;
    return end + 1;
}

static void name_escape_take(struct usage_scan *s, uint8_t c) {
    static const uint8_t from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const uint8_t *found = c ? memchr(from, c, sizeof from - 1) : NULL;
    s->state = NAME;
    if (c == 'u') {
        s->state = NAME_CODE;
        s->escape_digits = 0;
        s->escape_code = 0;
    } else if (found) {
        name_put(s, &to[found - from], 1);
    } else {
        name_is_none_of_ours(s);
    }
}

static void name_code_end(struct usage_scan *s) {
    uint8_t utf8[UTF8_PUT_MAX];
    s->state = NAME;
    if (utf8_is_surrogate(s->escape_code))
        name_is_none_of_ours(s);
    else
        name_put(s, utf8, utf8_put(s->escape_code, utf8));
}

// What is no digit is looked at again, as a part of the name: it may be its end.
static size_t name_code_take(struct usage_scan *s, struct bytes piece, size_t at) {
    uint8_t c = piece.at[at], letter = (uint8_t)((c | 0x20) - 'a');
    if (!is_digit(c) && letter > 5) {
        name_is_none_of_ours(s);
        s->state = NAME;
        return at;
    }
    s->escape_code = s->escape_code * 16 + (is_digit(c) ? c - (unsigned)'0' : letter + 10u);
    if (++s->escape_digits == 4)
        name_code_end(s);
    return at + 1;
}

static size_t byte_take(struct usage_scan *s, struct bytes piece, size_t at) {
    uint8_t c = piece.at[at];
    switch (s->state) {
    case ESCAPE:
        s->state = TEXT;
        break;
    case NAME_ESCAPE:
        name_escape_take(s, c);
        break;
    case NUMBER:
        number_take(s, c);
        break;
    case SCALAR:
        if (is_scalar(c))
            break;
        s->state = AFTER;
        structure_take(s, c);
        break;
    default:
        structure_take(s, c);
    }
    return at + 1;
}

static void document_take(struct usage_scan *s, struct bytes piece) {
    for (size_t at = 0; at < piece.size;)
        switch (s->state) {
        case TEXT:
            at = text_take(s, piece, at);
            break;
        case SKIP:
            at = skip_take(s, piece, at);
            break;
        case NAME:
            at = name_take(s, piece, at);
            break;
        case NAME_CODE:
            at = name_code_take(s, piece, at);
            break;
        case OVER:
            return;
        default:
            at = byte_take(s, piece, at);
        }
}

// ---- Events ----

// An event may have several lines of data: a line break stands between them.
static void line_end(struct usage_scan *s, uint8_t c) {
    bool is_second_half = c == '\n' && s->after_cr;
    s->after_cr = c == '\r';
    if (is_second_half)
        return;
    if (s->line == LINE_BEGIN)
        document_begin(s);
    else if (s->line == LINE_DATA)
        document_take(s, BYTES_LITERAL("\n"));
    s->line = LINE_BEGIN;
}

static void events_take(struct usage_scan *s, struct bytes piece) {
    for (size_t at = 0; at < piece.size;) {
        uint8_t c = piece.at[at];
        if (c == '\r' || c == '\n') {
            line_end(s, c);
            at++;
            continue;
        }
        s->after_cr = false;
        if (s->line < LINE_DATA) {
            s->line = c == (uint8_t)FIELD[s->line] ? s->line + 1 : LINE_OTHER;
            at++;
            continue;
        }
        size_t end = byte_run_line(piece, at);
        if (s->line == LINE_DATA)
            document_take(s, bytes_of(piece.at + at, end - at));
        at = end;
    }
}

// ---- The whole answer ----

static void answer_take(struct usage_scan *s, struct bytes piece) {
    if (s->is_events)
        events_take(s, piece);
    else
        document_take(s, piece);
}

#define MARK "\xef\xbb\xbf" // U+FEFF
#define MARK_BYTES (sizeof MARK - 1)

// What begins like the mark and goes on otherwise is a part of the answer.
static struct bytes mark_pass(struct usage_scan *s, struct bytes piece) {
    const struct bytes mark = BYTES_LITERAL(MARK);
    size_t at = 0;
    while (s->mark < MARK_BYTES && at < piece.size) {
        if (piece.at[at] == mark.at[s->mark]) {
            s->mark++;
            at++;
            continue;
        }
        size_t stood = s->mark;
        s->mark = MARK_BYTES;
        answer_take(s, bytes_of(mark.at, stood));
    }
    return bytes_from(piece, at);
}

void usage_scan_feed(struct usage_scan *scan, struct bytes piece) {
    answer_take(scan, mark_pass(scan, piece));
}

// ---- What was found ----

static bool sum(const struct usage_scan *scan, unsigned counts, uint64_t *ret_tokens) {
    uint64_t tokens = 0;
    counts &= scan->seen;
    for (unsigned i = 0; i < PROFILE_USAGE_COUNTS_MAX; i++)
        if (counts & 1u << i)
            tokens += scan->counts[i];
    if (counts)
        *ret_tokens = tokens;
    return counts != 0;
}

bool usage_scan_input(const struct usage_scan *scan, uint64_t *ret_tokens) {
    return sum(scan, ~scan->usage->outputs, ret_tokens);
}

bool usage_scan_output(const struct usage_scan *scan, uint64_t *ret_tokens) {
    return sum(scan, scan->usage->outputs, ret_tokens);
}
