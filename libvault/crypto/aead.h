// SPDX-License-Identifier: Apache-2.0
// Authenticated encryption: XAES-256-GCM (C2SP XAES-256-GCM) for everything we
// store, AES-GCM (NIST SP 800-38D) for JWE and test vectors.
//
// XAES takes a 192-bit random nonce, derives a fresh AES-256-GCM key from the
// first half and uses the second half as GCM nonce, so random nonces need no
// budget: 2^80 messages under one key.
#ifndef VLT_CRYPTO_AEAD_H
#define VLT_CRYPTO_AEAD_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"
#include "libvault/secret/secret.h"

#define XAES_KEY_SIZE 32
#define XAES_NONCE_SIZE 24
#define XAES_TAG_SIZE 16
#define AEAD_TAG_SIZE 16
#define AEAD_MESSAGE_MAX (64u << 20)

// A key with its schedule. Copies what it needs: `key` may be freed afterwards.
// Any number of threads may share one.
struct xaes_key;
// VLT_BUG unless key holds 32 bytes.
vlt_result xaes_key_new(const struct secret *key, struct xaes_key **ret_key) VLT_MUST_USE;
void xaes_key_free(struct xaes_key *key); // wipes; NULL is fine

// `out` gets plaintext_bytes + XAES_TAG_SIZE bytes: ciphertext, then tag. The
// plaintext is a pointer, not a `struct bytes`, because it is a secret. The
// nonce must be fresh and random: xaes_seal_fresh draws it.
vlt_result xaes_seal(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                     struct bytes aad, const uint8_t *plaintext, size_t plaintext_bytes,
                     uint8_t *out) VLT_MUST_USE;
// `out` gets XAES_NONCE_SIZE + secret_size(plaintext) + XAES_TAG_SIZE bytes:
// nonce, ciphertext, tag.
#define XAES_SEALED_SIZE(plaintext_bytes) (XAES_NONCE_SIZE + (plaintext_bytes) + XAES_TAG_SIZE)
vlt_result xaes_seal_fresh(const struct xaes_key *key, struct bytes aad,
                           const struct secret *plaintext, uint8_t *out) VLT_MUST_USE;

// `sealed` is ciphertext and tag. Writes straight into `plaintext` (VLT_LIMIT
// when its capacity is too small); on failure `plaintext` is wiped, size 0.
// VLT_CRYPTO when key, nonce, associated data or ciphertext do not fit together.
vlt_result xaes_open(const struct xaes_key *key, const uint8_t nonce[XAES_NONCE_SIZE],
                     struct bytes aad, struct bytes sealed,
                     struct secret *plaintext) VLT_MUST_USE;
// `sealed` is nonce, ciphertext and tag, as xaes_seal_fresh wrote it.
vlt_result xaes_open_fresh(const struct xaes_key *key, struct bytes aad, struct bytes sealed,
                           struct secret *plaintext) VLT_MUST_USE;

// AES-GCM with a key of 16, 24 or 32 bytes, any IV of 1 to 128 bytes (not 0: GCM
// with an empty IV leaks its hash key), tag of 16 bytes. `out` gets
// plaintext_bytes bytes. The caller answers for fresh IVs.
#define AES_GCM_IV_MAX 128
vlt_result aes_gcm_seal(const struct secret *key, struct bytes iv, struct bytes aad,
                        const uint8_t *plaintext, size_t plaintext_bytes, uint8_t *out,
                        uint8_t ret_tag[AEAD_TAG_SIZE]) VLT_MUST_USE;
// As xaes_open; a tag of any other size than 16 is VLT_CRYPTO.
vlt_result aes_gcm_open(const struct secret *key, struct bytes iv, struct bytes aad,
                        struct bytes ciphertext, struct bytes tag,
                        struct secret *plaintext) VLT_MUST_USE;

#endif
