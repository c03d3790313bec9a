// SPDX-License-Identifier: Apache-2.0
// Subject tokens that were verified a moment ago: an agent that asks for one token
// after the other presents the same subject token each time, and its signature
// does not change. What may change is looked at again each time: the issuer's
// record, its keys, and the clock. One thread; broker only.
//
// The key is the SHA-256 of tenant, declared type and token; the token itself is
// not kept. One place for each key. A newcomer takes the place of another when it
// comes for the second time: a token that is presented once displaces nobody, and
// building and freeing what is remembered costs more than a quarter of verifying it.
#ifndef VLT_IDENTITY_SUBJECT_CACHE_H
#define VLT_IDENTITY_SUBJECT_CACHE_H

#include "libvault/crypto/jws.h"
#include "libvault/identity/subject_claims.h"

#define SUBJECT_CACHE_KEY_SIZE 32

struct subject_seen {
    uint8_t key[SUBJECT_CACHE_KEY_SIZE];
    struct subject *subject; // held; NULL: an empty place
    struct registered_claims registered;
    // What it was verified with. While both are the same, so are the issuer and
    // the memory into which the subject's groups point.
    uint64_t issuer_serial, keys_generation;
    char kid[sizeof((struct jws_parts *)0)->kid];
};

struct subject_cache *subject_cache_new(void); // NULL when out of memory
void subject_cache_free(struct subject_cache *cache); // NULL is fine

vlt_result subject_cache_key(struct bytes token, const struct subject_expectation *expected,
                             uint8_t ret_key[SUBJECT_CACHE_KEY_SIZE]) VLT_MUST_USE;
// NULL: not there. Borrowed until the next call with the same cache.
const struct subject_seen *subject_cache_find(struct subject_cache *cache,
                                              const uint8_t key[SUBJECT_CACHE_KEY_SIZE]);
// Holds the subject when it keeps it.
void subject_cache_put(struct subject_cache *cache, const struct subject_seen *seen);
void subject_cache_drop(struct subject_cache *cache, const uint8_t key[SUBJECT_CACHE_KEY_SIZE]);

#endif
