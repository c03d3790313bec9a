// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/jose.h"

#include <stdlib.h>

#include "libvault/base/b64u.h"

vlt_result jose_key(const json_t *object, unsigned allow, struct jwk **ret_key) {
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
    vlt_result result = jwk_parse(bytes_of_text(text), allow, NULL, ret_key);
    free(text);
    return result;
}

vlt_result jose_set(const json_t *object, unsigned allow, struct jwk_set **ret_set) {
    json_t *keys = json_object_get(object, "keys");
    json_t *wrapped = keys ? json_pack("{s:O}", "keys", keys)
                           : json_pack("{s:[O]}", "keys", object);
    char *text = json_dumps(wrapped, JSON_COMPACT);
    json_decref(wrapped);
    vlt_result result = text ? jwk_set_parse(bytes_of_text(text), allow, NULL, ret_set)
                             : vlt_fail(VLT_MALFORMED, "no key");
    free(text);
    return result;
}

vlt_result jose_group_set(const json_t *group, struct jwk_set **ret_set) {
    const json_t *public_keys = json_object_get(group, "public");
    if (public_keys)
        return jose_set(public_keys, 0, ret_set);
    return jose_group_private(group, ret_set);
}

vlt_result jose_group_private(const json_t *group, struct jwk_set **ret_set) {
    return jose_set(json_object_get(group, "private"), JOSE_ALLOW_ALL, ret_set);
}

bool jose_has(const json_t *group, const char *member) {
    json_t *tests = json_object_get(group, "tests"), *test;
    size_t i;
    json_array_foreach(tests, i, test)
        if (json_object_get(test, member))
            return true;
    return false;
}

bool jose_has_flag(const json_t *test, const char *name) {
    json_t *flags = json_object_get(test, "flags"), *flag;
    size_t i;
    json_array_foreach(flags, i, flag)
        if (json_is_string(flag) && strcmp(json_string_value(flag), name) == 0)
            return true;
    return false;
}

static struct jwk *choose(const struct jwk_set *set, const struct jws_parts *parts) {
    struct jwk *key = parts->has_kid ? jwk_set_find(set, bytes_of_text(parts->kid))
                                     : jwk_set_find(set, bytes_of(NULL, 0));
    // A single key without a kid answers to any, as with a key that was configured.
    return key || set->count != 1 || set->keys[0]->has_kid ? key : set->keys[0];
}

vlt_result jose_verify(struct bytes compact, const struct jwk_set *set,
                       struct jws_parts *ret_parts) {
    struct jws_parts parts;
    VLT_TRY(jws_split(compact, 0, &parts));
    struct jwk *key = choose(set, &parts);
    unsigned symmetric = JWS_BIT(JWS_HS256) | JWS_BIT(JWS_HS384) | JWS_BIT(JWS_HS512);
    vlt_result result = vlt_fail(set->count ? VLT_NOT_FOUND : VLT_DENIED,
                                 set->count ? "no such key" : "unknown alg");
    if (key)
        result = jws_verify(&parts, key->kty == JWK_OCT ? symmetric : JWS_ASYMMETRIC, key);
    if (vlt_is_ok(result))
        *ret_parts = parts;
    else
        jws_parts_done(&parts);
    return result;
}

bool jose_is_by_design(vlt_result result) { return result.class == VLT_DENIED; }

void jose_judge(const char *path, const char *what, const char *expected, vlt_result result) {
    if (strcmp(expected, "valid") == 0 && jose_is_by_design(result))
        vectors_skip(path, 1, "%s: %s", what, result.reason);
    else
        vectors_judge(path, what, expected, vlt_is_ok(result));
}

const json_t *jose_nth(const json_t *list_or_one, size_t i) {
    return json_is_array(list_or_one) ? json_array_get(list_or_one, i) : list_or_one;
}

void jose_put_compact(struct buf *out, const char *protected_b64, const char *payload_b64,
                      const char *signature_b64) {
    buf_put_text(out, protected_b64);
    buf_put_byte(out, '.');
    buf_put_text(out, payload_b64);
    buf_put_byte(out, '.');
    buf_put_text(out, signature_b64);
}

void jose_put_b64u(struct buf *out, const char *text) { b64u_encode(bytes_of_text(text), out); }
