// SPDX-License-Identifier: Apache-2.0
// Signed objects: Wycheproof, JOSE cookbook, RFC examples (.jwsc compact, .jwsf
// flattened, .jwsg general, each with its .jwk or .jwkset beside it).
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "tests/vectors/jose.h"

#define TEXT_MAX (1u << 20)

// ---- One signature ----

// A signature of the JSON serializations. Where alg stands in the protected
// header the object is judged in its compact form, as the daemon would see it;
// else (RFC 7515 section 7.2.1 allows it) only the signature itself.
static vlt_result verify_member(const json_t *signature, const char *payload_b64,
                                const struct jwk_set *set) {
    const char *protected_b64 = wycheproof_text(signature, "protected");
    const json_t *header = json_object_get(signature, "header");
    const char *alg = wycheproof_text(header, "alg");
    struct buf compact;
    buf_init(&compact, TEXT_MAX);
    vlt_result result = vlt_fail(VLT_MALFORMED, "no key");
    if (!*alg) {
        struct jws_parts parts;
        jose_put_compact(&compact, protected_b64, payload_b64,
                         wycheproof_text(signature, "signature"));
        result = jose_verify(buf_bytes(&compact), set, &parts);
        if (vlt_is_ok(result))
            jws_parts_done(&parts);
    } else if (set->count == 1) {
        uint8_t octets[JWS_SIGNATURE_MAX];
        size_t size = 0;
        jose_put_compact(&compact, protected_b64, payload_b64, "");
        result = b64u_decode(bytes_of_text(wycheproof_text(signature, "signature")), octets,
                             sizeof octets, &size);
        if (vlt_is_ok(result))
            result = jws_verify_signature(jws_alg_of_name(bytes_of_text(alg)), set->keys[0],
                                          bytes_of(compact.at, compact.size - 1),
                                          bytes_of(octets, size));
    }
    buf_done(&compact);
    return result;
}

// ---- Wycheproof ----

static vlt_result verify_compact(struct bytes compact, const struct jwk_set *set) {
    struct jws_parts parts;
    VLT_TRY(jose_verify(compact, set, &parts));
    jws_parts_done(&parts);
    return vlt_ok();
}

static vlt_result verify_any_form(const json_t *jws, const struct jwk_set *set) {
    if (json_is_string(jws))
        return verify_compact(bytes_of(json_string_value(jws), json_string_length(jws)), set);
    json_t *signatures = json_object_get(jws, "signatures"), *one;
    const char *payload = wycheproof_text(jws, "payload");
    if (!signatures)
        return verify_member(jws, payload, set);
    size_t i;
    vlt_result result = vlt_fail(VLT_MALFORMED, "no signature");
    json_array_foreach(signatures, i, one) {
        result = verify_member(one, payload, set);
        if (!vlt_is_ok(result))
            break;
    }
    return result;
}

struct group_key {
    struct jwk_set *set;
    vlt_result parsed;
};

// The JSON serialization where the vector asks for the compact one: as text.
static vlt_result verify_as_text(const json_t *jws, const struct jwk_set *set) {
    char *text = json_dumps(jws, JSON_COMPACT);
    vlt_result result = text ? verify_compact(bytes_of_text(text), set)
                             : vlt_fail(VLT_MALFORMED, "no JWS");
    free(text);
    return result;
}

// Why a JWS that is called valid is refused all the same; NULL when it is not by
// design. RFC 7515 section 2 knows nothing but base64url; RFC 7517 section 4.4
// lets a key say for which algorithm it is.
static const char *reason_to_refuse(const json_t *jws, const struct jwk_set *set) {
    const char *compact = json_string_value(jws);
    struct jws_parts parts;
    if (!compact)
        return NULL;
    if (compact[strspn(compact, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-_.")])
        return "not base64url";
    if (!vlt_is_ok(jws_split(bytes_of_text(compact), 0, &parts)))
        return NULL;
    bool is_for_another = set->count == 1 && set->keys[0]->has_alg &&
                          set->keys[0]->jws_alg != parts.alg;
    jws_parts_done(&parts);
    return is_for_another ? "the key is for another algorithm" : NULL;
}

// The number of a test of this file that has the same keys and the same JWS but is
// valid, 0 when there is none. (Some lost the padding that made them invalid.)
static int same_but_valid(const struct wycheproof_case *c) {
    json_t *groups = json_object_get(c->file, "testGroups"), *group, *test;
    size_t i, j;
    json_array_foreach(groups, i, group) {
        json_t *tests = json_object_get(group, "tests");
        if (!json_equal(json_object_get(group, "private"), json_object_get(c->group, "private")))
            continue;
        json_array_foreach(tests, j, test)
            if (strcmp(wycheproof_text(test, "result"), "valid") == 0 &&
                json_equal(json_object_get(test, "jws"), json_object_get(c->test, "jws")))
                return wycheproof_number(test, "tcId");
    }
    return 0;
}

static void judge_test(const struct wycheproof_case *c, const struct jwk_set *set,
                       vlt_result result) {
    bool is_valid = strcmp(c->result, "valid") == 0, is_invalid = strcmp(c->result, "invalid") == 0;
    const char *reason =
        is_valid && set && !vlt_is_ok(result)
            ? reason_to_refuse(json_object_get(c->test, "jws"), set)
            : NULL;
    int twin = is_invalid && vlt_is_ok(result) ? same_but_valid(c) : 0;
    if (reason)
        vectors_skip(c->path, 1, "%s: refused: %s", c->what, reason);
    else if (twin)
        vectors_skip(c->path, 1, "%s: the very same is valid in tcId %d", c->what, twin);
    else
        jose_judge(c->path, c->what, c->result, result);
}

static void run(const struct wycheproof_case *c, void *key_at) {
    struct group_key *key = key_at;
    const json_t *jws = json_object_get(c->test, "jws");
    vlt_result result = key->parsed;
    if (!jws && json_object_get(c->test, "jwe")) {
        vectors_skip(c->path, 1, "%s: not a signed object", c->what);
        return;
    }
    if (!json_is_string(jws) && !json_is_object(jws)) {
        vectors_fail(c->path, "%s: there is no jws", c->what);
        return;
    }
    if (vlt_is_ok(result))
        result = jose_has_flag(c->test, "JsonSerialization") ? verify_as_text(jws, key->set)
                                                        : verify_any_form(jws, key->set);
    judge_test(c, key->set, result);
}

void jose_jws_group(const char *path, const json_t *file, json_t *group) {
    struct group_key key = {0};
    key.parsed = jose_group_set(group, &key.set);
    wycheproof_each_test(path, file, group, NULL, run, &key);
    jwk_set_free(key.set);
}

static void run_group(const char *path, const json_t *file, json_t *group) {
    if (jose_has(group, "jws"))
        jose_jws_group(path, file, group);
    else
        jose_signature_group(path, file, group);
}

// ---- Cookbook ----

// A header that we refuse by design (crit, b64) says so before anything else is wrong.
static vlt_result or_by_header(vlt_result result, struct bytes protected_b64) {
    struct buf bare;
    struct jws_parts parts;
    if (vlt_is_ok(result) || jose_is_by_design(result))
        return result;
    buf_init(&bare, TEXT_MAX);
    buf_put(&bare, protected_b64);
    buf_put_text(&bare, "..AA");
    vlt_result header = jws_split(buf_bytes(&bare), 0, &parts);
    if (vlt_is_ok(header))
        jws_parts_done(&parts);
    buf_done(&bare);
    return jose_is_by_design(header) ? header : result;
}

static void judge_compact(const char *path, const char *compact, const char *payload,
                          const struct jwk_set *set) {
    struct buf text, payload_b64;
    struct jws_parts parts;
    buf_init(&text, TEXT_MAX);
    buf_init(&payload_b64, TEXT_MAX);
    jose_put_b64u(&payload_b64, payload);
    const char *gap = strstr(compact, "..");
    buf_put(&text, bytes_of(compact, gap ? (size_t)(gap - compact) + 1 : strlen(compact)));
    if (gap) { // detached content (RFC 7515 appendix F)
        buf_put(&text, buf_bytes(&payload_b64));
        buf_put_text(&text, gap + 1);
    }
    vlt_result result = jose_verify(buf_bytes(&text), set, &parts);
    if (vlt_is_ok(result)) {
        if (!bytes_equal_text(parts.payload, payload))
            result = vlt_fail(VLT_CRYPTO, "another payload");
        jws_parts_done(&parts);
    }
    result = or_by_header(result, bytes_of(compact, strcspn(compact, ".")));
    jose_judge(path, "compact", "valid", result);
    buf_done(&text);
    buf_done(&payload_b64);
}

// Signs the published input again and verifies it; where the scheme is
// deterministic, the signature must be the published one.
static void judge_signing(const char *path, const json_t *signing, const json_t *jwk) {
    struct jwk *key = NULL;
    uint8_t made[JWS_SIGNATURE_MAX];
    char text[B64U_SIZE(JWS_SIGNATURE_MAX) + 1];
    size_t size = 0;
    const char *alg = wycheproof_text(json_object_get(signing, "protected"), "alg");
    struct bytes input = bytes_of_text(wycheproof_text(signing, "sig-input"));
    if (!vlt_is_ok(jose_key(jwk, JOSE_ALLOW_ALL, &key)) ||
        jws_signing_alg(key) == JWS_ALG_UNKNOWN ||
        strcmp(jws_alg_name(jws_signing_alg(key)), alg) != 0 || input.size == 0) {
        jwk_free(key);
        return; // not something that we sign
    }
    bool is_fixed = key->kty == JWK_RSA || key->curve == JWK_ED25519;
    vlt_result result = jws_sign_raw(key, input, made, &size);
    if (vlt_is_ok(result))
        result = jws_verify_signature(jws_signing_alg(key), key, input, bytes_of(made, size));
    b64u_encode_text(bytes_of(made, size), text);
    if (vlt_is_ok(result) && is_fixed && strcmp(text, wycheproof_text(signing, "sig")) != 0)
        result = vlt_fail(VLT_CRYPTO, "another signature");
    jose_judge(path, "signing", "valid", result);
    jwk_free(key);
}

static void judge_json_form(const char *path, const char *what, const json_t *form,
                            const char *payload, const json_t *keys) {
    const json_t *signatures = json_object_get(form, "signatures");
    struct buf payload_b64;
    buf_init(&payload_b64, TEXT_MAX);
    jose_put_b64u(&payload_b64, payload);
    const char *text = json_object_get(form, "payload") ? wycheproof_text(form, "payload")
                                                        : buf_text(&payload_b64);
    size_t count = signatures ? json_array_size(signatures) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = signatures ? json_array_get(signatures, i) : form;
        struct jwk_set *set = NULL;
        vlt_result result = jose_set(jose_nth(keys, i), JOSE_ALLOW_ALL, &set);
        if (vlt_is_ok(result))
            result = verify_member(one, text, set);
        result = or_by_header(result, bytes_of_text(wycheproof_text(one, "protected")));
        jose_judge(path, what, "valid", result);
        jwk_set_free(set);
    }
    buf_done(&payload_b64);
}

static void judge_cookbook(const char *path, const json_t *root) {
    const json_t *input = json_object_get(root, "input"), *output = json_object_get(root, "output");
    const json_t *keys = json_object_get(input, "key"), *signing = json_object_get(root, "signing");
    const char *payload = wycheproof_text(input, "payload");
    const char *compact = wycheproof_text(output, "compact");
    struct jwk_set *set = NULL;
    if (*compact && vlt_is_ok(jose_set(jose_nth(keys, 0), JOSE_ALLOW_ALL, &set)))
        judge_compact(path, compact, payload, set);
    else if (*compact)
        vectors_fail(path, "key refused");
    jwk_set_free(set);
    static const char *const forms[] = {"json", "json_flat"};
    for (int i = 0; i < 2; i++)
        if (json_object_get(output, forms[i]))
            judge_json_form(path, forms[i], json_object_get(output, forms[i]), payload, keys);
    for (size_t i = 0; i < (json_is_array(signing) ? json_array_size(signing) : 1); i++)
        judge_signing(path, jose_nth(signing, i), jose_nth(keys, i));
}

// ---- RFC examples ----

// path with its suffix replaced. The file there may name another one beside it.
static json_t *load_beside(const char *path, const char *suffix, bool follows) {
    char other[4096], name[256];
    const char *dot = strrchr(path, '.');
    struct buf content;
    snprintf(other, sizeof other, "%.*s%s", (int)(dot - path), path, suffix);
    json_t *root = NULL;
    if (vectors_read(other, &content)) {
        root = json_loadb((const char *)content.at, content.size, 0, NULL);
        struct bytes line = bytes_of(content.at, bytes_find(buf_bytes(&content), '\n'));
        const char *slash = strrchr(path, '/');
        if (!root && follows && bytes_to_text(line, name, sizeof name)) {
            snprintf(other, sizeof other, "%.*s%s", (int)(slash ? slash + 1 - path : 0), path,
                     name);
            root = load_beside(other, strrchr(name, '.') ? strrchr(name, '.') : "", false);
        }
    }
    buf_done(&content);
    return root;
}

static void judge_rfc_compact(const char *path, struct bytes content) {
    json_t *jwk = load_beside(path, ".jwk", true);
    struct jwk_set *set = NULL;
    struct jws_parts parts;
    while (content.size && content.at[content.size - 1] == '\n')
        content.size--;
    // An example with alg none has no key; it must be refused.
    bool is_signed = jwk != NULL;
    vlt_result result = is_signed ? jose_set(jwk, JOSE_ALLOW_ALL, &set)
                                  : jws_split(content, 0, &parts);
    if (is_signed && vlt_is_ok(result))
        result = jose_verify(content, set, &parts);
    if (vlt_is_ok(result))
        jws_parts_done(&parts);
    vectors_judge(path, "compact", is_signed ? "valid" : "invalid", vlt_is_ok(result));
    jwk_set_free(set);
    json_decref(jwk);
}

static void judge_rfc_json(const char *path, const json_t *root) {
    json_t *beside = load_beside(path, ".jwkset", true);
    json_t *keys = json_object_get(beside, "keys");
    if (!keys)
        beside = load_beside(path, ".jwk", true);
    struct buf payload;
    size_t size = 0;
    struct bytes text = bytes_of_text(wycheproof_text(root, "payload"));
    buf_init(&payload, TEXT_MAX);
    uint8_t *room = buf_extend(&payload, B64U_DECODED_MAX(text.size) + 1);
    if (beside && room && vlt_is_ok(b64u_decode(text, room, payload.size, &size))) {
        room[size] = 0;
        judge_json_form(path, "JSON form", root, (const char *)room, keys ? keys : beside);
    } else {
        vectors_fail(path, "no key beside it, or no payload");
    }
    buf_done(&payload);
    json_decref(beside);
}

static bool ends_in(const char *path, const char *suffix) {
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, suffix) == 0;
}

static void visit(const char *path, struct bytes content) {
    json_t *root = NULL;
    if (ends_in(path, ".jwsc")) {
        judge_rfc_compact(path, content);
        return;
    }
    if (wycheproof_each_group(path, content, run_group, &root))
        return;
    const json_t *nested = json_object_get(root, "sign"), *part = nested ? nested : root;
    if (ends_in(path, ".jwsf") || ends_in(path, ".jwsg"))
        judge_rfc_json(path, root);
    else if (json_object_get(json_object_get(part, "input"), "payload"))
        judge_cookbook(path, part);
    else
        vectors_foreign(path, root != NULL, "not a signed object");
    json_decref(root);
}

void vectors_jws(int count, char **paths) {
    static const char *const suffixes[] = {".json", ".jwsc", ".jwsf", ".jwsg", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
