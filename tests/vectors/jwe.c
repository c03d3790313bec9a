// SPDX-License-Identifier: Apache-2.0
// Encrypted objects: Wycheproof and the JOSE cookbook, in every serialization.
#include <stdlib.h>

#include "libvault/base/hex.h"
#include "libvault/crypto/jwe.h"
#include "tests/vectors/jose.h"

#define PLAINTEXT_MAX (64u << 10)

// ---- One object ----

static struct bytes member(const json_t *object, const char *name) {
    return bytes_of_text(wycheproof_text(object, name));
}

// One recipient of a JSON serialization; `recipient` is the object itself when
// it is flattened.
static vlt_result split_json(const json_t *object, const json_t *recipient,
                             struct jwe_parts *ret_parts) {
    struct jwe_members members = {
        .protected_b64 = member(object, "protected"),
        .encrypted_key = member(recipient, "encrypted_key"),
        .iv = member(object, "iv"),
        .ciphertext = member(object, "ciphertext"),
        .tag = member(object, "tag"),
        .aad = member(object, "aad"),
        .unprotected = json_object_get(object, "unprotected"),
        .header = json_object_get(recipient, "header"),
    };
    return jwe_join(&members, ret_parts);
}

static vlt_result split_any_form(const json_t *jwe, size_t recipient, struct jwe_parts *ret_parts) {
    if (json_is_string(jwe))
        return jwe_split(bytes_of(json_string_value(jwe), json_string_length(jwe)), ret_parts);
    const json_t *recipients = json_object_get(jwe, "recipients");
    return split_json(jwe, recipients ? json_array_get(recipients, recipient) : jwe, ret_parts);
}

// A key that was published for another algorithm of the same kind stays that of
// its "alg"; without one it takes every algorithm that fits.
static vlt_result decrypt(const json_t *jwe, size_t recipient, const struct jwk *key,
                          struct secret *plaintext) {
    struct jwe_parts parts;
    VLT_TRY(split_any_form(jwe, recipient, &parts));
    vlt_result result = jwe_decrypt(&parts, JWE_EVERY_ALG, JWE_EVERY_ENC, key, plaintext);
    jwe_parts_done(&parts);
    return result;
}

static struct secret *new_plaintext(void) {
    struct secret *plaintext = secret_new(PLAINTEXT_MAX);
    if (!plaintext)
        abort();
    return plaintext;
}

static bool plaintext_is(const struct secret *plaintext, struct bytes expected) {
    bool same = secret_equal(bytes_of(secret_borrow(plaintext), secret_size(plaintext)), expected);
    secret_release(plaintext);
    return same;
}

// With a password instead of a key (PBES2), or a key of a kind that we do not
// know, only the refusal can be seen.
static vlt_result refuse_without_key(const json_t *form, size_t recipient) {
    struct jwe_parts parts;
    VLT_TRY(split_any_form(form, recipient, &parts));
    jwe_parts_done(&parts);
    return vlt_fail(VLT_DENIED, "no key of a known kind");
}

// ---- Wycheproof ----

struct group_key {
    struct jwk_set *set;
    vlt_result parsed;
};

// "pt" is hexadecimal in one schema and plain text in the other.
static bool is_expected(const json_t *test, const struct secret *plaintext) {
    const json_t *pt = json_object_get(test, "pt");
    struct bytes text = member(test, "pt");
    uint8_t *octets = malloc(text.size / 2 + 1);
    bool is_hex =
        octets && text.size % 2 == 0 && vlt_is_ok(hex_decode(text, octets, text.size / 2));
    bool same = !pt || (is_hex && plaintext_is(plaintext, bytes_of(octets, text.size / 2))) ||
                plaintext_is(plaintext, text);
    free(octets);
    return same;
}

// Where the vector asks for the compact form, the JSON one is given as text.
static vlt_result decrypt_as_asked(const json_t *test, const struct jwk *key,
                                   struct secret *plaintext) {
    json_t *jwe = json_object_get(test, "jwe");
    if (json_is_string(jwe) || !jose_has_flag(test, "JsonSerialization"))
        return decrypt(jwe, 0, key, plaintext);
    char *dump = json_dumps(jwe, JSON_COMPACT);
    json_t *text = json_string(dump);
    vlt_result result = decrypt(text, 0, key, plaintext);
    json_decref(text);
    free(dump);
    return result;
}

static void run(const struct wycheproof_case *c, void *key_at) {
    const struct group_key *key = key_at;
    const json_t *jwe = json_object_get(c->test, "jwe");
    if (!jwe && json_object_get(c->test, "jws")) {
        vectors_skip(c->path, 1, "%s: not an encrypted object", c->what);
        return;
    }
    if (!json_is_string(jwe) && !json_is_object(jwe)) {
        vectors_fail(c->path, "%s: there is no jwe", c->what);
        return;
    }
    struct secret *plaintext = new_plaintext();
    vlt_result result = key->parsed;
    if (vlt_is_ok(result))
        result = key->set->count == 1 ? decrypt_as_asked(c->test, key->set->keys[0], plaintext)
                                      : refuse_without_key(jwe, 0);
    if (vlt_is_ok(result) && !is_expected(c->test, plaintext))
        result = vlt_fail(VLT_CRYPTO, "another plaintext");
    jose_judge(c->path, c->what, c->result, result);
    secret_free(plaintext);
}

static void run_group(const char *path, const json_t *file, json_t *group) {
    struct group_key key = {0};
    if (jose_is_agreement(group)) {
        jose_agreement_group(path, file, group);
    } else if (jose_has(group, "jwe")) {
        key.parsed = jose_group_private(group, &key.set);
        wycheproof_each_test(path, file, group, NULL, run, &key);
        jwk_set_free(key.set);
    } else {
        wycheproof_skip(path, file, group);
    }
}

// ---- Cookbook ----

static void judge_form(const char *path, const char *what, const json_t *form,
                       const json_t *input) {
    const json_t *keys = json_object_get(input, "key"),
                 *recipients = json_object_get(form, "recipients");
    size_t count = recipients ? json_array_size(recipients) : 1;
    for (size_t i = 0; i < count; i++) {
        struct secret *plaintext = new_plaintext();
        struct jwk *key = NULL;
        vlt_result result = keys ? jose_key(jose_nth(keys, i), JOSE_ALLOW_ALL, &key)
                                 : refuse_without_key(form, i);
        if (vlt_is_ok(result))
            result = decrypt(form, i, key, plaintext);
        if (vlt_is_ok(result) && !plaintext_is(plaintext, member(input, "plaintext")))
            result = vlt_fail(VLT_CRYPTO, "another plaintext");
        jose_judge(path, what, "valid", result);
        jwk_free(key);
        secret_free(plaintext);
    }
}

// What we encrypt to the published key, we can decrypt with it.
static vlt_result encrypt_again(const json_t *input, const struct jwk *key, struct secret *content,
                                struct secret *plaintext) {
    struct buf jwe;
    struct bytes text = member(input, "plaintext");
    VLT_TRY(secret_set(content, text.at, text.size));
    buf_init(&jwe, JWE_MAX_BYTES);
    vlt_result result = jwe_encrypt(jwe_alg_of_name(member(input, "alg")),
                                    jwe_enc_of_name(member(input, "enc")), key, content, &jwe);
    if (vlt_is_ok(result)) {
        json_t *form = json_stringn((const char *)jwe.at, jwe.size);
        result = decrypt(form, 0, key, plaintext);
        json_decref(form);
    }
    if (vlt_is_ok(result) && !plaintext_is(plaintext, text))
        result = vlt_fail(VLT_CRYPTO, "another plaintext");
    buf_done(&jwe);
    return result;
}

static void judge_encrypting(const char *path, const json_t *input) {
    struct jwk *key = NULL;
    if (!jwe_alg_of_name(member(input, "alg")) || // refused by design, seen above
        !vlt_is_ok(jose_key(json_object_get(input, "key"), JOSE_ALLOW_ALL, &key)))
        return;
    struct secret *content = new_plaintext(), *plaintext = new_plaintext();
    jose_judge(path, "encrypting", "valid", encrypt_again(input, key, content, plaintext));
    secret_free(content);
    secret_free(plaintext);
    jwk_free(key);
}

static void judge_cookbook(const char *path, const json_t *root) {
    static const char *const forms[] = {"compact", "json", "json_flat"};
    const json_t *input = json_object_get(root, "input"), *output = json_object_get(root, "output");
    for (int i = 0; i < 3; i++)
        if (json_object_get(output, forms[i]))
            judge_form(path, forms[i], json_object_get(output, forms[i]), input);
    judge_encrypting(path, input);
}

static void visit(const char *path, struct bytes content) {
    json_t *root = NULL;
    if (wycheproof_each_group(path, content, run_group, &root))
        return;
    const json_t *nested = json_object_get(root, "encrypt"), *part = nested ? nested : root;
    if (json_object_get(json_object_get(part, "input"), "plaintext"))
        judge_cookbook(path, part);
    else
        vectors_foreign(path, root != NULL, "not an encrypted object");
    json_decref(root);
}

void vectors_jwe(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
