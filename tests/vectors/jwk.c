// SPDX-License-Identifier: Apache-2.0
// Keys: Wycheproof's sets with one JWS each, single keys of the JOSE cookbook,
// keys and sets of the RFCs, thumbprints of rfc-vectors.json.
#include <stdio.h>
#include <stdlib.h>

#include "tests/vectors/jose.h"

// ---- Wycheproof ----

static void run_group(const char *path, const json_t *file, json_t *group) {
    if (jose_has(group, "jws")) // a refused set verifies nothing
        jose_jws_group(path, file, group);
    else if (jose_is_agreement(group))
        jose_agreement_group(path, file, group);
    else
        wycheproof_skip(path, file, group);
}

// ---- Single keys and sets ----

static bool is_text(const json_t *object, const char *name, const char *text) {
    return strcmp(wycheproof_text(object, name), text) == 0;
}

// What we export of a key is what was published of it.
static bool exports_the_same(const json_t *object, const struct jwk *key) {
    static const char *const names[] = {"kty", "crv", "n", "e", "x", "y", "kid"};
    json_t *exported = NULL;
    if (!vlt_is_ok(jwk_export(key, NULL, NULL, &exported)))
        return false;
    bool same = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        same = same && is_text(object, names[i], wycheproof_text(exported, names[i]));
    json_decref(exported);
    return same;
}

static void judge_key(const char *path, const json_t *object) {
    struct jwk *key = NULL, *as_public = NULL;
    vlt_result parsed = jose_key(object, JOSE_ALLOW_ALL, &key);
    if (!vlt_is_ok(parsed)) {
        if (jose_is_by_design(parsed))
            vectors_skip(path, 1, "refused by design: %s", parsed.reason);
        else
            vectors_fail(path, "refused: %s", parsed.reason);
        return;
    }
    bool taken = vlt_is_ok(jose_key(object, 0, &as_public));
    if (taken == key->is_private)
        vectors_fail(path, "private key %s where only public ones are allowed",
                     taken ? "taken" : "refused");
    else if (key->kty != JWK_OCT && !exports_the_same(object, key))
        vectors_fail(path, "exports something else");
    else
        vectors_pass();
    jwk_free(key);
    jwk_free(as_public);
}

static void judge_set(const char *path, const json_t *root) {
    struct jwk_set *set = NULL;
    json_t *keys = json_object_get(root, "keys"), *key;
    vlt_result parsed = jose_set(root, JOSE_ALLOW_ALL, &set);
    if (json_array_size(keys) == 0)
        vectors_fail(path, "there is no key in it");
    else if (!vlt_is_ok(parsed) && jose_is_by_design(parsed))
        vectors_skip(path, 1, "set refused by design: %s", parsed.reason);
    else if (!vlt_is_ok(parsed))
        vectors_fail(path, "set refused: %s", parsed.reason);
    else if (set->count != json_array_size(keys))
        vectors_fail(path, "%zu of %zu keys", set->count, json_array_size(keys));
    else
        vectors_pass();
    jwk_set_free(set);
    size_t i;
    json_array_foreach(keys, i, key)
        judge_key(path, key);
}

static void judge_thumbprint(const char *path, const json_t *jwk, const char *expected) {
    struct jwk *key = NULL;
    char text[JWK_THUMBPRINT_TEXT_SIZE] = "";
    if (vlt_is_ok(jose_key(jwk, 0, &key)) && vlt_is_ok(jwk_thumbprint_text(key, text)) &&
        strcmp(text, expected) == 0)
        vectors_pass();
    else
        vectors_fail(path, "thumbprint is \"%s\", not \"%s\"", text, expected);
    jwk_free(key);
}

static void judge_other(const char *path, const json_t *root) {
    const json_t *rfc7638 = json_object_get(root, "rfc7638"),
                 *rfc9449 = json_object_get(root, "rfc9449");
    if (json_object_get(root, "kty")) {
        judge_key(path, root);
    } else if (json_object_get(root, "keys")) {
        judge_set(path, root);
    } else if (rfc7638 || rfc9449) {
        judge_thumbprint(path, json_object_get(rfc7638, "jwk"),
                         wycheproof_text(rfc7638, "thumbprint_sha256"));
        judge_thumbprint(path, json_object_get(rfc9449, "jwk"), wycheproof_text(rfc9449, "jkt"));
    } else {
        vectors_foreign(path, root != NULL, "neither a key nor a set");
    }
}

// Some published files only name another file beside them.
static bool names_another(struct bytes content) {
    return content.size && content.size < 200 && content.at[0] != '{' &&
           bytes_find(content, '{') == content.size;
}

static void visit(const char *path, struct bytes content) {
    json_t *root = NULL;
    if (wycheproof_each_group(path, content, run_group, &root))
        return;
    if (!root && names_another(content))
        vectors_skip(path, 1, "only the name of another file");
    else
        judge_other(path, root);
    json_decref(root);
}

void vectors_jwk(int count, char **paths) {
    static const char *const suffixes[] = {".json", ".jwk", ".jwkset", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
