// SPDX-License-Identifier: Apache-2.0
// The recovery secret of a vault: 32 random bytes that exist only as shares on
// paper. From it come a P-256 key pair, to whose public half data keys are
// wrapped, and a pre-shared key, without which nobody can make such a slot: who
// can write the disk can not plant a data key for a recovery to take over.
//
// Text of a share: base32 (RFC 4648, lower case, no padding) in groups of five,
// of  version u8 (1), vault u32 (first bytes of the key's id), threshold u8,
// number u8, 32 bytes of share, first 4 bytes of SHA-256 over all of that.
#ifndef VLT_CRYPTO_RECOVERY_KEY_H
#define VLT_CRYPTO_RECOVERY_KEY_H

#include "libvault/crypto/pkey.h"
#include "libvault/crypto/shamir.h"

#define RECOVERY_SECRET_BYTES 32
#define RECOVERY_POINT_BYTES 65
#define RECOVERY_ID_BYTES 16
#define RECOVERY_SHARES_MAX 16
#define RECOVERY_SHARE_TEXT_SIZE 83 // 69 characters, 13 hyphens, NUL

struct recovery_key {
    EVP_PKEY *pkey;
    struct secret *psk; // 32 bytes
    uint8_t point[RECOVERY_POINT_BYTES];
    uint8_t id[RECOVERY_ID_BYTES]; // first bytes of SHA-256 of the point
};
// VLT_CRYPTO: this secret gives no key (one in 2^32; take another).
vlt_result recovery_key_derive(const struct secret *secret,
                               struct recovery_key *ret_key) VLT_MUST_USE;
void recovery_key_done(struct recovery_key *key); // wipes
vlt_result recovery_key_id(const uint8_t point[RECOVERY_POINT_BYTES],
                           uint8_t ret_id[RECOVERY_ID_BYTES]) VLT_MUST_USE;

struct recovery_share {
    uint8_t vault[4]; // first bytes of the key's id
    uint8_t threshold;
    struct shamir_share share;
};
// Text is secret: RECOVERY_SHARE_TEXT_SIZE bytes that the caller wipes.
vlt_result recovery_share_text(const struct recovery_share *share, char *ret_text) VLT_MUST_USE;
// Reads what a person typed: case, blanks and hyphens do not matter. `y` of the
// share is the caller's. VLT_MALFORMED: not a share, or mistyped.
vlt_result recovery_share_parse(struct bytes text, struct recovery_share *ret_share) VLT_MUST_USE;

#endif
