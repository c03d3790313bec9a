// SPDX-License-Identifier: Apache-2.0
#include "libvault/http/http_media.h"

#include "libvault/http/http.h"
#include "libvault/http/http_class.h"

static struct bytes take_token(struct bytes *text) {
    size_t size = 0;
    while (size < text->size && http_class_is(text->at[size], CLASS_TOKEN))
        size++;
    struct bytes token = bytes_of(text->at, size);
    *text = bytes_from(*text, size);
    return token;
}

static void skip_space(struct bytes *text) {
    while (text->size && (text->at[0] == ' ' || text->at[0] == '\t'))
        *text = bytes_from(*text, 1);
}

// A token, or a quoted string without escapes (no parameter of ours needs one,
// and without them the value is a view).
static bool take_value(struct bytes *text, struct bytes *ret_value) {
    if (!text->size || text->at[0] != '"') {
        *ret_value = take_token(text);
        return ret_value->size > 0;
    }
    struct bytes inner = bytes_from(*text, 1);
    size_t end = bytes_find(inner, '"');
    struct bytes value = bytes_of(inner.at, end);
    if (end == inner.size || bytes_find(value, '\\') < end || !http_is_field_value(value))
        return false;
    *ret_value = value;
    *text = bytes_from(inner, end + 1);
    return true;
}

vlt_result http_media_parse(struct bytes text, struct http_media *ret_media) {
    const vlt_result wrong = vlt_fail(VLT_MALFORMED, "not a media type");
    struct http_media media = {0};
    media.type = take_token(&text);
    if (!media.type.size || !text.size || text.at[0] != '/')
        return wrong;
    text = bytes_from(text, 1);
    media.subtype = take_token(&text);
    if (!media.subtype.size)
        return wrong;
    for (skip_space(&text); text.size; skip_space(&text)) {
        if (text.at[0] != ';')
            return wrong;
        text = bytes_from(text, 1);
        skip_space(&text);
        if (!text.size || text.at[0] == ';') // RFC 9110 allows an empty parameter
            continue;
        if (media.count == HTTP_MEDIA_PARAMETERS_MAX)
            return vlt_fail(VLT_LIMIT, "a media type has too many parameters");
        media.parameters[media.count].name = take_token(&text);
        if (!media.parameters[media.count].name.size || !text.size || text.at[0] != '=')
            return wrong;
        text = bytes_from(text, 1);
        if (!take_value(&text, &media.parameters[media.count].value))
            return wrong;
        media.count++;
    }
    *ret_media = media;
    return vlt_ok();
}

bool http_media_is(struct bytes text, const char *type_and_subtype) {
    struct http_media media;
    if (!vlt_is_ok(http_media_parse(text, &media)))
        return false;
    struct bytes wanted = bytes_of_text(type_and_subtype);
    size_t slash = bytes_find(wanted, '/');
    if (!bytes_equal_nocase(media.type, bytes_of(wanted.at, slash)) ||
        !bytes_equal_nocase(media.subtype, bytes_from(wanted, slash + 1)))
        return false;
    return media.count == 0 ||
           (media.count == 1 &&
            bytes_equal_nocase(media.parameters[0].name, BYTES_LITERAL("charset")) &&
            bytes_equal_nocase(media.parameters[0].value, BYTES_LITERAL("utf-8")));
}

vlt_result http_authorization_parse(struct bytes value, struct bytes *ret_scheme,
                                    struct bytes *ret_token68) {
    const vlt_result wrong = vlt_fail(VLT_MALFORMED, "not a scheme followed by one credential");
    struct bytes scheme = take_token(&value);
    if (!scheme.size || !value.size || value.at[0] != ' ')
        return wrong;
    while (value.size && value.at[0] == ' ')
        value = bytes_from(value, 1);
    size_t size = 0;
    while (size < value.size && (http_class_is(value.at[size], CLASS_UNRESERVED) ||
                                 value.at[size] == '+' || value.at[size] == '/'))
        size++;
    size_t body = size;
    while (size < value.size && value.at[size] == '=')
        size++;
    if (!body || size != value.size)
        return wrong;
    *ret_scheme = scheme;
    *ret_token68 = value;
    return vlt_ok();
}
