// SPDX-License-Identifier: Apache-2.0
#include "libvault/http/http_path.h"

#include "libvault/http/http_class.h"

// Sixteen bytes at once, in a form that gcc and clang turn into vector instructions.
typedef uint8_t block __attribute__((vector_size(16)));

// How many bytes from `from` on stand for themselves, which is most of a text.
static size_t plain_run(struct bytes text, size_t from) {
    size_t at = from;
    for (; text.size - at >= sizeof(block); at += sizeof(block)) {
        uint64_t special[2];
        block bytes;
        memcpy(&bytes, text.at + at, sizeof bytes);
        bytes = (block)((bytes == '%') | (bytes == '+'));
        memcpy(special, &bytes, sizeof special);
        if (special[0] | special[1])
            break;
    }
    while (at < text.size && text.at[at] != '%' && text.at[at] != '+')
        at++;
    return at - from;
}

vlt_result http_percent_decode(struct bytes text, bool plus_is_space, uint8_t *out,
                               size_t capacity, size_t *ret_size) {
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        size_t run = plain_run(text, i);
        if (run > capacity - size)
            return vlt_fail(VLT_LIMIT, "decoded text is too long");
        memcpy(out + size, text.at + i, run);
        size += run;
        i += run;
        if (i == text.size)
            break;
        uint8_t c = text.at[i];
        if (c == '%') {
            if (text.size - i < 3 || !http_class_is(text.at[i + 1], CLASS_HEX) ||
                !http_class_is(text.at[i + 2], CLASS_HEX))
                return vlt_fail(VLT_MALFORMED, "'%' is not followed by two hex digits");
            c = (uint8_t)(http_hex_value(text.at[i + 1]) << 4 | http_hex_value(text.at[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (size == capacity)
            return vlt_fail(VLT_LIMIT, "decoded text is too long");
        out[size++] = c;
    }
    *ret_size = size;
    return vlt_ok();
}

// Nothing to decode, no empty segment and none that begins with a dot.
static bool path_is_plain(struct bytes path) {
    for (size_t i = 1; i < path.size; i++) {
        uint8_t c = path.at[i];
        bool starts_segment = path.at[i - 1] == '/';
        if (!http_class_is(c, CLASS_TARGET) || c == '?')
            if (c != '/')
                return false;
        if (starts_segment && (c == '.' || c == '/'))
            return false;
    }
    return true;
}

// One character of the path at *at, as the normal form spells it: 1 or 3 bytes.
static size_t path_character(struct bytes path, size_t *at, uint8_t spelled[3]) {
    static const char upper[] = "0123456789ABCDEF";
    uint8_t c = path.at[*at];
    spelled[0] = c;
    *at += 1;
    if (c != '%')
        return http_class_is(c, CLASS_TARGET) && c != '?' ? 1 : 0;
    if (path.size - *at < 2 || !http_class_is(path.at[*at], CLASS_HEX) ||
        !http_class_is(path.at[*at + 1], CLASS_HEX))
        return 0;
    c = (uint8_t)(http_hex_value(path.at[*at]) << 4 | http_hex_value(path.at[*at + 1]));
    *at += 2;
    if (http_class_is(c, CLASS_UNRESERVED)) {
        spelled[0] = c;
        return 1;
    }
    // An encoded separator or control character is read as itself by some
    // servers behind us: one request, two paths.
    if (c == '/' || c == '\\' || c < 0x20 || c == 0x7f)
        return 0;
    spelled[1] = (uint8_t)upper[c >> 4];
    spelled[2] = (uint8_t)upper[c & 15];
    return 3;
}

// The segment out[begin, *size) is complete: drop "." and step back for "..".
// False when that would leave the root.
static bool path_end_segment(uint8_t *out, size_t begin, size_t *size) {
    size_t segment = *size - begin;
    if (segment == 1 && out[begin] == '.')
        *size = begin;
    if (segment != 2 || out[begin] != '.' || out[begin + 1] != '.')
        return true;
    if (begin <= 1)
        return false;
    size_t before = begin - 1;
    while (before > 0 && out[before - 1] != '/')
        before--;
    *size = before;
    return true;
}

vlt_result http_path_normalise(struct bytes path, uint8_t *out, size_t capacity,
                               struct bytes *ret_path) {
    const vlt_result wrong = vlt_fail(VLT_MALFORMED, "the path is not in a form with one meaning");
    if (!path.size || path.at[0] != '/')
        return wrong;
    if (path_is_plain(path)) {
        *ret_path = path;
        return vlt_ok();
    }
    size_t size = 0, begin = 1;
    if (capacity < path.size)
        return vlt_fail(VLT_LIMIT, "the path is too long");
    out[size++] = '/';
    for (size_t at = 1; at <= path.size;) {
        bool ends = at == path.size || path.at[at] == '/';
        if (ends) {
            bool is_empty = size == begin;
            if (is_empty && at < path.size)
                return wrong; // "//"
            size_t whole = size;
            if (!path_end_segment(out, begin, &size))
                return wrong;
            if (at < path.size && size == whole)
                out[size++] = '/';
            begin = size;
            at++;
            continue;
        }
        uint8_t spelled[3];
        size_t count = path_character(path, &at, spelled);
        if (!count)
            return wrong;
        memcpy(out + size, spelled, count);
        size += count;
    }
    *ret_path = bytes_of(out, size);
    return vlt_ok();
}

static vlt_result form_text(struct bytes text, uint8_t **storage, size_t *left,
                            struct bytes *ret_text) {
    size_t size;
    VLT_TRY(http_percent_decode(text, true, *storage, *left, &size));
    struct bytes decoded = bytes_of(*storage, size);
    if (bytes_find(decoded, 0) < size)
        return vlt_fail(VLT_MALFORMED, "a parameter holds a NUL character");
    if (!bytes_is_utf8(decoded, NULL))
        return vlt_fail(VLT_MALFORMED, "a parameter is not UTF-8");
    *storage += size;
    *left -= size;
    *ret_text = decoded;
    return vlt_ok();
}

static vlt_result form_parameter(struct bytes pair, uint8_t **storage, size_t *left,
                                 struct http_form_parameter *ret_parameter) {
    size_t equals = bytes_find(pair, '=');
    struct http_form_parameter parameter;
    if (equals == 0)
        return vlt_fail(VLT_MALFORMED, "a parameter has no name");
    VLT_TRY(form_text(bytes_of(pair.at, equals), storage, left, &parameter.name));
    VLT_TRY(form_text(bytes_from(pair, equals + 1), storage, left, &parameter.value));
    *ret_parameter = parameter;
    return vlt_ok();
}

vlt_result http_form_parse(struct bytes text, uint8_t *storage, size_t capacity,
                           struct http_form *ret_form) {
    struct http_form form;
    form.count = 0;
    size_t left = capacity;
    bool more = text.size > 0;
    while (more) {
        size_t ampersand = bytes_find(text, '&');
        more = ampersand < text.size;
        if (form.count == HTTP_FORM_PARAMETERS_MAX)
            return vlt_fail(VLT_LIMIT, "there are too many parameters");
        VLT_TRY(form_parameter(bytes_of(text.at, ampersand), &storage, &left,
                               &form.parameters[form.count]));
        form.count++;
        text = bytes_from(text, ampersand + 1);
    }
    ret_form->count = form.count;
    memcpy(ret_form->parameters, form.parameters, form.count * sizeof form.parameters[0]);
    return vlt_ok();
}

unsigned http_form_find(const struct http_form *form, const char *name, struct bytes *ret_value) {
    unsigned found = 0;
    for (size_t i = 0; i < form->count; i++) {
        if (!bytes_equal_text(form->parameters[i].name, name))
            continue;
        if (found++ == 0 && ret_value)
            *ret_value = form->parameters[i].value;
    }
    return found;
}
