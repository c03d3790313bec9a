// SPDX-License-Identifier: Apache-2.0
// Key derivation. Any thread.
#ifndef VLT_CRYPTO_KDF_H
#define VLT_CRYPTO_KDF_H

#include "libvault/crypto/digest.h"

// HKDF, extract then expand (RFC 5869). Fills `okm` with okm_bytes (at least 1,
// at most 255 times the digest size and its capacity, else VLT_LIMIT). `salt`
// and `purpose` (the RFC's "info") may be empty. On failure okm is wiped.
vlt_result kdf_hkdf(enum digest_kind kind, const struct secret *ikm, struct bytes salt,
                    struct bytes purpose, size_t okm_bytes, struct secret *okm) VLT_MUST_USE;
static inline VLT_MUST_USE vlt_result hkdf_sha256(const struct secret *ikm, struct bytes salt,
                                                  struct bytes purpose, size_t okm_bytes,
                                                  struct secret *okm) {
    return kdf_hkdf(DIGEST_SHA256, ikm, salt, purpose, okm_bytes, okm);
}

// The Concat KDF of JWA (RFC 7518 section 4.6.2, NIST SP 800-56A) over SHA-256.
// `algorithm` is the "enc" or "alg" name, apu and apv are decoded.
vlt_result kdf_concat(const struct secret *shared, struct bytes algorithm, struct bytes apu,
                      struct bytes apv, size_t key_bytes, struct secret *key) VLT_MUST_USE;

#endif
