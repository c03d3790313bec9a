// SPDX-License-Identifier: Apache-2.0
#include "forward/core/carrier.h"

#include "forward/core/byte_run.h"
#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"

#define NAME(text)                                                                                 \
    { (const uint8_t *)(text), sizeof(text) - 1 }

const struct bytes carrier_well_known[CARRIER_WELL_KNOWN_COUNT] = {
    NAME("authorization"), NAME("x-api-key"), NAME("api-key"), NAME("x-goog-api-key")};

// Google's servers let the override headers replace the method that the vault
// decided on; IIS and frameworks in PHP, the path. The rest is for one connection
// (RFC 9110 section 7.6.1) and of no use on the next.
const struct bytes carrier_stripped[CARRIER_STRIPPED_COUNT] = {
    NAME("dpop"),
    NAME("proxy-authorization"),
    NAME("x-http-method-override"),
    NAME("x-http-method"),
    NAME("x-method-override"),
    NAME("x-original-url"),
    NAME("x-rewrite-url"),
    NAME("proxy-connection"),
    NAME("keep-alive"),
    NAME("http2-settings"),
    NAME("te")};

// Length and first letter tell most apart before a text is compared.
static bool is_one_of(struct bytes name, const struct bytes *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (name.size == names[i].size && (name.at[0] | 0x20) == names[i].at[0] &&
            bytes_equal_nocase(name, names[i]))
            return true;
    return false;
}

bool carrier_is_among_well_known(struct bytes name) {
    return is_one_of(name, carrier_well_known, CARRIER_WELL_KNOWN_COUNT);
}

bool carrier_is_among_stripped(struct bytes name) {
    return is_one_of(name, carrier_stripped, CARRIER_STRIPPED_COUNT) ||
           carrier_is_among_well_known(name);
}

bool carrier_is_token(struct bytes text) {
    // '{"' in base64url begins with "ey".
    if (text.size > CARRIER_TOKEN_MAX || !bytes_begin_with(text, BYTES_LITERAL("ey")))
        return false;
    size_t begin = 0;
    for (unsigned part = 0; part < 3; part++) {
        size_t end = byte_run_b64u(text, begin);
        bool is_last = part == 2;
        if (end == begin || is_last != (end == text.size) || (!is_last && text.at[end] != '.'))
            return false;
        begin = end + 1;
    }
    return true;
}

static bool take_scheme(struct bytes value, const char *scheme, struct bytes *ret_rest) {
    size_t size = strlen(scheme);
    if (value.size <= size || value.at[size] != ' ' ||
        !bytes_equal_nocase(bytes_of(value.at, size), bytes_of_text(scheme)))
        return false;
    while (size < value.size && value.at[size] == ' ')
        size++;
    *ret_rest = bytes_from(value, size);
    return true;
}

vlt_result carrier_authorization(struct bytes value, uint8_t *room, struct bytes *ret_token,
                                 enum carrier_scheme *ret_scheme) {
    struct bytes rest;
    if (take_scheme(value, "bearer", &rest) || take_scheme(value, "dpop", &rest)) {
        *ret_scheme = (value.at[0] | 0x20) == 'd' ? CARRIER_DPOP : CARRIER_BEARER;
        *ret_token = rest;
        return vlt_ok();
    }
    if (!take_scheme(value, "basic", &rest))
        return vlt_fail(VLT_MALFORMED, "the Authorization header is neither Bearer nor DPoP");
    size_t size = 0;
    VLT_TRY(b64_decode(rest, room, value.size, &size));
    struct bytes pair = bytes_of(room, size);
    *ret_token = bytes_from(pair, bytes_find(pair, ':') + 1);
    *ret_scheme = CARRIER_BEARER;
    return vlt_ok();
}

static struct bytes trim(struct bytes text) {
    while (text.size && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = bytes_from(text, 1);
    while (text.size && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t'))
        text.size--;
    return text;
}

bool carrier_take_element(struct bytes list, const char *prefix, uint8_t *left,
                          size_t *ret_left_size, struct bytes *ret_token) {
    bool found = false;
    size_t size = 0;
    for (struct bytes rest = list; rest.size;) {
        size_t comma = bytes_find(rest, ',');
        struct bytes element = trim(bytes_of(rest.at, comma));
        rest = bytes_from(rest, comma + 1);
        if (bytes_begin_with(element, bytes_of_text(prefix)) && !found) {
            found = true;
            *ret_token = bytes_from(element, strlen(prefix));
        } else if (element.size) {
            if (size)
                left[size++] = ',';
            memcpy(left + size, element.at, element.size);
            size += element.size;
        }
    }
    if (found)
        *ret_left_size = size;
    return found;
}

bool carrier_list_has(struct bytes list, struct bytes name) {
    while (list.size) {
        size_t comma = bytes_find(list, ',');
        if (bytes_equal_nocase(trim(bytes_of(list.at, comma)), name))
            return true;
        list = bytes_from(list, comma + 1);
    }
    return false;
}

bool carrier_query_name_is(struct bytes parameter, struct bytes name) {
    struct bytes spelled = bytes_of(parameter.at, bytes_find(parameter, '='));
    size_t at = 0;
    for (size_t i = 0; i < spelled.size; i++, at++) {
        uint8_t c = spelled.at[i] == '+' ? ' ' : spelled.at[i];
        if (c == '%' && i + 2 < spelled.size &&
            vlt_is_ok(hex_decode(bytes_of(spelled.at + i + 1, 2), &c, 1)))
            i += 2;
        if (at >= name.size || c != name.at[at])
            return false;
    }
    return at == name.size;
}

bool carrier_in_query(struct bytes query, const char *name, struct bytes *ret_value,
                      unsigned *ret_count) {
    unsigned count = 0;
    for (struct bytes rest = query; rest.size;) {
        size_t end = bytes_find(rest, '&');
        struct bytes parameter = bytes_of(rest.at, end);
        rest = bytes_from(rest, end + 1);
        if (!carrier_query_name_is(parameter, bytes_of_text(name)))
            continue;
        if (count++ == 0)
            *ret_value = bytes_from(parameter, bytes_find(parameter, '=') + 1);
    }
    *ret_count = count;
    return count > 0;
}
