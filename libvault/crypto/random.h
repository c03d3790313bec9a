// SPDX-License-Identifier: Apache-2.0
// Random bytes that may become public: nonces, identifiers, jti. Keys come from
// secret_set_random, which draws from OpenSSL's separate private generator.
#ifndef VLT_CRYPTO_RANDOM_H
#define VLT_CRYPTO_RANDOM_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

// VLT_UNAVAILABLE when the generator fails; then nothing may be issued.
vlt_result random_bytes(void *at, size_t size) VLT_MUST_USE;

// `entropy_bytes` (1 to 32) random bytes as base64url with a final NUL, for identifiers
// such as jti; never one that begins with "-", so that no program takes it for an option
// (0.02 bits less). text needs B64U_SIZE(entropy_bytes) + 1 characters.
vlt_result random_text(size_t entropy_bytes, char *text) VLT_MUST_USE;

#endif
