// SPDX-License-Identifier: Apache-2.0
// Tokens whose signature was verified, so that a token seen before costs a hash
// and not a signature. Bounded; time is looked at again at every use, and a key
// that is withdrawn empties the cache.
#ifndef VLT_REDEEMER_TOKEN_CACHE_H
#define VLT_REDEEMER_TOKEN_CACHE_H

#include "libvault/token/token_verify.h"

struct token_cache;
struct token_cache *token_cache_new(void); // NULL: out of memory
void token_cache_free(struct token_cache *cache);
void token_cache_clear(struct token_cache *cache);
// What was verified is borrowed until the next call; ret_sha256 is the token's, 32 bytes.
// Failures are those of token_verify.
vlt_result token_cache_verify(struct token_cache *cache, struct bytes token,
                              const struct token_expectation *expected, uint8_t *ret_sha256,
                              const struct token_verified **ret_verified) VLT_MUST_USE;

#endif
