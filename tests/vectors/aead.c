// SPDX-License-Identifier: Apache-2.0
// Authenticated encryption and key wrapping: AES-GCM, XAES-256-GCM, the AES-CBC
// with HMAC of JWE (RFC 7518 section 5.2), AES key wrap (RFC 3394).
#include <stdlib.h>

#include "libvault/crypto/aead.h"
#include "libvault/crypto/jwe_steps.h"
#include "tests/vectors/wycheproof.h"

struct vector {
    struct buf octets; // all of the following lie in here
    struct bytes iv, aad, message, ciphertext, tag, sealed;
    struct secret *key;
    const struct cipher *cipher;
};

static void load(const json_t *test, struct vector *v) {
    static const char *const names[] = {"iv", "aad", "msg", "ct", "tag"};
    struct bytes *const parts[] = {&v->iv, &v->aad, &v->message, &v->ciphertext, &v->tag};
    size_t at[6] = {0};
    buf_init(&v->octets, 64 << 20);
    for (int i = 0; i < 5; i++) {
        wycheproof_hex(test, names[i], &v->octets);
        at[i + 1] = v->octets.size;
    }
    for (int i = 0; i < 5; i++) // only now: the buffer no longer moves
        *parts[i] = wycheproof_slice(&v->octets, at[i], at[i + 1]);
    v->sealed = wycheproof_slice(&v->octets, at[3], at[5]);
    v->key = wycheproof_secret(test, "key");
}

// ---- The ciphers. Each seals into `out`, which takes ciphertext and tag ----

static vlt_result gcm_open_vector(const struct vector *v, struct secret *plaintext) {
    return aes_gcm_open(v->key, v->iv, v->aad, v->ciphertext, v->tag, plaintext);
}

static vlt_result gcm_seal_vector(const struct vector *v, struct buf *out) {
    size_t size = v->message.size;
    uint8_t *room = buf_extend(out, size + AEAD_TAG_SIZE);
    return room ? aes_gcm_seal(v->key, v->iv, v->aad, v->message.at, size, room, room + size)
                : vlt_fail(VLT_LIMIT, "too long");
}

static vlt_result xaes_open_vector(const struct vector *v, struct secret *plaintext) {
    struct xaes_key *key = NULL;
    if (v->iv.size != XAES_NONCE_SIZE || v->tag.size != XAES_TAG_SIZE)
        return vlt_fail(VLT_CRYPTO, "sizes");
    VLT_TRY(xaes_key_new(v->key, &key));
    vlt_result result = xaes_open(key, v->iv.at, v->aad, v->sealed, plaintext);
    xaes_key_free(key);
    return result;
}

static vlt_result xaes_seal_vector(const struct vector *v, struct buf *out) {
    struct xaes_key *key = NULL;
    uint8_t *room = buf_extend(out, v->message.size + XAES_TAG_SIZE);
    if (!room)
        return vlt_fail(VLT_LIMIT, "too long");
    VLT_TRY(xaes_key_new(v->key, &key));
    vlt_result result = xaes_seal(key, v->iv.at, v->aad, v->message.at, v->message.size, room);
    xaes_key_free(key);
    return result;
}

struct cipher {
    const char *algorithm;
    vlt_result (*open)(const struct vector *v, struct secret *plaintext);
    vlt_result (*seal)(const struct vector *v, struct buf *out);
    enum jwe_enc enc; // of the content ciphers of JWE
    int tag_bits;
};

static vlt_result content_open_vector(const struct vector *v, struct secret *plaintext) {
    return jwe_content_open(v->cipher->enc, v->key, v->iv, v->aad, v->ciphertext, v->tag,
                            plaintext);
}

static vlt_result content_seal_vector(const struct vector *v, struct buf *out) {
    uint8_t tag[JWE_TAG_MAX];
    struct secret *plaintext = secret_new(v->message.size);
    if (!plaintext)
        abort();
    vlt_result result = secret_set(plaintext, v->message.at, v->message.size);
    if (vlt_is_ok(result))
        result = jwe_content_seal(v->cipher->enc, v->key, v->iv, v->aad, plaintext, out, tag);
    if (vlt_is_ok(result))
        buf_put(out, bytes_of(tag, jwe_enc_tag_bytes(v->cipher->enc)));
    secret_free(plaintext);
    return result;
}

static const struct cipher ciphers[] = {
    {"AES-GCM", gcm_open_vector, gcm_seal_vector, JWE_ENC_UNKNOWN, 128},
    {"XAES-256-GCM", xaes_open_vector, xaes_seal_vector, JWE_ENC_UNKNOWN, 128},
    {"A128CBC-HS256", content_open_vector, content_seal_vector, JWE_A128CBC_HS256, 128},
    {"A192CBC-HS384", content_open_vector, content_seal_vector, JWE_A192CBC_HS384, 192},
    {"A256CBC-HS512", content_open_vector, content_seal_vector, JWE_A256CBC_HS512, 256},
};

static const struct cipher *cipher_of(const char *algorithm) {
    for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++)
        if (strcmp(algorithm, ciphers[i].algorithm) == 0)
            return &ciphers[i];
    return NULL;
}

// ---- Tests ----

static bool opens(const struct vector *v) {
    struct secret *plaintext = secret_new(v->ciphertext.size);
    if (!plaintext)
        abort();
    bool done =
        vlt_is_ok(v->cipher->open(v, plaintext)) &&
        secret_equal(bytes_of(secret_borrow(plaintext), secret_size(plaintext)), v->message);
    secret_release(plaintext);
    secret_free(plaintext);
    return done;
}

static bool seals(const struct vector *v) {
    struct buf out;
    buf_init(&out, 64 << 20);
    bool done = vlt_is_ok(v->cipher->seal(v, &out)) && bytes_equal(buf_bytes(&out), v->sealed);
    buf_done(&out);
    return done;
}

static void run(const struct wycheproof_case *c, void *cipher) {
    struct vector v = {.cipher = cipher};
    load(c->test, &v);
    bool is_valid = strcmp(c->result, "valid") == 0, accepted = opens(&v);
    if (is_valid && !accepted && v.cipher->open == gcm_open_vector && v.iv.size > AES_GCM_IV_MAX)
        vectors_skip(c->path, 1, "%s: OpenSSL takes IVs of at most %d bytes", c->what,
                     AES_GCM_IV_MAX);
    else
        vectors_judge(c->path, c->what, c->result, accepted && (!is_valid || seals(&v)));
    secret_free(v.key);
    buf_done(&v.octets);
}

// With a shorter tag than ours nothing may open.
static void run_shortened(const struct wycheproof_case *c, void *cipher) {
    struct vector v = {.cipher = cipher};
    load(c->test, &v);
    if (!opens(&v) && strcmp(c->result, "valid") == 0)
        vectors_skip(c->path, 1, "%s: refused: a shortened tag", c->what);
    else
        vectors_judge(c->path, c->what, "invalid", opens(&v));
    secret_free(v.key);
    buf_done(&v.octets);
}

// ---- AES key wrap ----

// The content encryption whose key has this size: keys of other sizes are not
// wrapped in a JWE.
static enum jwe_enc enc_of_key(size_t bytes) {
    static const enum jwe_enc all[] = {JWE_A128GCM, JWE_A192GCM, JWE_A256GCM, JWE_A192CBC_HS384,
                                       JWE_A256CBC_HS512};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (jwe_enc_key_bytes(all[i]) == bytes)
            return all[i];
    return JWE_ENC_UNKNOWN;
}

static bool unwraps(enum jwe_alg alg, enum jwe_enc enc, const struct vector *v) {
    struct jwk key = {.kty = JWK_OCT, .oct = v->key};
    struct jwe_parts parts = {.alg = alg, .enc = enc, .encrypted_key = v->ciphertext};
    struct secret *cek = secret_new(JWE_CEK_MAX);
    if (!cek)
        abort();
    bool done = jwe_key_fits(alg, enc, &key) && vlt_is_ok(jwe_key_unwrap(&parts, &key, cek)) &&
                secret_equal(bytes_of(secret_borrow(cek), secret_size(cek)), v->message);
    secret_release(cek);
    secret_free(cek);
    return done;
}

static void run_wrap(const struct wycheproof_case *c, void *no_context) {
    struct vector v = {0};
    load(c->test, &v);
    size_t bytes = v.ciphertext.size > 8 ? v.ciphertext.size - 8 : 0;
    enum jwe_alg alg = secret_size(v.key) == 16   ? JWE_A128KW
                       : secret_size(v.key) == 24 ? JWE_A192KW
                                                  : JWE_A256KW;
    enum jwe_enc enc = enc_of_key(bytes);
    bool accepted = unwraps(alg, enc ? enc : JWE_A256GCM, &v);
    if (!enc && !accepted && strcmp(c->result, "invalid") != 0)
        vectors_skip(c->path, 1, "%s: refused: no content key of JWE has %zu bytes", c->what,
                     bytes);
    else
        vectors_judge(c->path, c->what, c->result, accepted);
    secret_free(v.key);
    buf_done(&v.octets);
}

static void run_group(const char *path, const json_t *file, json_t *group) {
    static const char *const sealed[] = {"key", "iv", "aad", "msg", "ct", "tag", NULL},
                             *const wrapped[] = {"key", "msg", "ct", NULL};
    const char *algorithm = wycheproof_text(file, "algorithm"),
               *type = wycheproof_text(group, "type");
    const struct cipher *cipher = cipher_of(algorithm);
    struct cipher context = cipher ? *cipher : ciphers[0];
    if (strcmp(type, "KeywrapTest") == 0 && strcmp(algorithm, "AES-WRAP") == 0)
        wycheproof_each_test(path, file, group, wrapped, run_wrap, NULL);
    else if (strcmp(type, "AeadTest") != 0 || !cipher)
        wycheproof_skip(path, file, group);
    else
        wycheproof_each_test(
            path, file, group, sealed,
            wycheproof_number(group, "tagSize") == cipher->tag_bits ? run : run_shortened,
            &context);
}

static void visit(const char *path, struct bytes content) {
    wycheproof_visit(path, content, run_group);
}

void vectors_aead(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
