// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/subject_cache.h"

#include <stdlib.h>

#include "libvault/crypto/digest.h"
#include "libvault/secret/secret.h"

#define PLACES 1024 // about 4 MiB when all are taken

struct subject_cache {
    struct subject_seen places[PLACES];
    uint64_t refused[PLACES]; // of the key that last found its place taken
};

struct subject_cache *subject_cache_new(void) { return calloc(1, sizeof(struct subject_cache)); }

static void empty(struct subject_seen *place) {
    subject_free(place->subject);
    *place = (struct subject_seen){0};
}

void subject_cache_free(struct subject_cache *cache) {
    for (size_t i = 0; cache && i < PLACES; i++)
        empty(&cache->places[i]);
    free(cache);
}

vlt_result subject_cache_key(struct bytes token, const struct subject_expectation *expected,
                             uint8_t ret_key[SUBJECT_CACHE_KEY_SIZE]) {
    const uint32_t head[] = {expected->tenant, (uint32_t)expected->type};
    const struct bytes parts[] = {bytes_of(head, sizeof head), token};
    return digest_sha256_parts(parts, 2, ret_key);
}

static struct subject_seen *place_of(struct subject_cache *cache,
                                     const uint8_t key[SUBJECT_CACHE_KEY_SIZE]) {
    return &cache->places[((unsigned)key[0] << 8 | key[1]) % PLACES];
}

static bool is_of(const struct subject_seen *place, const uint8_t key[SUBJECT_CACHE_KEY_SIZE]) {
    return place->subject && secret_equal(bytes_of(place->key, SUBJECT_CACHE_KEY_SIZE),
                                          bytes_of(key, SUBJECT_CACHE_KEY_SIZE));
}

const struct subject_seen *subject_cache_find(struct subject_cache *cache,
                                              const uint8_t key[SUBJECT_CACHE_KEY_SIZE]) {
    struct subject_seen *place = place_of(cache, key);
    return is_of(place, key) ? place : NULL;
}

// Part of a key, other than what chooses its place. Two keys that share it gain nothing:
// it decides only whether a token that was verified is remembered.
static uint64_t mark_of(const uint8_t key[SUBJECT_CACHE_KEY_SIZE]) {
    uint64_t mark;
    memcpy(&mark, key + SUBJECT_CACHE_KEY_SIZE - sizeof mark, sizeof mark);
    return mark;
}

void subject_cache_put(struct subject_cache *cache, const struct subject_seen *seen) {
    struct subject_seen *place = place_of(cache, seen->key);
    uint64_t *refused = &cache->refused[place - cache->places], mark = mark_of(seen->key);
    if (place->subject && *refused != mark) {
        *refused = mark;
        return;
    }
    empty(place);
    *place = *seen;
    subject_hold(place->subject);
}

void subject_cache_drop(struct subject_cache *cache, const uint8_t key[SUBJECT_CACHE_KEY_SIZE]) {
    struct subject_seen *place = place_of(cache, key);
    if (is_of(place, key))
        empty(place);
}
