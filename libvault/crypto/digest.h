// SPDX-License-Identifier: Apache-2.0
// SHA-2 (FIPS 180-4) and HMAC (RFC 2104) with algorithms fetched once and one
// context for each thread. Any thread.
#ifndef VLT_CRYPTO_DIGEST_H
#define VLT_CRYPTO_DIGEST_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"
#include "libvault/secret/secret.h"

enum digest_kind { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512, DIGEST_KIND_COUNT };
#define DIGEST_SHA256_SIZE 32
#define DIGEST_SIZE_MAX 64

size_t digest_size(enum digest_kind kind); // 32, 48, 64

vlt_result digest_sha256(struct bytes bytes, uint8_t ret_digest[DIGEST_SHA256_SIZE]) VLT_MUST_USE;
// Over the concatenation of `count` parts (prefix byte and leaf, two hashes, …).
vlt_result digest_sha256_parts(const struct bytes *parts, size_t count,
                               uint8_t ret_digest[DIGEST_SHA256_SIZE]) VLT_MUST_USE;
// ret_digest gets digest_size(kind) bytes.
vlt_result digest_parts(enum digest_kind kind, const struct bytes *parts, size_t count,
                        uint8_t *ret_digest) VLT_MUST_USE;

// HMAC with a key that is used often: the padded key is hashed once. Any number
// of threads may share one.
struct hmac_key;
vlt_result hmac_key_new(enum digest_kind kind, const struct secret *key,
                        struct hmac_key **ret_key) VLT_MUST_USE;
void hmac_key_free(struct hmac_key *key); // NULL is fine
// ret_mac gets digest_size(kind) bytes.
vlt_result hmac_parts(const struct hmac_key *key, const struct bytes *parts, size_t count,
                      uint8_t *ret_mac) VLT_MUST_USE;
vlt_result hmac_sha256(const struct hmac_key *key, struct bytes message,
                       uint8_t ret_mac[DIGEST_SHA256_SIZE]) VLT_MUST_USE;
// Compare macs with secret_equal, never with bytes_equal.

// One MAC with a key that is used once (request signing chains): key bytes are
// borrowed from secret memory for the call.
vlt_result hmac_sha256_once(const uint8_t *key, size_t key_bytes, struct bytes message,
                            uint8_t ret_mac[DIGEST_SHA256_SIZE]) VLT_MUST_USE;

#endif
