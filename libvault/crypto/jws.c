// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/jws.h"

#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/jws_headers.h"

// ---- Header ----

static vlt_result read_text(const json_t *header, const char *name, char *text, size_t capacity,
                            bool *ret_present) {
    const json_t *member = json_object_get(header, name);
    *ret_present = member != NULL;
    if (!member)
        return vlt_ok();
    if (!json_is_string(member) || json_string_length(member) == 0)
        return vlt_fail(VLT_MALFORMED, "a header member is not a string");
    struct bytes value = bytes_of(json_string_value(member), json_string_length(member));
    return bytes_to_text(value, text, capacity)
               ? vlt_ok()
               : vlt_fail(VLT_LIMIT, "a header member is too long");
}

// Members by which a token would choose its own key or its own rules.
static vlt_result refuse_foreign_keys(const json_t *header, unsigned flags) {
    static const char *const names[] = {"jku", "x5u", "x5c"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(header, names[i]))
            return vlt_fail(VLT_DENIED, "the header brings its own key");
    if (json_object_get(header, "crit") || json_object_get(header, "b64"))
        return vlt_fail(VLT_DENIED, "the header demands an extension");
    bool has_key = json_object_get(header, "jwk") != NULL;
    if (has_key && !(flags & JWS_EMBEDDED_KEY))
        return vlt_fail(VLT_DENIED, "the header brings its own key");
    if (!has_key && (flags & JWS_EMBEDDED_KEY))
        return vlt_fail(VLT_MALFORMED, "the header has no jwk");
    return vlt_ok();
}

static vlt_result read_header(const json_t *header, unsigned flags, struct jws_parts *parts) {
    if (!json_is_object(header))
        return vlt_fail(VLT_MALFORMED, "the header is not a JSON object");
    const json_t *alg = json_object_get(header, "alg");
    if (!json_is_string(alg))
        return vlt_fail(VLT_MALFORMED, "the header has no alg");
    parts->alg = jws_alg_of_name(bytes_of(json_string_value(alg), json_string_length(alg)));
    if (parts->alg == JWS_ALG_UNKNOWN)
        return vlt_fail(VLT_DENIED, "unknown alg");
    VLT_TRY(refuse_foreign_keys(header, flags));
    VLT_TRY(read_text(header, "kid", parts->kid, sizeof parts->kid, &parts->has_kid));
    VLT_TRY(read_text(header, "typ", parts->typ, sizeof parts->typ, &parts->has_typ));
    if (flags & JWS_EMBEDDED_KEY)
        return jwk_parse_json(json_object_get(header, "jwk"), 0, NULL, &parts->embedded);
    return vlt_ok();
}

static vlt_result parse_header(unsigned flags, struct jws_parts *parts) {
    json_t *header = NULL;
    VLT_TRY(jsontext_parse(parts->header, &jsontext_token_limits, NULL, &header));
    vlt_result result = read_header(header, flags, parts);
    json_decref(header);
    return result;
}

// ---- Split ----

static vlt_result split(struct jws_headers *headers, struct bytes token, unsigned flags,
                        struct jws_parts *parts) {
    size_t first = bytes_find(token, '.');
    struct bytes rest = bytes_from(token, first + 1);
    size_t second = bytes_find(rest, '.');
    struct bytes signature = bytes_from(rest, second + 1);
    if (first >= token.size || second >= rest.size || bytes_find(signature, '.') < signature.size)
        return vlt_fail(VLT_MALFORMED, "not three parts");
    parts->memory = malloc(token.size); // the decoded parts are shorter than the token
    if (!parts->memory)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    uint8_t *next = parts->memory;
    parts->signing_input = bytes_of(token.at, first + 1 + second);
    VLT_TRY(b64u_decode_next(bytes_of(token.at, first), &next, &parts->header));
    VLT_TRY(b64u_decode_next(bytes_of(rest.at, second), &next, &parts->payload));
    VLT_TRY(b64u_decode_next(signature, &next, &parts->signature));
    if (parts->signature.size == 0)
        return vlt_fail(VLT_MALFORMED, "the signature is empty");
    struct bytes header = bytes_of(token.at, first);
    if (jws_headers_find(headers, header, flags, parts))
        return vlt_ok();
    VLT_TRY(parse_header(flags, parts));
    jws_headers_keep(headers, header, flags, parts);
    return vlt_ok();
}

vlt_result jws_split_known(struct jws_headers *headers, struct bytes token, unsigned flags,
                           struct jws_parts *ret_parts) {
    if (token.size > JWS_MAX_BYTES)
        return vlt_fail(VLT_LIMIT, "token is too long");
    struct jws_parts parts = {0};
    vlt_result result = split(headers, token, flags, &parts);
    if (vlt_is_ok(result))
        *ret_parts = parts;
    else
        jws_parts_done(&parts);
    return result;
}

vlt_result jws_split(struct bytes token, unsigned flags, struct jws_parts *ret_parts) {
    return jws_split_known(NULL, token, flags, ret_parts);
}

void jws_parts_done(struct jws_parts *parts) {
    if (!parts->embedded_is_lent)
        jwk_free(parts->embedded);
    free(parts->memory);
    *parts = (struct jws_parts){0};
}

bool jws_typ_is(const struct jws_parts *parts, const char *expected) {
    static const struct bytes prefix = {(const uint8_t *)"application/", 12};
    if (!parts->has_typ)
        return false;
    struct bytes typ = bytes_of_text(parts->typ);
    if (typ.size > prefix.size && bytes_equal_nocase(bytes_of(typ.at, prefix.size), prefix))
        typ = bytes_from(typ, prefix.size);
    return bytes_equal_nocase(typ, bytes_of_text(expected));
}
