// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/aead.h"

#include <pthread.h>
#include <stdlib.h>

#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/gcm.h"
#include "libvault/crypto/random.h"

#define BLOCK 16
#define GCM_NONCE 12

struct xaes_key {
    EVP_CIPHER_CTX *ecb;  // AES-256 under the key; calls change its state: hold the lock
    struct secret *k1;    // the CMAC subkey of NIST SP 800-38B
    pthread_mutex_t *lock;
};

static bool encrypt_blocks(EVP_CIPHER_CTX *ecb, const uint8_t *in, uint8_t *out, int size) {
    int written = 0;
    return EVP_EncryptUpdate(ecb, out, &written, in, size) == 1 && written == size;
}

// K1 = AES(key, 0) doubled in GF(2^128), without a branch on the secret bit.
static bool subkey(EVP_CIPHER_CTX *ecb, uint8_t k1[BLOCK]) {
    static const uint8_t zero[BLOCK];
    uint8_t l[BLOCK];
    if (!encrypt_blocks(ecb, zero, l, BLOCK))
        return false;
    for (int i = 0; i < BLOCK; i++)
        k1[i] = (uint8_t)(l[i] << 1 | (i + 1 < BLOCK ? l[i + 1] >> 7 : 0));
    k1[BLOCK - 1] ^= (uint8_t)(0x87 & -(l[0] >> 7));
    secret_cleanse(l, sizeof l);
    return true;
}

static bool schedule(struct xaes_key *made, const struct secret *key) {
    const struct algorithms *all = algorithms();
    made->ecb = EVP_CIPHER_CTX_new();
    made->k1 = secret_new(BLOCK);
    if (!all || !made->ecb || !made->k1)
        return false;
    int keyed = EVP_EncryptInit_ex2(made->ecb, all->ecb_256, secret_borrow(key), NULL, NULL);
    secret_release(key);
    if (keyed != 1 || EVP_CIPHER_CTX_set_padding(made->ecb, 0) != 1)
        return false;
    bool done = subkey(made->ecb, secret_borrow_room(made->k1));
    secret_release_sized(made->k1, BLOCK);
    return done;
}

vlt_result xaes_key_new(const struct secret *key, struct xaes_key **ret_key) {
    if (secret_size(key) != XAES_KEY_SIZE)
        return vlt_fail(VLT_BUG, "an XAES key has 32 bytes");
    struct xaes_key *made = calloc(1, sizeof *made + sizeof *made->lock);
    if (!made)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    made->lock = (pthread_mutex_t *)(void *)(made + 1);
    pthread_mutex_init(made->lock, NULL);
    if (!schedule(made, key)) {
        xaes_key_free(made);
        return algorithms_failed(VLT_UNAVAILABLE, "no memory for a key");
    }
    *ret_key = made;
    return vlt_ok();
}

void xaes_key_free(struct xaes_key *key) {
    if (!key)
        return;
    EVP_CIPHER_CTX_free(key->ecb);
    secret_free(key->k1);
    pthread_mutex_destroy(key->lock);
    free(key);
}

// The key of one message: AES(key, M1 ⊕ K1) ‖ AES(key, M2 ⊕ K1), where M names
// the counter, the letter X and the first half of the nonce (C2SP XAES-256-GCM).
static bool derive(const struct xaes_key *key, const uint8_t *nonce,
                   uint8_t derived[XAES_KEY_SIZE]) {
    uint8_t m[2 * BLOCK] = {0, 1, 'X', 0};
    m[BLOCK + 1] = 2;
    m[BLOCK + 2] = 'X';
    memcpy(m + BLOCK - GCM_NONCE, nonce, GCM_NONCE);
    memcpy(m + 2 * BLOCK - GCM_NONCE, nonce, GCM_NONCE);
    const uint8_t *k1 = secret_borrow(key->k1);
    for (int i = 0; i < 2 * BLOCK; i++)
        m[i] ^= k1[i % BLOCK];
    secret_release(key->k1);
    pthread_mutex_lock(key->lock);
    bool done = encrypt_blocks(key->ecb, m, derived, sizeof m);
    pthread_mutex_unlock(key->lock);
    secret_cleanse(m, sizeof m);
    return done;
}

vlt_result xaes_seal(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                     struct bytes aad, const uint8_t *plaintext, size_t plaintext_bytes,
                     uint8_t *out) {
    uint8_t derived[XAES_KEY_SIZE];
    vlt_result result =
        derive(key, nonce, derived)
            ? gcm_seal(derived, sizeof derived, bytes_of(nonce + GCM_NONCE, GCM_NONCE), aad,
                       plaintext, plaintext_bytes, out, out + plaintext_bytes)
            : algorithms_failed(VLT_UNAVAILABLE, "key derivation failed");
    secret_cleanse(derived, sizeof derived);
    return result;
}

vlt_result xaes_open(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                     struct bytes aad, struct bytes sealed, struct secret *plaintext) {
    if (sealed.size < XAES_TAG_SIZE) {
        secret_wipe(plaintext);
        return vlt_fail(VLT_CRYPTO, "ciphertext is too short");
    }
    uint8_t derived[XAES_KEY_SIZE];
    size_t size = sealed.size - XAES_TAG_SIZE;
    vlt_result result =
        derive(key, nonce, derived)
            ? gcm_open(derived, sizeof derived, bytes_of(nonce + GCM_NONCE, GCM_NONCE), aad,
                       bytes_of(sealed.at, size), bytes_from(sealed, size), plaintext)
            : algorithms_failed(VLT_UNAVAILABLE, "key derivation failed");
    secret_cleanse(derived, sizeof derived);
    return result;
}

vlt_result xaes_seal_fresh(const struct xaes_key *key, struct bytes aad,
                           const struct secret *plaintext, uint8_t *out) {
    uint8_t nonce[XAES_NONCE_SIZE];
    VLT_TRY(random_bytes(nonce, sizeof nonce));
    memcpy(out, nonce, sizeof nonce);
    vlt_result result = xaes_seal(key, nonce, aad, secret_borrow(plaintext),
                                  secret_size(plaintext), out + sizeof nonce);
    secret_release(plaintext);
    return result;
}

vlt_result xaes_open_fresh(const struct xaes_key *key, struct bytes aad, struct bytes sealed,
                           struct secret *plaintext) {
    if (sealed.size < XAES_NONCE_SIZE + XAES_TAG_SIZE) {
        secret_wipe(plaintext);
        return vlt_fail(VLT_CRYPTO, "ciphertext is too short");
    }
    return xaes_open(key, sealed.at, aad, bytes_from(sealed, XAES_NONCE_SIZE), plaintext);
}
