// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/crypto: AES-GCM under a raw key that lives in secret
// memory or is wiped by the caller. Contracts as aes_gcm_seal and aes_gcm_open.
#ifndef VLT_CRYPTO_GCM_H
#define VLT_CRYPTO_GCM_H

#include "libvault/crypto/aead.h"

vlt_result gcm_seal(const uint8_t *key, size_t key_bytes, struct bytes iv, struct bytes aad,
                    const uint8_t *plaintext, size_t plaintext_bytes, uint8_t *out,
                    uint8_t ret_tag[AEAD_TAG_SIZE]) VLT_MUST_USE;
vlt_result gcm_open(const uint8_t *key, size_t key_bytes, struct bytes iv, struct bytes aad,
                    struct bytes ciphertext, struct bytes tag,
                    struct secret *plaintext) VLT_MUST_USE;

#endif
