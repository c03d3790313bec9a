// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/seen.h"

#include <stdlib.h>

#define BUCKETS 16384 // a power of two

struct seen {
    size_t capacity, next_place; // the place whose token is the oldest
    struct seen_token *buckets[BUCKETS];
    struct seen_token *places[]; // a ring in order of arrival
};

struct seen *seen_new(size_t capacity) {
    struct seen *seen = calloc(1, sizeof *seen + capacity * sizeof *seen->places);
    if (seen)
        seen->capacity = capacity;
    return seen;
}

static struct seen_token **bucket_of(struct seen *seen, const uint8_t key[SEEN_KEY_SIZE]) {
    // The key is a SHA-256: its first bytes are as good as any hash.
    size_t number = (size_t)key[0] | (size_t)key[1] << 8;
    return &seen->buckets[number & (BUCKETS - 1)];
}

static void forget(struct seen *seen, size_t place) {
    struct seen_token *token = seen->places[place];
    if (!token)
        return;
    struct seen_token **link = bucket_of(seen, token->key);
    while (*link != token)
        link = &(*link)->next;
    *link = token->next;
    seen->places[place] = NULL;
    seen_release(token);
}

void seen_clear(struct seen *seen) {
    for (size_t i = 0; i < seen->capacity; i++)
        forget(seen, i);
}

void seen_free(struct seen *seen) {
    if (seen)
        seen_clear(seen);
    free(seen);
}

struct seen_token *seen_find(struct seen *seen, const uint8_t key[SEEN_KEY_SIZE]) {
    struct seen_token *token = *bucket_of(seen, key);
    while (token && !bytes_equal(bytes_of(token->key, SEEN_KEY_SIZE), bytes_of(key, SEEN_KEY_SIZE)))
        token = token->next;
    return token;
}

struct seen_token *seen_add(struct seen *seen, const uint8_t key[SEEN_KEY_SIZE],
                            const struct token_claims *claims) {
    static uint8_t room[2 * TOKEN_BYTES_MAX]; // one loop, one thread
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    token_claims_put(&w, claims);
    struct seen_token *token = w.failed ? NULL : malloc(sizeof *token + w.size);
    if (!token)
        return NULL;
    *token = (struct seen_token){.holders = 1, .claims_bytes = w.size};
    memcpy(token->key, key, SEEN_KEY_SIZE);
    memcpy(token->claims, room, w.size);
    forget(seen, seen->next_place);
    seen->places[seen->next_place] = token;
    seen->next_place = (seen->next_place + 1) % seen->capacity;
    struct seen_token **bucket = bucket_of(seen, key);
    token->next = *bucket;
    *bucket = token;
    return token;
}

struct seen_token *seen_hold(struct seen_token *token) {
    token->holders++;
    return token;
}

void seen_release(struct seen_token *token) {
    if (token && --token->holders == 0)
        free(token);
}
