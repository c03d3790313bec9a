// SPDX-License-Identifier: Apache-2.0
#include "forward/core/profile_members.h"

// Writes into the caller's memory only; failure sticks.
struct render {
    uint8_t *at;
    size_t size, capacity;
    size_t value_at, escapes;     // of the value under way: where it begins, and backslashes in it
    size_t secret_from, secret_to; // the part of it that is secret; 0, 0: none
    vlt_result result;
};

static void fail(struct render *r, enum vlt_class class, const char *reason) {
    if (vlt_is_ok(r->result))
        r->result = vlt_fail(class, reason);
}

static void put_byte(struct render *r, uint8_t byte) {
    if (r->size == r->capacity)
        fail(r, VLT_LIMIT, "the rendered credential is too long");
    else
        r->at[r->size++] = byte;
}

static void put_text(struct render *r, const char *text) {
    for (; *text; text++)
        put_byte(r, (uint8_t)*text);
}

// Inside a JSON string. Only what may stand in a header value (RFC 9110
// section 5.5, visible ASCII and space) gets through, so two escapes suffice.
static void put_value(struct render *r, struct bytes value) {
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.at[i];
        if (c < 0x20 || c > 0x7e) {
            fail(r, VLT_MALFORMED, "the credential holds a byte that may not stand in a request");
            return;
        }
        if (c == '"' || c == '\\') {
            put_byte(r, '\\');
            r->escapes++;
        }
        put_byte(r, c);
    }
}

struct base64 {
    uint32_t bits;
    unsigned byte_count;
};

static void put_base64_group(struct render *r, const struct base64 *b) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = b->bits << (8 * (3 - b->byte_count));
    for (unsigned i = 0; i < 4; i++)
        put_byte(r, i <= b->byte_count ? (uint8_t)alphabet[(bits >> (18 - 6 * i)) & 63] : '=');
}

// b64_encode writes to the ordinary heap; user and secret are one text that
// exists nowhere, so it is encoded piece by piece.
static void put_base64(struct render *r, struct base64 *b, struct bytes bytes) {
    for (size_t i = 0; i < bytes.size; i++) {
        b->bits = b->bits << 8 | bytes.at[i];
        if (++b->byte_count == 3) {
            put_base64_group(r, b);
            *b = (struct base64){0};
        }
    }
}

// RFC 7617: user, colon, password; a colon in the user would move the border.
static void put_basic(struct render *r, const char *user, struct bytes secret) {
    if (strchr(user, ':')) {
        fail(r, VLT_MALFORMED, "a user name must not contain a colon");
        return;
    }
    struct base64 b = {0};
    put_base64(r, &b, bytes_of_text(user));
    put_base64(r, &b, BYTES_LITERAL(":"));
    put_base64(r, &b, secret);
    if (b.byte_count)
        put_base64_group(r, &b);
    explicit_bzero(&b, sizeof b);
}

struct source {
    const struct profile *profile;
    const json_t *parameters;
    struct bytes secret;
};

// What was put since `begin`, as bytes of the value without its JSON escapes.
static void put_secret_ends(struct render *r, size_t begin) {
    if (r->secret_to == 0)
        r->secret_from = begin;
    r->secret_to = r->size - r->value_at - r->escapes;
}

static void put_placeholder(struct render *r, const struct source *from, struct bytes name) {
    size_t begin = r->size - r->value_at - r->escapes;
    if (bytes_equal_text(name, "secret")) {
        put_value(r, from->secret);
        put_secret_ends(r, begin);
        return;
    }
    bool is_basic = bytes_begin_with(name, BYTES_LITERAL(PROFILE_BASIC));
    if (is_basic)
        name = bytes_from(name, sizeof PROFILE_BASIC - 1);
    const char *value = profile_parameter(from->profile, from->parameters, name);
    if (!value)
        fail(r, VLT_MALFORMED, "a parameter of the credential is missing");
    else if (is_basic)
        put_basic(r, value, from->secret);
    else
        put_value(r, bytes_of_text(value));
    if (is_basic)
        put_secret_ends(r, begin);
}

static void put_template(struct render *r, const struct source *from, const char *template) {
    struct profile_piece piece = {0};
    do {
        if (!profile_piece_next(&template, &piece)) {
            fail(r, VLT_MALFORMED, "a placeholder is not closed");
            return;
        }
        put_value(r, piece.literal);
        if (piece.placeholder.at)
            put_placeholder(r, from, piece.placeholder);
    } while (piece.placeholder.at);
}

// A name that comes from a parameter is checked after rendering.
static void put_name(struct render *r, const struct source *from,
                     const struct profile_item *item) {
    size_t begin = r->size;
    put_template(r, from, item->name);
    char name[PROFILE_NAME_MAX + 1];
    if (item->is_named || !vlt_is_ok(r->result))
        return;
    if (!bytes_to_text(bytes_of(r->at + begin, r->size - begin), name, sizeof name) ||
        !(item->in_query ? profile_is_query_name(name) : profile_is_header_name(name)))
        fail(r, VLT_MALFORMED,
             "a credential may not be put into a header or parameter of this name");
}

// An optional item is left out when the credential has no such parameter.
static bool item_is_wanted(const struct source *from, const struct profile_item *item) {
    if (!item->is_optional)
        return true;
    const char *template = item->format;
    struct profile_piece piece = {0};
    while (profile_piece_next(&template, &piece) && piece.placeholder.at)
        if (!bytes_equal_text(piece.placeholder, "secret") &&
            !profile_parameter(from->profile, from->parameters, piece.placeholder))
            return false;
    return true;
}

bool profile_puts_secret_plain(const struct profile *profile) {
    for (size_t i = 0; i < profile->item_count; i++)
        if (strstr(profile->items[i].format, "{secret}"))
            return true;
    return false;
}

static void put_member(struct render *r, const char *name, size_t number) {
    char digits[20];
    struct bytes text = bytes_of_number(number, digits);
    put_text(r, name);
    for (size_t i = 0; i < text.size; i++)
        put_byte(r, text.at[i]);
}

static void put_item(struct render *r, const struct source *from,
                     const struct profile_item *item) {
    put_text(r, item->in_query ? "{\"in\":\"query\"" : "{\"in\":\"header\"");
    put_text(r, ",\"name\":\"");
    put_name(r, from, item);
    put_text(r, "\",\"value\":\"");
    r->value_at = r->size;
    r->escapes = r->secret_from = r->secret_to = 0;
    put_template(r, from, item->format);
    put_byte(r, '"');
    if (r->secret_to) {
        put_member(r, ",\"secret_from\":", r->secret_from);
        put_member(r, ",\"secret_to\":", r->secret_to);
    }
    put_byte(r, '}');
}

vlt_result profile_render(const struct profile *profile, const json_t *parameters,
                          struct bytes secret, void *at, size_t capacity, size_t *ret_size) {
    if (secret.size == 0)
        return vlt_fail(VLT_MALFORMED, "the credential is empty");
    if (secret.size > PROFILE_SECRET_MAX)
        return vlt_fail(VLT_LIMIT, "the credential is too long");
    struct render r = {.at = at, .capacity = capacity, .result = vlt_ok()};
    const struct source from = {profile, parameters, secret};
    const char *separator = "[";
    for (size_t i = 0; i < profile->item_count; i++) {
        if (!item_is_wanted(&from, &profile->items[i]))
            continue;
        put_text(&r, separator);
        put_item(&r, &from, &profile->items[i]);
        separator = ",";
    }
    put_text(&r, "]");
    if (!vlt_is_ok(r.result)) {
        explicit_bzero(at, r.size);
        return r.result;
    }
    *ret_size = r.size;
    return vlt_ok();
}
