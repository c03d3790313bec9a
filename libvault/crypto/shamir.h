// SPDX-License-Identifier: Apache-2.0
// Shamir's secret sharing (A. Shamir, "How to share a secret", 1979), byte by
// byte over GF(2^8) with the polynomial of AES (FIPS 197, 4.2). Any `threshold`
// shares give the secret; fewer say nothing about it but its length.
//
// Shares carry no proof of their own: joining wrong ones gives a wrong secret and
// no error. Constant time in the bytes of secret and shares.
#ifndef VLT_CRYPTO_SHAMIR_H
#define VLT_CRYPTO_SHAMIR_H

#include "libvault/base/result.h"
#include "libvault/secret/secret.h"

#define SHAMIR_SHARES_MAX 255
#define SHAMIR_SECRET_MAX 64

struct shamir_share {
    uint8_t x; // 1 to 255, another one in each share
    struct secret *y;
};

// Fills `count` shares with x = 1, 2, …; each y is the caller's, with room for the
// secret. 1 ≤ threshold ≤ count. VLT_MALFORMED: other numbers, or an empty secret.
vlt_result shamir_split(const struct secret *secret, unsigned threshold,
                        struct shamir_share *shares, unsigned count) VLT_MUST_USE;
// From exactly as many shares as the threshold was (more are fine, too).
// VLT_MALFORMED: an x of zero or twice, or different lengths.
vlt_result shamir_join(const struct shamir_share *shares, unsigned count,
                       struct secret *ret_secret) VLT_MUST_USE;

#endif
