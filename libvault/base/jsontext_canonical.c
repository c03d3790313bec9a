// SPDX-License-Identifier: Apache-2.0
// RFC 8785 without reals: members sorted by UTF-16 code units, shortest escapes.
#include "libvault/base/jsontext.h"

#include <stdio.h>
#include <stdlib.h>

static vlt_result put_value(const json_t *value, struct buf *out);

static void put_escape(struct buf *out, uint8_t c) {
    static const char short_escapes[] = "btn\0fr"; // for 0x08 to 0x0D
    char escape[8] = {'\\', (char)c, 0};
    if (c >= 0x08 && c <= 0x0D && short_escapes[c - 0x08])
        escape[1] = short_escapes[c - 0x08];
    else if (c < 0x20)
        snprintf(escape, sizeof escape, "\\u%04x", c);
    buf_put_text(out, escape);
}

// Runs of plain characters are copied whole: nearly every text is one run.
void jsontext_put_string(struct buf *out, struct bytes text) {
    buf_put_byte(out, '"');
    for (size_t at = 0; at < text.size;) {
        size_t run = jsontext_plain_run(text, at);
        buf_put(out, bytes_of(text.at + at, run));
        at += run;
        if (at < text.size)
            put_escape(out, text.at[at++]);
    }
    buf_put_byte(out, '"');
}

// Order of UTF-16 code units over UTF-8 text. It differs from byte order in one
// way: U+E000 to U+FFFF (lead byte 0xEE, 0xEF) sort behind the surrogates that
// stand for U+10000 and above (lead byte 0xF0 and up).
static int utf16_order(const void *left, const void *right) {
    const unsigned char *a = *(const unsigned char *const *)left;
    const unsigned char *b = *(const unsigned char *const *)right;
    while (*a && *a == *b) {
        a++;
        b++;
    }
    if ((*a == 0xEE || *a == 0xEF) && *b >= 0xF0)
        return 1;
    if ((*b == 0xEE || *b == 0xEF) && *a >= 0xF0)
        return -1;
    return (int)*a - (int)*b;
}

static vlt_result put_members(json_t *object, const char **names, struct buf *out) {
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) names[count++] = name;
    qsort(names, count, sizeof *names, utf16_order);
    buf_put_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_put_byte(out, ',');
        jsontext_put_string(out, bytes_of_text(names[i]));
        buf_put_byte(out, ':');
        VLT_TRY(put_value(json_object_get(object, names[i]), out));
    }
    buf_put_byte(out, '}');
    return vlt_ok();
}

static vlt_result put_object(const json_t *object, struct buf *out) {
    json_t *mutable = (json_t *)(uintptr_t)object; // the iterator does not write
    const char *few[32];
    size_t count = json_object_size(object);
    if (count <= sizeof few / sizeof *few)
        return put_members(mutable, few, out);
    const char **names = calloc(count, sizeof *names);
    if (!names)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = put_members(mutable, names, out);
    free(names);
    return result;
}

static vlt_result put_array(const json_t *array, struct buf *out) {
    buf_put_byte(out, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i)
            buf_put_byte(out, ',');
        VLT_TRY(put_value(json_array_get(array, i), out));
    }
    buf_put_byte(out, ']');
    return vlt_ok();
}

static vlt_result put_integer(json_int_t value, struct buf *out) {
    const json_int_t exact = (json_int_t)1 << 53;
    if (value > exact || value < -exact)
        return vlt_fail(VLT_MALFORMED, "an integer beyond 2^53 has no canonical form");
    buf_put_format(out, "%" JSON_INTEGER_FORMAT, value);
    return vlt_ok();
}

static vlt_result put_value(const json_t *value, struct buf *out) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(value, out);
    case JSON_ARRAY:
        return put_array(value, out);
    case JSON_STRING:
        jsontext_put_string(out, bytes_of(json_string_value(value), json_string_length(value)));
        return vlt_ok();
    case JSON_INTEGER:
        return put_integer(json_integer_value(value), out);
    case JSON_TRUE:
    case JSON_FALSE:
        buf_put_text(out, json_is_true(value) ? "true" : "false");
        return vlt_ok();
    case JSON_NULL:
        buf_put_text(out, "null");
        return vlt_ok();
    case JSON_REAL:
    default:
        return vlt_fail(VLT_MALFORMED, "a real number has no canonical form here");
    }
}

vlt_result jsontext_canonical(const json_t *root, struct buf *out) {
    VLT_TRY(put_value(root, out));
    return buf_failed(out) ? vlt_fail(VLT_LIMIT, "canonical JSON is too long") : vlt_ok();
}
