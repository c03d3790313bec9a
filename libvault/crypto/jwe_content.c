// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/gcm.h"
#include "libvault/crypto/jwe_steps.h"

#define AES_BLOCK 16

static const struct {
    size_t key_bytes, iv_bytes, tag_bytes;
    enum digest_kind digest; // of the CBC kinds
} encs[JWE_ENC_COUNT] = {
    [JWE_A128GCM] = {16, 12, 16, DIGEST_SHA256},
    [JWE_A192GCM] = {24, 12, 16, DIGEST_SHA256},
    [JWE_A256GCM] = {32, 12, 16, DIGEST_SHA256},
    [JWE_A128CBC_HS256] = {32, 16, 16, DIGEST_SHA256},
    [JWE_A192CBC_HS384] = {48, 16, 24, DIGEST_SHA384},
    [JWE_A256CBC_HS512] = {64, 16, 32, DIGEST_SHA512},
};

size_t jwe_enc_key_bytes(enum jwe_enc enc) { return encs[enc].key_bytes; }
size_t jwe_enc_iv_bytes(enum jwe_enc enc) { return encs[enc].iv_bytes; }
size_t jwe_enc_tag_bytes(enum jwe_enc enc) { return encs[enc].tag_bytes; }

static bool is_gcm(enum jwe_enc enc) { return enc <= JWE_A256GCM; }

// ---- AES-CBC with HMAC (RFC 7518 section 5.2): first half of the key for the MAC ----

static vlt_result cbc_tag(enum jwe_enc enc, const uint8_t *cek, struct bytes aad, struct bytes iv,
                          struct bytes ciphertext, uint8_t mac[DIGEST_SIZE_MAX]) {
    uint8_t aad_bits[8];
    for (int i = 0; i < 8; i++)
        aad_bits[i] = (uint8_t)((uint64_t)aad.size * 8 >> (56 - 8 * i));
    struct bytes parts[] = {aad, iv, ciphertext, bytes_of(aad_bits, sizeof aad_bits)};
    return hmac_with_key(encs[enc].digest, cek, encs[enc].key_bytes / 2, parts, 4, mac);
}

static bool cbc(bool encrypts, const uint8_t *key, size_t key_bytes, struct bytes iv,
                const uint8_t *in, size_t in_bytes, uint8_t *out, size_t *ret_size) {
    enum algorithm_size size;
    const struct algorithms *all = algorithms();
    if (!all || !algorithm_size_of(key_bytes, &size))
        return false;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int first = 0, last = 0;
    bool done =
        context && EVP_CipherInit_ex2(context, all->cbc[size], key, iv.at, encrypts, NULL) == 1 &&
        (in_bytes == 0 || EVP_CipherUpdate(context, out, &first, in, (int)in_bytes) == 1) &&
        EVP_CipherFinal_ex(context, out + first, &last) == 1;
    EVP_CIPHER_CTX_free(context);
    *ret_size = (size_t)first + (size_t)last;
    return done;
}

static bool cbc_open(enum jwe_enc enc, const uint8_t *cek, struct bytes iv, struct bytes aad,
                     struct bytes ciphertext, struct bytes tag, struct secret *plaintext) {
    uint8_t mac[DIGEST_SIZE_MAX];
    size_t half = encs[enc].key_bytes / 2, size = 0;
    if (ciphertext.size == 0 || ciphertext.size % AES_BLOCK ||
        !vlt_is_ok(cbc_tag(enc, cek, aad, iv, ciphertext, mac)))
        return false;
    bool fits = secret_equal(bytes_of(mac, encs[enc].tag_bytes), tag);
    secret_cleanse(mac, sizeof mac);
    if (!fits) // before the padding is looked at: no padding oracle
        return false;
    bool done = cbc(false, cek + half, half, iv, ciphertext.at, ciphertext.size,
                    secret_borrow_room(plaintext), &size);
    secret_release_sized(plaintext, done ? size : 0);
    return done;
}

// ---- Either kind ----

vlt_result jwe_content_open(enum jwe_enc enc, const struct secret *cek, struct bytes iv,
                            struct bytes aad, struct bytes ciphertext, struct bytes tag,
                            struct secret *plaintext) {
    secret_wipe(plaintext);
    if (iv.size != encs[enc].iv_bytes || tag.size != encs[enc].tag_bytes ||
        secret_size(cek) != encs[enc].key_bytes)
        return vlt_fail(VLT_CRYPTO, "JWE does not decrypt");
    if (ciphertext.size > secret_capacity(plaintext))
        return vlt_fail(VLT_LIMIT, "JWE content is too long");
    const uint8_t *key = secret_borrow(cek);
    bool done = is_gcm(enc) ? vlt_is_ok(gcm_open(key, encs[enc].key_bytes, iv, aad, ciphertext, tag,
                                                 plaintext))
                            : cbc_open(enc, key, iv, aad, ciphertext, tag, plaintext);
    secret_release(cek);
    if (done)
        return vlt_ok();
    secret_wipe(plaintext);
    return algorithms_failed(VLT_CRYPTO, "JWE does not decrypt");
}

static bool cbc_seal(enum jwe_enc enc, const uint8_t *cek, struct bytes iv, struct bytes aad,
                     const uint8_t *plaintext, size_t plaintext_bytes, uint8_t *out,
                     uint8_t *ret_tag) {
    uint8_t mac[DIGEST_SIZE_MAX];
    size_t half = encs[enc].key_bytes / 2, size = 0;
    if (!cbc(true, cek + half, half, iv, plaintext, plaintext_bytes, out, &size) ||
        !vlt_is_ok(cbc_tag(enc, cek, aad, iv, bytes_of(out, size), mac)))
        return false;
    memcpy(ret_tag, mac, encs[enc].tag_bytes);
    return true;
}

vlt_result jwe_content_seal(enum jwe_enc enc, const struct secret *cek, struct bytes iv,
                            struct bytes aad, const struct secret *plaintext, struct buf *out,
                            uint8_t ret_tag[JWE_TAG_MAX]) {
    size_t size = secret_size(plaintext);
    uint8_t *room = buf_extend(out, is_gcm(enc) ? size : (size / AES_BLOCK + 1) * AES_BLOCK);
    if (buf_failed(out))
        return vlt_fail(VLT_LIMIT, "JWE content is too long");
    const uint8_t *key = secret_borrow(cek), *content = secret_borrow(plaintext);
    bool done =
        is_gcm(enc)
            ? vlt_is_ok(gcm_seal(key, encs[enc].key_bytes, iv, aad, content, size, room, ret_tag))
            : cbc_seal(enc, key, iv, aad, content, size, room, ret_tag);
    secret_release(plaintext);
    secret_release(cek);
    return done ? vlt_ok() : algorithms_failed(VLT_CRYPTO, "JWE does not encrypt");
}
