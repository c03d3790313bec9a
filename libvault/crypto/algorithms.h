// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/crypto: what crypto_open fetched, and what one thread
// keeps for itself.
#ifndef VLT_CRYPTO_ALGORITHMS_H
#define VLT_CRYPTO_ALGORITHMS_H

#include <openssl/evp.h>

#include "libvault/crypto/digest.h"

enum algorithm_size { ALGORITHM_128, ALGORITHM_192, ALGORITHM_256, ALGORITHM_SIZE_COUNT };

struct algorithms {
    EVP_MD *digest[DIGEST_KIND_COUNT];
    EVP_MAC *hmac;
    EVP_CIPHER *gcm[ALGORITHM_SIZE_COUNT];
    EVP_CIPHER *cbc[ALGORITHM_SIZE_COUNT];
    EVP_CIPHER *key_wrap[ALGORITHM_SIZE_COUNT];
    EVP_CIPHER *ecb_256;
};

// Fetches on first use; NULL when OpenSSL lacks one.
const struct algorithms *algorithms(void);
// Index for a key of 16, 24 or 32 bytes; false for any other size.
bool algorithm_size_of(size_t key_bytes, enum algorithm_size *ret_size);

// This thread's digest context, freed when the thread ends; NULL without memory.
EVP_MD_CTX *algorithms_digest_context(void);

// Name of the digest for OpenSSL parameters: "SHA256".
const char *digest_openssl_name(enum digest_kind kind);
// One MAC; the key is raw bytes in secret memory (may be empty).
vlt_result hmac_with_key(enum digest_kind kind, const uint8_t *key, size_t key_bytes,
                         const struct bytes *parts, size_t count, uint8_t *ret_mac) VLT_MUST_USE;

// A failure of an OpenSSL call. Empties OpenSSL's queue of errors: a rest in it
// would be taken for an error of the next TLS call on this thread.
vlt_result algorithms_failed(enum vlt_class class, const char *reason);

#endif
