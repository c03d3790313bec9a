// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/token_cache.h"

#include <stdlib.h>

#include "libvault/crypto/digest.h"
#include "libvault/secret/secret.h"

// One token each: a newcomer takes the place of the one there. A slot is 7 KiB, so
// that a full cache stays within the memory that the roles may take.
#define SLOTS 1024

struct slot {
    bool is_used;
    uint8_t hash[32];
    struct token_verified verified;
};
struct token_cache {
    struct slot slots[SLOTS];
};

struct token_cache *token_cache_new(void) { return calloc(1, sizeof(struct token_cache)); }

static void slot_clear(struct slot *slot) {
    if (slot->is_used)
        token_verified_done(&slot->verified);
    slot->is_used = false;
}

void token_cache_clear(struct token_cache *cache) {
    for (size_t i = 0; i < SLOTS; i++)
        slot_clear(&cache->slots[i]);
}

void token_cache_free(struct token_cache *cache) {
    if (cache)
        token_cache_clear(cache);
    free(cache);
}

vlt_result token_cache_verify(struct token_cache *cache, struct bytes token,
                              const struct token_expectation *expected, uint8_t *ret_sha256,
                              const struct token_verified **ret_verified) {
    uint8_t hash[32];
    VLT_TRY(digest_sha256(token, hash));
    struct slot *slot = &cache->slots[((unsigned)hash[0] << 8 | hash[1]) % SLOTS];
    if (slot->is_used && secret_equal(bytes_of(slot->hash, 32), bytes_of(hash, 32))) {
        if (slot->verified.claims.expires_at <= expected->now_s) {
            slot_clear(slot);
            return vlt_fail(VLT_DENIED, "token expired");
        }
        memcpy(ret_sha256, hash, sizeof hash);
        *ret_verified = &slot->verified;
        return vlt_ok();
    }
    struct token_verified verified;
    VLT_TRY(token_verify(token, expected, &verified));
    slot_clear(slot);
    slot->is_used = true;
    slot->verified = verified;
    memcpy(slot->hash, hash, sizeof hash);
    memcpy(ret_sha256, hash, sizeof hash);
    *ret_verified = &slot->verified;
    return vlt_ok();
}
