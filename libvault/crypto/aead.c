// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/aead.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/gcm.h"

// A context for each call: its key schedule is wiped with it, and OpenSSL's heap
// makes that cheap (0.1 µs over a kept context).
static EVP_CIPHER_CTX *begin(bool encrypts, const uint8_t *key, size_t key_bytes, struct bytes iv) {
    enum algorithm_size size;
    const struct algorithms *all = algorithms();
    if (!all || !algorithm_size_of(key_bytes, &size) || iv.size == 0 || iv.size > AES_GCM_IV_MAX)
        return NULL;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    size_t iv_bytes = iv.size;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &iv_bytes),
                           OSSL_PARAM_construct_end()};
    int done = 0;
    if (context && iv.size == 12)
        done = EVP_CipherInit_ex2(context, all->gcm[size], key, iv.at, encrypts, NULL);
    else if (context) // the length must be known before the IV is read
        done = EVP_CipherInit_ex2(context, all->gcm[size], NULL, NULL, encrypts, params) == 1 &&
               EVP_CipherInit_ex2(context, NULL, key, iv.at, encrypts, NULL) == 1;
    if (done == 1)
        return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}

static bool feed(EVP_CIPHER_CTX *context, uint8_t *out, const uint8_t *in, size_t size) {
    int written = 0;
    return size == 0 || EVP_CipherUpdate(context, out, &written, in, (int)size) == 1;
}

vlt_result gcm_seal(const uint8_t *key, size_t key_bytes, struct bytes iv, struct bytes aad,
                    const uint8_t *plaintext, size_t plaintext_bytes, uint8_t *out,
                    uint8_t ret_tag[AEAD_TAG_SIZE]) {
    if (plaintext_bytes > AEAD_MESSAGE_MAX || aad.size > AEAD_MESSAGE_MAX)
        return vlt_fail(VLT_LIMIT, "message is too long to encrypt");
    EVP_CIPHER_CTX *context = begin(true, key, key_bytes, iv);
    int written = 0;
    uint8_t none[16];
    bool done = context && feed(context, NULL, aad.at, aad.size) &&
                feed(context, out, plaintext, plaintext_bytes) &&
                EVP_CipherFinal_ex(context, none, &written) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, ret_tag) == 1;
    EVP_CIPHER_CTX_free(context);
    return done ? vlt_ok() : algorithms_failed(VLT_CRYPTO, "AES-GCM does not encrypt");
}

vlt_result gcm_open(const uint8_t *key, size_t key_bytes, struct bytes iv, struct bytes aad,
                    struct bytes ciphertext, struct bytes tag, struct secret *plaintext) {
    secret_wipe(plaintext);
    if (ciphertext.size > secret_capacity(plaintext) || ciphertext.size > AEAD_MESSAGE_MAX ||
        aad.size > AEAD_MESSAGE_MAX)
        return vlt_fail(VLT_LIMIT, "message is too long to decrypt");
    uint8_t expected[AEAD_TAG_SIZE], none[16];
    int written = 0;
    bool done = false;
    EVP_CIPHER_CTX *context = NULL;
    if (tag.size == sizeof expected) {
        memcpy(expected, tag.at, sizeof expected);
        context = begin(false, key, key_bytes, iv);
        done = context &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, expected) == 1 &&
               feed(context, NULL, aad.at, aad.size) &&
               feed(context, secret_borrow_room_of(plaintext, ciphertext.size), ciphertext.at,
                    ciphertext.size) &&
               EVP_CipherFinal_ex(context, none, &written) == 1;
        secret_release_sized(plaintext, ciphertext.size);
    }
    EVP_CIPHER_CTX_free(context);
    if (done)
        return vlt_ok();
    secret_wipe(plaintext); // GCM decrypts before it knows whether the tag fits
    return algorithms_failed(VLT_CRYPTO, "AES-GCM tag does not fit");
}

vlt_result aes_gcm_seal(const struct secret *key, struct bytes iv, struct bytes aad,
                        const uint8_t *plaintext, size_t plaintext_bytes, uint8_t *out,
                        uint8_t ret_tag[AEAD_TAG_SIZE]) {
    vlt_result result = gcm_seal(secret_borrow(key), secret_size(key), iv, aad, plaintext,
                                 plaintext_bytes, out, ret_tag);
    secret_release(key);
    return result;
}

vlt_result aes_gcm_open(const struct secret *key, struct bytes iv, struct bytes aad,
                        struct bytes ciphertext, struct bytes tag, struct secret *plaintext) {
    vlt_result result =
        gcm_open(secret_borrow(key), secret_size(key), iv, aad, ciphertext, tag, plaintext);
    secret_release(key);
    return result;
}
