// SPDX-License-Identifier: Apache-2.0
// Tokens whose signature was verified before: a token that is used again costs a
// hash and no ECDSA. Bounded; keyed by SHA-256 over the raw bytes of the token,
// so another spelling is another token.
//
// Only what can not change is remembered: the claims. Expiry, revocation, tenant
// and binding are judged at every use by the gate.
#ifndef VLT_KEEPER_SEEN_H
#define VLT_KEEPER_SEEN_H

#include "libvault/token/claims.h"

#define SEEN_CAPACITY 16384
#define SEEN_KEY_SIZE 32

struct seen_token {
    uint8_t key[SEEN_KEY_SIZE];
    uint32_t tenant;          // number; valid while authority_count is that of the keeper
    uint64_t authority_count; // when tenant and revocations were last checked; 0: never
    uint64_t key_epoch;       // of the keeper when the signature was verified
    unsigned holders;         // calls that are under way, and one for the cache
    struct seen_token *next;  // of the same bucket
    size_t claims_bytes;
    uint8_t claims[]; // token_claims_put: a tenth of struct token_claims
};

struct seen;
struct seen *seen_new(size_t capacity); // NULL: out of memory
void seen_free(struct seen *seen);      // those that are held live on
void seen_clear(struct seen *seen);
// Borrowed, or NULL.
struct seen_token *seen_find(struct seen *seen, const uint8_t key[SEEN_KEY_SIZE]);
// Copies the claims. Drops the oldest when full. NULL: out of memory, or claims
// that do not fit a token.
struct seen_token *seen_add(struct seen *seen, const uint8_t key[SEEN_KEY_SIZE],
                            const struct token_claims *claims);
struct seen_token *seen_hold(struct seen_token *token);
void seen_release(struct seen_token *token); // NULL is fine

#endif
