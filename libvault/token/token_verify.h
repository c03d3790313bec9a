// SPDX-License-Identifier: Apache-2.0
// The one verifier of our own access tokens (RFC 9068 section 4, RFC 8725). It
// takes nothing else: no other typ, no other algorithm than ES256, no key that
// is not in the given set, no issuer that is not ours.
//
// Called by the keeper (redeem, revoke) and the broker (introspection). Whether
// a token was revoked is another question (record_revocation.h). Any thread.
#ifndef VLT_TOKEN_TOKEN_VERIFY_H
#define VLT_TOKEN_TOKEN_VERIFY_H

#include "libvault/crypto/jws.h"
#include "libvault/token/claims.h"

#define TOKEN_KID_SIZE 65 // with its NUL: a thumbprint of ours has 43 characters

struct token_expectation {
    const struct jwk_set *keys; // public halves of our signing keys, each with kid
    struct bytes issuer_base;   // as token_issuer_text takes it
    struct bytes audience;      // empty: the token's own issuer
    int64_t now_s;              // POSIX seconds
};

// What was verified. Claims are views into memory that this owns.
struct token_verified {
    struct token_claims claims;
    char kid[TOKEN_KID_SIZE]; // of the key that signed it
    json_t *root;
};

// Strict split → typ → kid gives one key → signature over the raw bytes → only
// then JSON, every claim with its exact type, no claim that we never write.
// VLT_MALFORMED, VLT_LIMIT: not such a token. VLT_CRYPTO: unknown kid or wrong
// signature. VLT_DENIED: signed by us, but of another issuer or audience,
// expired ("token expired") or from the future. On success the caller calls
// token_verified_done.
vlt_result token_verify(struct bytes token, const struct token_expectation *expected,
                        struct token_verified *ret_verified) VLT_MUST_USE;
void token_verified_done(struct token_verified *verified);

#endif
