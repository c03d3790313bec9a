// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "libvault/crypto/aead.h"
#include "tests/vectors/wycheproof.h"

struct vector {
    struct buf octets; // all of the following lie in here
    struct bytes iv, aad, message, ciphertext, tag, sealed;
    struct secret *key;
    bool is_xaes;
};

static void load(const json_t *test, struct vector *v) {
    static const char *const names[] = {"iv", "aad", "msg", "ct", "tag"};
    struct bytes *const parts[] = {&v->iv, &v->aad, &v->message, &v->ciphertext, &v->tag};
    size_t at[6] = {0};
    buf_init(&v->octets, 8 << 20);
    for (int i = 0; i < 5; i++) {
        wycheproof_hex(test, names[i], &v->octets);
        at[i + 1] = v->octets.size;
    }
    for (int i = 0; i < 5; i++) // only now: the buffer no longer moves
        *parts[i] = wycheproof_slice(&v->octets, at[i], at[i + 1]);
    v->sealed = wycheproof_slice(&v->octets, at[3], at[5]);
    v->key = wycheproof_secret(test, "key");
}

static vlt_result open_sealed(const struct vector *v, struct secret *plaintext) {
    struct xaes_key *key = NULL;
    if (!v->is_xaes)
        return aes_gcm_open(v->key, v->iv, v->aad, v->ciphertext, v->tag, plaintext);
    if (v->iv.size != XAES_NONCE_SIZE || v->tag.size != XAES_TAG_SIZE)
        return vlt_fail(VLT_CRYPTO, "sizes");
    VLT_TRY(xaes_key_new(v->key, &key));
    vlt_result result = xaes_open(key, v->iv.at, v->aad, v->sealed, plaintext);
    xaes_key_free(key);
    return result;
}

static vlt_result seal(const struct vector *v, uint8_t *out) {
    struct xaes_key *key = NULL;
    if (!v->is_xaes)
        return aes_gcm_seal(v->key, v->iv, v->aad, v->message.at, v->message.size, out,
                            out + v->message.size);
    VLT_TRY(xaes_key_new(v->key, &key));
    vlt_result result = xaes_seal(key, v->iv.at, v->aad, v->message.at, v->message.size, out);
    xaes_key_free(key);
    return result;
}

static bool opens(const struct vector *v) {
    struct secret *plaintext = secret_new(v->ciphertext.size);
    if (!plaintext)
        abort();
    bool done =
        vlt_is_ok(open_sealed(v, plaintext)) &&
        secret_equal(bytes_of(secret_borrow(plaintext), secret_size(plaintext)), v->message);
    secret_release(plaintext);
    secret_free(plaintext);
    return done;
}

static bool seals(const struct vector *v) {
    uint8_t *out = malloc(v->message.size + AEAD_TAG_SIZE);
    if (!out)
        abort();
    bool done = vlt_is_ok(seal(v, out)) &&
                bytes_equal(bytes_of(out, v->message.size + AEAD_TAG_SIZE), v->sealed);
    free(out);
    return done;
}

static void run(const struct wycheproof_case *c, void *is_xaes) {
    struct vector v = {.is_xaes = *(bool *)is_xaes};
    load(c->test, &v);
    bool is_valid = strcmp(c->result, "valid") == 0;
    if (is_valid && !v.is_xaes && v.iv.size > AES_GCM_IV_MAX)
        vectors_skip(c->path, 1, "%s: OpenSSL takes IVs of at most %d bytes", c->what,
                     AES_GCM_IV_MAX);
    else
        vectors_judge(c->path, c->what, c->result, opens(&v) && (!is_valid || seals(&v)));
    secret_free(v.key);
    buf_done(&v.octets);
}

static void run_group(const char *path, const json_t *file, json_t *group) {
    const char *algorithm = wycheproof_text(file, "algorithm");
    bool is_xaes = strcmp(algorithm, "XAES-256-GCM") == 0;
    if (strcmp(wycheproof_text(group, "type"), "AeadTest") != 0 ||
        (!is_xaes && strcmp(algorithm, "AES-GCM") != 0))
        vectors_skip(path, wycheproof_count(group), "%s: not one of ours", algorithm);
    else if (wycheproof_number(group, "tagSize") != 8 * AEAD_TAG_SIZE)
        vectors_skip(path, wycheproof_count(group), "shortened tags are refused by design");
    else
        wycheproof_each_test(path, file, group, run, &is_xaes);
}

static void visit(const char *path, struct bytes content) {
    json_t *other = NULL;
    if (!wycheproof_each_group(path, content, run_group, &other))
        vectors_fail(path, "not a Wycheproof file");
    json_decref(other);
}

int vectors_aead(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    return vectors_walk(count, paths, suffixes, visit);
}
