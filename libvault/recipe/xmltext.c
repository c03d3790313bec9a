// SPDX-License-Identifier: Apache-2.0
#include "libvault/recipe/xmltext.h"

#define NAME_MAX_BYTES 64
#define TEXT_MAX_BYTES 8192

struct reader {
    struct bytes text;
    size_t at;
};

static vlt_result bad(void) {
    return vlt_fail(VLT_MALFORMED, "the XML is not of the kind that is read here");
}

static bool looking_at(const struct reader *r, const char *literal) {
    return bytes_begin_with(bytes_from(r->text, r->at), bytes_of_text(literal));
}

static int peek(const struct reader *r) {
    return r->at < r->text.size ? r->text.at[r->at] : -1;
}

static bool is_space(int c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct reader *r) {
    while (is_space(peek(r)))
        r->at++;
}

// Passes over what begins here and ends with `end`.
static vlt_result skip_to(struct reader *r, const char *end) {
    while (r->at < r->text.size && !looking_at(r, end))
        r->at++;
    if (r->at >= r->text.size)
        return bad();
    r->at += strlen(end);
    return vlt_ok();
}

static bool is_name_byte(int c, bool is_first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && ((c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':'));
}

static vlt_result read_name(struct reader *r, char name[NAME_MAX_BYTES + 1]) {
    size_t size = 0;
    while (is_name_byte(peek(r), size == 0)) {
        if (size == NAME_MAX_BYTES)
            return bad();
        name[size++] = (char)r->text.at[r->at++];
    }
    name[size] = 0;
    return size ? vlt_ok() : bad();
}

// Behind the name: attributes, then ">" or "/>".
static vlt_result read_tag_end(struct reader *r, bool *ret_is_empty) {
    char name[NAME_MAX_BYTES + 1];
    for (;;) {
        skip_space(r);
        if (looking_at(r, "/>") || looking_at(r, ">")) {
            *ret_is_empty = looking_at(r, "/>");
            r->at += *ret_is_empty ? 2 : 1;
            return vlt_ok();
        }
        VLT_TRY(read_name(r, name));
        int quote = looking_at(r, "=\"") ? '"' : looking_at(r, "='") ? '\'' : 0;
        if (!quote)
            return bad();
        r->at += 2;
        while (peek(r) >= 0 && peek(r) != quote && peek(r) != '<')
            r->at++;
        if (peek(r) != quote)
            return bad();
        r->at++;
    }
}

// ---- Text ----

static vlt_result read_number(struct reader *r, char *text, size_t *size) {
    unsigned code = 0, digits = 0;
    for (; peek(r) >= '0' && peek(r) <= '9' && digits < 4; r->at++, digits++)
        code = code * 10 + (unsigned)(peek(r) - '0');
    if (digits == 0 || peek(r) != ';' || code < 0x20 || code >= 0x7f)
        return bad();
    r->at++;
    text[(*size)++] = (char)code;
    return vlt_ok();
}

static vlt_result read_reference(struct reader *r, char *text, size_t *size) {
    static const struct {
        const char *name;
        char c;
    } known[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (looking_at(r, known[i].name)) {
            r->at += strlen(known[i].name);
            text[(*size)++] = known[i].c;
            return vlt_ok();
        }
    if (!looking_at(r, "&#"))
        return bad();
    r->at += 2;
    return read_number(r, text, size);
}

// ---- Elements ----

static vlt_result read_element(struct reader *r, unsigned depth, char *name, json_t **ret_value);

static vlt_result add_child(json_t *object, const char *name, json_t *value) {
    json_t *old = json_object_get(object, name);
    int failed;
    if (!value)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!old)
        failed = json_object_set_new(object, name, value);
    else if (json_is_array(old))
        failed = json_array_append_new(old, value);
    else // json_pack takes `value` also when it fails
        failed = json_object_set_new(object, name, json_pack("[O, o]", old, value));
    return failed ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok();
}

static vlt_result read_content(struct reader *r, unsigned depth, json_t *object, char *text,
                               size_t *size) {
    char child[NAME_MAX_BYTES + 1];
    json_t *value = NULL;
    while (!looking_at(r, "</")) {
        if (looking_at(r, "<!--")) {
            VLT_TRY(skip_to(r, "-->"));
        } else if (peek(r) == '<') {
            VLT_TRY(read_element(r, depth + 1, child, &value));
            VLT_TRY(add_child(object, child, value));
        } else if (peek(r) < 0 || peek(r) == 0 || *size >= TEXT_MAX_BYTES) {
            return bad();
        } else if (peek(r) == '&') {
            VLT_TRY(read_reference(r, text, size));
        } else {
            text[(*size)++] = (char)r->text.at[r->at++];
        }
    }
    return vlt_ok();
}

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!is_space(text[i]))
            return false;
    return true;
}

static vlt_result read_inside(struct reader *r, unsigned depth, const char *name,
                              json_t **ret_value) {
    // Depth bounds how many of these there are at a time; secrets pass through.
    char text[TEXT_MAX_BYTES], closing[NAME_MAX_BYTES + 1] = "";
    size_t size = 0;
    json_t *object = json_object();
    vlt_result result = read_content(r, depth, object, text, &size);
    if (vlt_is_ok(result)) {
        r->at += 2;
        result = read_name(r, closing);
    }
    skip_space(r);
    bool is_closed = vlt_is_ok(result) && strcmp(name, closing) == 0 && peek(r) == '>';
    bool is_mixed = json_object_size(object) > 0 && !is_blank(text, size);
    if (vlt_is_ok(result) && (!is_closed || is_mixed))
        result = bad();
    if (vlt_is_ok(result)) {
        r->at++;
        *ret_value = json_object_size(object) ? json_incref(object) : json_stringn(text, size);
        if (!*ret_value)
            result = bad(); // no UTF-8
    }
    explicit_bzero(text, sizeof text);
    json_decref(object);
    return result;
}

static vlt_result read_element(struct reader *r, unsigned depth, char *name, json_t **ret_value) {
    bool is_empty = false;
    if (depth > XMLTEXT_DEPTH_MAX)
        return vlt_fail(VLT_LIMIT, "the XML is too deep");
    if (peek(r) != '<')
        return bad();
    r->at++;
    VLT_TRY(read_name(r, name));
    VLT_TRY(read_tag_end(r, &is_empty));
    if (!is_empty)
        return read_inside(r, depth, name, ret_value);
    *ret_value = json_string("");
    return *ret_value ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

vlt_result xmltext_parse(struct bytes text, json_t **ret_root) {
    struct reader r = {.text = text};
    char name[NAME_MAX_BYTES + 1];
    json_t *value = NULL;
    skip_space(&r);
    if (looking_at(&r, "<?xml "))
        VLT_TRY(skip_to(&r, "?>"));
    skip_space(&r);
    VLT_TRY(read_element(&r, 1, name, &value));
    skip_space(&r);
    json_t *root = r.at == text.size ? json_pack("{s:o}", name, value) : NULL;
    if (r.at != text.size)
        json_decref(value);
    if (!root)
        return bad();
    *ret_root = root;
    return vlt_ok();
}
