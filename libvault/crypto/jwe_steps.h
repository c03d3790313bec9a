// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/crypto: the steps of JWE encryption and decryption (RFC
// 7516 sections 5.1 and 5.2).
#ifndef VLT_CRYPTO_JWE_STEPS_H
#define VLT_CRYPTO_JWE_STEPS_H

#include "libvault/crypto/jwe.h"

#define JWE_CEK_MAX 64
#define JWE_TAG_MAX 32
#define JWE_WRAPPED_MAX 512

// ---- Content (RFC 7518 section 5) ----

size_t jwe_enc_key_bytes(enum jwe_enc enc);
size_t jwe_enc_iv_bytes(enum jwe_enc enc);
size_t jwe_enc_tag_bytes(enum jwe_enc enc);
vlt_result jwe_content_open(enum jwe_enc enc, const struct secret *cek, struct bytes iv,
                            struct bytes aad, struct bytes ciphertext, struct bytes tag,
                            struct secret *plaintext) VLT_MUST_USE;
// Appends the ciphertext to out and sets jwe_enc_tag_bytes of the tag.
vlt_result jwe_content_seal(enum jwe_enc enc, const struct secret *cek, struct bytes iv,
                            struct bytes aad, const struct secret *plaintext, struct buf *out,
                            uint8_t ret_tag[JWE_TAG_MAX]) VLT_MUST_USE;

// ---- Key management (RFC 7518 section 4) ----

bool jwe_key_fits(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key);
// The content key of parts; cek has a capacity of JWE_CEK_MAX.
vlt_result jwe_key_unwrap(const struct jwe_parts *parts, const struct jwk *key,
                          struct secret *cek) VLT_MUST_USE;
// Chooses the content key and wraps it; adds to the header what the recipient
// needs (epk, or iv and tag).
vlt_result jwe_key_wrap(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key, json_t *header,
                        struct secret *cek, uint8_t ret_wrapped[JWE_WRAPPED_MAX],
                        size_t *ret_size) VLT_MUST_USE;
// ECDH of own private and peer's public key, then the Concat KDF.
vlt_result jwe_agree(EVP_PKEY *own, EVP_PKEY *peer, struct bytes algorithm, struct bytes apu,
                     struct bytes apv, size_t key_bytes, struct secret *key) VLT_MUST_USE;
// A fresh key pair on the curve of key, and its public part as JSON ("epk").
vlt_result jwe_ephemeral(const struct jwk *key, EVP_PKEY **ret_pkey, json_t **ret_epk) VLT_MUST_USE;

// Canonical JSON, then base64url, appended.
vlt_result jwe_put_header(const json_t *header, struct buf *out) VLT_MUST_USE;

#endif
