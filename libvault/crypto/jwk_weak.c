// SPDX-License-Identifier: Apache-2.0
#include <openssl/bn.h>

#include "libvault/crypto/jwk_members.h"

// The flawed generator makes primes of the form k·M + 65537^a mod M, so that n
// modulo each small prime lies in the subgroup that 65537 generates. A sound
// modulus passes all of these by chance once in 2^27.
bool jwk_rsa_has_roca_fingerprint(const BIGNUM *n) {
    static const uint8_t primes[] = {3,   5,   7,   11,  13,  17,  19,  23,  29,  31,
                                     37,  41,  43,  47,  53,  59,  61,  67,  71,  73,
                                     79,  83,  89,  97,  101, 103, 107, 109, 113, 127,
                                     131, 137, 139, 149, 151, 157, 163, 167};
    for (size_t i = 0; i < sizeof primes; i++) {
        unsigned p = primes[i], generator = 65537 % p;
        BN_ULONG rest = BN_mod_word(n, p);
        unsigned power = 1;
        while (power != rest && (power = power * generator % p) != 1)
            ;
        if (power != rest)
            return false;
    }
    return true;
}

// y coordinates, little-endian and without the sign bit, of the points of order
// 1, 2, 4 and 8 (RFC 7748 section 7 names the check, RFC 8032 the encoding).
static const uint8_t small_order[][32] = {
    {0},
    {1},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
};

// p = 2^255 - 19: y is not reduced when all high bytes are full and the lowest
// is at least 0xed.
static bool is_reduced(const uint8_t y[32]) {
    if (y[31] != 0x7f || y[0] < 0xed)
        return true;
    for (int i = 1; i < 31; i++)
        if (y[i] != 0xff)
            return true;
    return false;
}

bool jwk_ed25519_is_weak(const uint8_t public_key[32]) {
    uint8_t y[32];
    memcpy(y, public_key, sizeof y);
    y[31] &= 0x7f;
    for (size_t i = 0; i < sizeof small_order / sizeof *small_order; i++)
        if (bytes_equal(bytes_of(y, 32), bytes_of(small_order[i], 32)))
            return true;
    return !is_reduced(y);
}
