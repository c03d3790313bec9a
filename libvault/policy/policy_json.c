// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_json.h"

#include "libvault/policy/policy_value.h"

#include <stdarg.h>
#include <stdio.h>

struct reader {
    struct policy_arena *arena;
    struct bytes text;
    size_t at;
    size_t line_at; // where the line begins
    uint32_t line;
    unsigned depth;
    const char *wrong;
    enum vlt_class class;
};

static bool read_value(struct reader *reader, struct policy_json *json);

static bool refuse(struct reader *reader, enum vlt_class class, const char *wrong) {
    if (!reader->wrong) {
        reader->wrong = wrong;
        reader->class = class;
    }
    return false;
}

static bool no_memory(struct reader *reader) {
    return refuse(reader, VLT_LIMIT, "the JSON needs more memory than a request may have");
}

static int peek(const struct reader *reader) {
    return reader->at < reader->text.size ? reader->text.at[reader->at] : -1;
}

static void skip_space(struct reader *reader) {
    for (int c = peek(reader); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(reader)) {
        reader->at++;
        if (c == '\n') {
            reader->line++;
            reader->line_at = reader->at;
        }
    }
}

static bool skip(struct reader *reader, char c) {
    if (peek(reader) != c)
        return false;
    reader->at++;
    skip_space(reader);
    return true;
}

static bool read_hex4(struct reader *reader, uint32_t *ret_unit) {
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++, reader->at++) {
        int c = peek(reader);
        if (c >= '0' && c <= '9')
            unit = unit * 16 + (uint32_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            unit = unit * 16 + (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return refuse(reader, VLT_MALFORMED, "\\u needs four hexadecimal digits");
    }
    *ret_unit = unit;
    return true;
}

// After "\u": one unit, or two that are a surrogate pair.
static bool read_code_point(struct reader *reader, uint32_t *ret_point) {
    uint32_t high, low;
    if (!read_hex4(reader, &high))
        return false;
    *ret_point = high;
    if (high < 0xd800 || high > 0xdfff)
        return true;
    if (high > 0xdbff ||
        !bytes_begin_with(bytes_from(reader->text, reader->at), BYTES_LITERAL("\\u")))
        return refuse(reader, VLT_MALFORMED, "half a surrogate pair");
    reader->at += 2;
    if (!read_hex4(reader, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return refuse(reader, VLT_MALFORMED, "half a surrogate pair");
    *ret_point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static size_t put_utf8(uint8_t *at, uint32_t c) {
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        at[i] = (uint8_t)(0x80 | (c & 0x3f));
    at[0] = (uint8_t)(size == 1 ? c : first[size] | c);
    return size;
}

static bool read_escape(struct reader *reader, uint8_t *out, size_t *size) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    int c = peek(reader);
    uint32_t point;
    reader->at++;
    if (c == 'u') {
        if (!read_code_point(reader, &point))
            return false;
        *size += put_utf8(out + *size, point);
        return true;
    }
    const char *name = c > 0 ? strchr(names, c) : NULL;
    if (!name)
        return refuse(reader, VLT_MALFORMED, "unknown escape");
    out[(*size)++] = (uint8_t)values[name - names];
    return true;
}

// Never longer than its source, which ends at the first unescaped quote.
static bool read_string(struct reader *reader, struct bytes *ret_text) {
    size_t end = reader->at + 1;
    if (peek(reader) != '"')
        return refuse(reader, VLT_MALFORMED, "expected a string");
    while (end < reader->text.size && reader->text.at[end] != '"')
        end += reader->text.at[end] == '\\' ? 2 : 1;
    if (end >= reader->text.size)
        return refuse(reader, VLT_MALFORMED, "this string has no end");
    uint8_t *out = policy_arena_take(reader->arena, end - reader->at);
    size_t size = 0;
    if (!out)
        return no_memory(reader);
    for (reader->at++; reader->at < end;) {
        uint8_t c = reader->text.at[reader->at];
        if (c < 0x20)
            return refuse(reader, VLT_MALFORMED, "control character in a string");
        reader->at++;
        if (c != '\\')
            out[size++] = c;
        else if (!read_escape(reader, out, &size))
            return false;
    }
    reader->at = end + 1;
    skip_space(reader);
    *ret_text = bytes_of(out, size);
    return true;
}

static bool read_integer(struct reader *reader, struct policy_json *json) {
    int sign = peek(reader) == '-' ? -1 : 1;
    reader->at += sign < 0;
    size_t begin = reader->at;
    int64_t value = 0;
    for (int c = peek(reader); c >= '0' && c <= '9'; c = peek(reader)) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, sign * (c - '0'), &value))
            return refuse(reader, VLT_MALFORMED, "number beyond 64 bits");
        reader->at++;
    }
    int next = peek(reader);
    if (reader->at == begin || (reader->text.at[begin] == '0' && reader->at > begin + 1))
        return refuse(reader, VLT_MALFORMED, "expected a value");
    if (next == '.' || next == 'e' || next == 'E')
        return refuse(reader, VLT_MALFORMED, "only integers are allowed");
    skip_space(reader);
    json->kind = POLICY_JSON_INTEGER;
    json->integer = value;
    return true;
}

static bool read_array(struct reader *reader, struct policy_json *json) {
    struct policy_json *items = NULL;
    size_t count = 0, capacity = 0;
    for (bool more = !skip(reader, ']'); more; more = !skip(reader, ']')) {
        if (count > 0 && !skip(reader, ','))
            return refuse(reader, VLT_MALFORMED, "expected ',' or ']'");
        items = policy_arena_grow(reader->arena, items, count, &capacity, sizeof *items);
        if (!items)
            return no_memory(reader);
        if (!read_value(reader, &items[count++]))
            return false;
    }
    json->kind = POLICY_JSON_ARRAY;
    json->items = items;
    json->count = count;
    return true;
}

static int order_members(const void *a, const void *b) {
    const struct policy_json_member *const *x = a, *const *y = b;
    return policy_name_compare((*x)->name, (*y)->name);
}

// Sorting pointers and copying once is cheaper than moving members about.
static bool sort_members(struct reader *reader, struct policy_json_member *members, size_t count,
                         const struct policy_json_member **ret_sorted) {
    struct policy_json_member **order =
        policy_arena_take_array(reader->arena, count, sizeof *order);
    struct policy_json_member *sorted =
        policy_arena_take_array(reader->arena, count, sizeof *sorted);
    if (!order || !sorted)
        return no_memory(reader);
    for (size_t i = 0; i < count; i++)
        order[i] = &members[i];
    policy_sort(order, count, sizeof *order, order_members);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && order_members(&order[i - 1], &order[i]) == 0)
            return refuse(reader, VLT_MALFORMED, "one name twice in an object");
        sorted[i] = *order[i];
    }
    *ret_sorted = sorted;
    return true;
}

static bool read_object(struct reader *reader, struct policy_json *json) {
    struct policy_json_member *members = NULL;
    size_t count = 0, capacity = 0;
    for (bool more = !skip(reader, '}'); more; more = !skip(reader, '}')) {
        if (count > 0 && !skip(reader, ','))
            return refuse(reader, VLT_MALFORMED, "expected ',' or '}'");
        members = policy_arena_grow(reader->arena, members, count, &capacity, sizeof *members);
        if (!members)
            return no_memory(reader);
        struct policy_json_member *member = &members[count++];
        if (!read_string(reader, &member->name))
            return false;
        if (!skip(reader, ':'))
            return refuse(reader, VLT_MALFORMED, "expected ':'");
        if (!read_value(reader, &member->value))
            return false;
    }
    json->kind = POLICY_JSON_OBJECT;
    json->count = count;
    return sort_members(reader, members, count, &json->members);
}

static bool read_container(struct reader *reader, struct policy_json *json) {
    if (reader->depth == POLICY_JSON_DEPTH_MAX)
        return refuse(reader, VLT_LIMIT, "nested too deeply");
    reader->depth++;
    bool is_object = peek(reader) == '{';
    reader->at++;
    skip_space(reader);
    bool well = is_object ? read_object(reader, json) : read_array(reader, json);
    reader->depth--;
    return well;
}

static bool read_word(struct reader *reader, struct policy_json *json) {
    static const char *const words[] = {"null", "false", "true"};
    for (int i = 0; i < 3; i++)
        if (bytes_begin_with(bytes_from(reader->text, reader->at), bytes_of_text(words[i]))) {
            reader->at += strlen(words[i]);
            skip_space(reader);
            json->kind = i == 0 ? POLICY_JSON_NULL : POLICY_JSON_BOOL;
            json->boolean = i == 2;
            return true;
        }
    return refuse(reader, VLT_MALFORMED, "expected a value");
}

// Columns count characters; a byte that continues one is not counted.
static uint32_t column_here(const struct reader *reader) {
    uint32_t column = 1;
    for (size_t i = reader->line_at; i < reader->at; i++)
        column += (reader->text.at[i] & 0xc0) != 0x80;
    return column;
}

static bool read_value(struct reader *reader, struct policy_json *json) {
    // Counting from the start of a line of megabytes for each value would be
    // quadratic: such a file gets bytes instead of characters.
    bool is_short = reader->at - reader->line_at < 4096;
    *json = (struct policy_json){.line = reader->line,
                                 .column = is_short ? column_here(reader)
                                                    : (uint32_t)(reader->at - reader->line_at + 1)};
    switch (peek(reader)) {
    case '{':
    case '[':
        return read_container(reader, json);
    case '"':
        json->kind = POLICY_JSON_STRING;
        return read_string(reader, &json->text);
    case 'n':
    case 't':
    case 'f':
        return read_word(reader, json);
    default:
        return read_integer(reader, json);
    }
}

vlt_result policy_json_parse(struct policy_arena *arena, struct bytes text, struct fault *fault,
                             const struct policy_json **ret_root) {
    struct reader reader = {.arena = arena, .text = text, .line = 1};
    struct policy_json *root = policy_arena_take(arena, sizeof *root);
    size_t bad_at;
    bool well = root != NULL;
    if (!bytes_is_utf8(text, &bad_at)) {
        reader.at = bad_at;
        well = refuse(&reader, VLT_MALFORMED, "not UTF-8");
    }
    if (well) {
        skip_space(&reader);
        well = read_value(&reader, root) &&
               (reader.at == text.size || refuse(&reader, VLT_MALFORMED, "text after the end"));
    }
    if (well) {
        *ret_root = root;
        return vlt_ok();
    }
    if (!reader.wrong)
        no_memory(&reader);
    if (fault) {
        fault->line = reader.line;
        fault->column = column_here(&reader);
    }
    return fault_set(fault, reader.class, reader.wrong, "%s", reader.wrong);
}

const struct policy_json *policy_json_get(const struct policy_json *json, const char *name) {
    for (size_t i = 0; json && json->kind == POLICY_JSON_OBJECT && i < json->count; i++)
        if (bytes_equal_text(json->members[i].name, name))
            return &json->members[i].value;
    return NULL;
}

bool policy_json_get_text(const struct policy_json *json, const char *name,
                          struct bytes *ret_text) {
    const struct policy_json *member = policy_json_get(json, name);
    if (!member || member->kind != POLICY_JSON_STRING)
        return false;
    *ret_text = member->text;
    return true;
}

vlt_result policy_json_fail(const struct policy_json *json, struct fault *fault, const char *format,
                            ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (fault) {
        fault->line = json->line;
        fault->column = json->column;
    }
    return fault_set(fault, VLT_MALFORMED, "not the JSON that Cedar expects", "%s", text);
}
