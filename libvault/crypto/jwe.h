// SPDX-License-Identifier: Apache-2.0
// Compact JWE (RFC 7516): how a credential travels to us (the intake key), and
// the wider set of RFC 7518 behind one allow-list.
//
// Refused by design: RSA1_5 (padding oracles), PBES2 (an attacker chooses our
// work), zip (decompression bombs), crit.
#ifndef VLT_CRYPTO_JWE_H
#define VLT_CRYPTO_JWE_H

#include "libvault/crypto/jwk.h"

#define JWE_MAX_BYTES (64u << 10)

// ---- The intake: ECDH-ES + A256GCM on P-256, nothing else ----

#define JWE_INTAKE_PLAINTEXT_MAX 16384
#define JWE_INTAKE_HEADER_MAX 768
#define JWE_INTAKE_MAX_BYTES 24576 // of the compact form

// What passes from the admin role to the keeper: typed, of bounded size, no JSON
// left to parse. The header travels only as associated data.
struct jwe_intake_fields {
    char kid[JWK_KID_SIZE];
    uint8_t epk_x[32], epk_y[32];
    uint8_t iv[12], tag[16];
    size_t aad_bytes, ciphertext_bytes;
    uint8_t aad[JWE_INTAKE_HEADER_MAX]; // the protected header as it was sent (base64url)
    uint8_t ciphertext[JWE_INTAKE_PLAINTEXT_MAX];
};

// CLI: seals plaintext to the public intake key (its kid goes into the header);
// appends the compact JWE to out. VLT_LIMIT beyond JWE_INTAKE_PLAINTEXT_MAX.
vlt_result jwe_intake_seal(const struct jwk *key, const struct secret *plaintext,
                           struct buf *out) VLT_MUST_USE;
// Admin role: strict; the header has exactly alg, enc, epk (kty, crv, x, y), kid
// and optionally typ. VLT_MALFORMED, VLT_LIMIT, VLT_DENIED. Needs no key.
vlt_result jwe_intake_split(struct bytes jwe, struct jwe_intake_fields *ret_fields) VLT_MUST_USE;
// Keeper: `key` is the private intake key whose kid the caller has matched.
// Writes into plaintext; on failure it is wiped. VLT_CRYPTO when it does not fit.
vlt_result jwe_intake_open(EVP_PKEY *key, const struct jwe_intake_fields *fields,
                           struct secret *plaintext) VLT_MUST_USE;

// ---- The wider set ----

struct jwe_parts {
    enum jwe_alg alg;
    enum jwe_enc enc;
    json_t *header;            // the joint header, owned
    struct bytes aad;          // what was authenticated; this and the next four are
    struct bytes encrypted_key; // owned by the parts
    struct bytes iv, ciphertext, tag;
    uint8_t *memory;
};
// VLT_DENIED with the reason "…refused by design" for what the head of this
// file names.
vlt_result jwe_split(struct bytes compact, struct jwe_parts *ret_parts) VLT_MUST_USE;
// The JSON serializations (RFC 7516 section 7.2), one recipient at a time. The
// caller passes members as they are written, empty when absent: headers as JSON
// objects (borrowed, NULL when absent), the rest still in base64url.
struct jwe_members {
    struct bytes protected_b64, encrypted_key, iv, ciphertext, tag, aad;
    const json_t *unprotected, *header;
};
vlt_result jwe_join(const struct jwe_members *members, struct jwe_parts *ret_parts) VLT_MUST_USE;
void jwe_parts_done(struct jwe_parts *parts);

// Decrypts when alg is in allowed_algs, enc in allowed_encs (sets of JWE_BIT)
// and both fit the key (private, or oct). A wrong wrapped key, tag or padding
// all give the same VLT_CRYPTO. `plaintext` needs room for the ciphertext (padding
// included), else VLT_LIMIT; it is wiped on failure.
vlt_result jwe_decrypt(const struct jwe_parts *parts, unsigned allowed_algs,
                       unsigned allowed_encs, const struct jwk *key,
                       struct secret *plaintext) VLT_MUST_USE;
// Appends the compact form. The key's kid, when it has one, goes into the header.
vlt_result jwe_encrypt(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key,
                       const struct secret *plaintext, struct buf *out) VLT_MUST_USE;

#endif
