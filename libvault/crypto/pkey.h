// SPDX-License-Identifier: Apache-2.0
// Our own asymmetric keys: P-256 (token signing, intake) and Ed25519 (audit
// checkpoints). The private half exists as an EVP_PKEY in the keeper (OpenSSL's
// heap is the secret heap there) or as 32 raw bytes in a `struct secret`, to be
// stored under a data key.
#ifndef VLT_CRYPTO_PKEY_H
#define VLT_CRYPTO_PKEY_H

#include <openssl/evp.h>

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"
#include "libvault/secret/secret.h"

enum pkey_kind { PKEY_P256, PKEY_ED25519 };
#define PKEY_PRIVATE_SIZE 32

// The caller owns *ret_pkey (EVP_PKEY_free).
vlt_result pkey_generate(enum pkey_kind kind, EVP_PKEY **ret_pkey) VLT_MUST_USE;
// Big-endian scalar (P-256) or seed (Ed25519): PKEY_PRIVATE_SIZE bytes.
vlt_result pkey_to_secret(const EVP_PKEY *pkey, struct secret *private_key) VLT_MUST_USE;
// Recomputes the public half. VLT_CRYPTO when the scalar is out of range.
vlt_result pkey_of_secret(enum pkey_kind kind, const struct secret *private_key,
                          EVP_PKEY **ret_pkey) VLT_MUST_USE;
// The 32 bytes of an Ed25519 public key (signed-note verifier keys).
vlt_result pkey_ed25519_public(const EVP_PKEY *pkey, uint8_t ret_public[32]) VLT_MUST_USE;
// A public P-256 key of its coordinates; VLT_CRYPTO when off the curve.
vlt_result pkey_p256_public(const uint8_t x[32], const uint8_t y[32],
                            EVP_PKEY **ret_pkey) VLT_MUST_USE;
// A public RSA key of 2048 to 4096 bits. VLT_DENIED: another size, or a weak one.
vlt_result pkey_rsa_public(struct bytes modulus, uint32_t exponent,
                           EVP_PKEY **ret_pkey) VLT_MUST_USE;

#endif
