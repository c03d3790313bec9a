// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/jsontext.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "libvault/base/jsontext_tree.h"

const struct jsontext_limits jsontext_token_limits = {.max_bytes = 16384, .max_depth = 16};
const struct jsontext_limits jsontext_document_limits = {.max_bytes = 1 << 20, .max_depth = 32};

// ---- The walk: grammar of RFC 8259, one function for each production ----

struct scan {
    struct bytes text;
    size_t at;
    const struct jsontext_limits *limits;
    unsigned depth;
    const char *wrong; // what was expected, once something was wrong
    bool is_limit;     // well formed so far, but larger than allowed
};

static bool scan_value(struct scan *s);

static bool refuse(struct scan *s, const char *wrong) {
    if (!s->wrong)
        s->wrong = wrong;
    return false;
}

static int peek(const struct scan *s) { return s->at < s->text.size ? s->text.at[s->at] : -1; }

static void skip_space(struct scan *s) {
    for (int c = peek(s); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(s))
        s->at++;
}

static bool scan_word(struct scan *s, const char *word) {
    if (!bytes_begin_with(bytes_from(s->text, s->at), bytes_of_text(word)))
        return refuse(s, "not a JSON value");
    s->at += strlen(word);
    return true;
}

static bool scan_hex4(struct scan *s, unsigned *ret_unit) {
    unsigned unit = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        int c = peek(s);
        if (c >= '0' && c <= '9')
            unit = unit * 16 + (unsigned)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            unit = unit * 16 + (unsigned)((c | 0x20) - 'a' + 10);
        else
            return refuse(s, "\\u needs four hexadecimal digits");
    }
    *ret_unit = unit;
    return true;
}

// After "\u": a code point, as one unit or as a surrogate pair (RFC 8259 section 7).
static bool scan_unicode_escape(struct scan *s) {
    unsigned unit, low;
    if (!scan_hex4(s, &unit))
        return false;
    if (unit == 0 && !s->limits->allow_nul)
        return refuse(s, "\\u0000 is not allowed");
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    if (unit > 0xDBFF || !bytes_begin_with(bytes_from(s->text, s->at), BYTES_LITERAL("\\u")))
        return refuse(s, "a surrogate stands alone");
    s->at += 2;
    if (!scan_hex4(s, &low))
        return false;
    return (low >= 0xDC00 && low <= 0xDFFF) || refuse(s, "a surrogate stands alone");
}

static bool scan_escape(struct scan *s) {
    int c = peek(s);
    s->at++;
    if (c == 'u')
        return scan_unicode_escape(s);
    return (c > 0 && strchr("\"\\/bfnrt", c)) || refuse(s, "unknown escape");
}

// Sixteen bytes at once, in a form that gcc and clang turn into vector instructions.
typedef uint8_t block __attribute__((vector_size(16)));

static bool block_is_plain(const uint8_t *at) {
    uint64_t halves[2];
    block bytes;
    memcpy(&bytes, at, sizeof bytes);
    block special = (block)((bytes < 0x20) | (bytes == '"') | (bytes == '\\'));
    memcpy(halves, &special, sizeof halves);
    return !(halves[0] | halves[1]);
}

size_t jsontext_plain_run(struct bytes text, size_t from) {
    size_t at = from;
    while (text.size - at >= sizeof(block) && block_is_plain(text.at + at))
        at += sizeof(block);
    for (; at < text.size; at++) {
        uint8_t c = text.at[at];
        if (c < 0x20 || c == '"' || c == '\\')
            break;
    }
    return at - from;
}

static bool scan_string(struct scan *s) {
    for (s->at++;;) { // past the opening quote
        s->at += jsontext_plain_run(s->text, s->at);
        int c = peek(s);
        if (c < 0)
            return refuse(s, "a string does not end");
        if (c < 0x20)
            return refuse(s, "a control character in a string must be escaped");
        s->at++;
        if (c == '"')
            return true;
        if (c == '\\' && !scan_escape(s))
            return false;
    }
}

static bool scan_digits(struct scan *s) {
    size_t start = s->at;
    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at > start || refuse(s, "a digit is missing");
}

// A number that no double or 64-bit integer can hold would change its value in
// silence: refuse it (the implementation-defined cases of RFC 8259 section 6).
static bool number_is_representable(struct bytes digits, bool is_real) {
    char text[400];
    if (!bytes_to_text(digits, text, sizeof text))
        return false;
    errno = 0;
    if (!is_real) {
        (void)strtoll(text, NULL, 10);
        return errno == 0;
    }
    double value = strtod(text, NULL);
    if (!isfinite(value))
        return false;
    return value != 0.0 || strcspn(text, "eE") == strcspn(text, "123456789eE");
}

static bool scan_number(struct scan *s) {
    size_t start = s->at;
    bool is_real = false;
    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0')
        s->at++;
    else if (!scan_digits(s))
        return false;
    if (peek(s) == '.') {
        is_real = true;
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        is_real = true;
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (number_is_representable(bytes_of(s->text.at + start, s->at - start), is_real))
        return true;
    s->is_limit = true;
    return refuse(s, "a number is out of range");
}

static bool scan_member(struct scan *s) {
    if (peek(s) != '"')
        return refuse(s, "a member name in quotes was expected");
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (peek(s) != ':')
        return refuse(s, "':' was expected");
    s->at++;
    return scan_value(s);
}

static bool scan_container(struct scan *s, bool is_object) {
    int end = is_object ? '}' : ']';
    if (++s->depth > s->limits->max_depth) {
        s->is_limit = true;
        return refuse(s, "nested too deep");
    }
    s->at++;
    skip_space(s);
    for (bool first = true; peek(s) != end || !first; first = false) {
        skip_space(s);
        if (!(is_object ? scan_member(s) : scan_value(s)))
            return false;
        skip_space(s);
        if (peek(s) == end)
            break;
        if (peek(s) != ',')
            return refuse(s, is_object ? "',' or '}' was expected" : "',' or ']' was expected");
        s->at++;
    }
    s->at++;
    s->depth--;
    return true;
}

static bool scan_value(struct scan *s) {
    skip_space(s);
    switch (peek(s)) {
    case '{':
        return scan_container(s, true);
    case '[':
        return scan_container(s, false);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    case -1:
        return refuse(s, "the text ends too early");
    default:
        return scan_number(s);
    }
}

static bool scan_text(struct scan *s) {
    size_t bad_at = 0;
    if (!bytes_is_utf8(s->text, &bad_at)) {
        s->at = bad_at;
        return refuse(s, "not UTF-8");
    }
    skip_space(s);
    if (!s->limits->allow_scalar_root && peek(s) != '{' && peek(s) != '[')
        return refuse(s, "an object or array was expected");
    if (!scan_value(s))
        return false;
    skip_space(s);
    return s->at == s->text.size || refuse(s, "something follows the value");
}

// ---- Parse ----

static void place(const struct scan *s, struct fault *fault) {
    fault->line = 1;
    fault->column = 1;
    for (size_t i = 0; i < s->at && i < s->text.size; i++) {
        fault->column++;
        if (s->text.at[i] == '\n') {
            fault->line++;
            fault->column = 1;
        }
    }
}

static vlt_result refused(const struct scan *s, struct fault *fault) {
    enum vlt_class class = s->is_limit ? VLT_LIMIT : VLT_MALFORMED;
    if (!fault)
        return vlt_fail(class, s->wrong);
    place(s, fault);
    return fault_set(fault, class, s->wrong, "line %u, column %u: %s", fault->line, fault->column,
                     s->wrong);
}

vlt_result jsontext_check(struct bytes text, const struct jsontext_limits *limits,
                          struct fault *fault) {
    if (text.size > limits->max_bytes)
        return fault_set(fault, VLT_LIMIT, "JSON text is too long",
                         "JSON text of %zu bytes is longer than the %zu allowed", text.size,
                         limits->max_bytes);
    struct scan scan = {.text = text, .limits = limits};
    return scan_text(&scan) ? vlt_ok() : refused(&scan, fault);
}

vlt_result jsontext_parse(struct bytes text, const struct jsontext_limits *limits,
                          struct fault *fault, json_t **ret_root) {
    VLT_TRY(jsontext_check(text, limits, fault));
    struct scan scan = {.text = text, .limits = limits};
    json_t *root = jsontext_tree(text, limits, &scan.wrong, &scan.at);
    if (!root)
        return scan.wrong ? refused(&scan, fault) : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    *ret_root = root;
    return vlt_ok();
}

vlt_result jsontext_only_members(const json_t *object, const char *const *names,
                                 struct fault *fault) {
    // jansson's iterator takes a pointer to non-const but does not write to it.
    json_t *mutable = (json_t *)(uintptr_t)object;
    const char *name;
    json_t *value;
    json_object_foreach(mutable, name, value) {
        size_t i = 0;
        while (names[i] && strcmp(names[i], name) != 0)
            i++;
        if (!names[i])
            return fault_set(fault, VLT_MALFORMED, "unknown member", "unknown member \"%.60s\"",
                             name);
    }
    return vlt_ok();
}
