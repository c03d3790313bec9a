// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_arena.h"

#include <stdlib.h>

#define ARENA_ALIGN 16u
#define ARENA_KEEP_MAX_BYTES (256u * 1024)

struct policy_arena_chunk {
    struct policy_arena_chunk *older;
    size_t size, used; // of the bytes that follow this head
};
// The head is a multiple of the alignment, so that what follows it is aligned.
#define HEAD_BYTES                                                                                 \
    ((sizeof(struct policy_arena_chunk) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN)

void policy_arena_init(struct policy_arena *arena, size_t first_bytes, size_t max_bytes) {
    *arena = (struct policy_arena){.first_bytes = first_bytes, .max_bytes = max_bytes};
}

void policy_arena_done(struct policy_arena *arena) {
    while (arena->newest) {
        struct policy_arena_chunk *older = arena->newest->older;
        free(arena->newest);
        arena->newest = older;
    }
    arena->taken_bytes = 0;
    arena->failed = false;
}

void policy_arena_reset(struct policy_arena *arena) {
    struct policy_arena_chunk *only = arena->newest;
    arena->failed = false;
    if (only && !only->older) {
        only->used = 0;
        return;
    }
    size_t wanted = arena->taken_bytes;
    policy_arena_done(arena);
    if (wanted > arena->first_bytes)
        arena->first_bytes = wanted < ARENA_KEEP_MAX_BYTES ? wanted : ARENA_KEEP_MAX_BYTES;
}

static bool arena_add_chunk(struct policy_arena *arena, size_t least_bytes) {
    size_t size = arena->newest ? arena->newest->size * 2 : arena->first_bytes;
    if (size < least_bytes)
        size = least_bytes;
    size_t left = arena->max_bytes - arena->taken_bytes;
    if (size > left)
        size = left / ARENA_ALIGN * ARENA_ALIGN;
    if (size < least_bytes)
        return false;
    struct policy_arena_chunk *chunk = malloc(HEAD_BYTES + size);
    if (!chunk)
        return false;
    *chunk = (struct policy_arena_chunk){.older = arena->newest, .size = size};
    arena->newest = chunk;
    arena->taken_bytes += size;
    return true;
}

void *policy_arena_take(struct policy_arena *arena, size_t size) {
    if (arena->failed)
        return NULL;
    if (size > arena->max_bytes) {
        arena->failed = true;
        return NULL;
    }
    size = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    struct policy_arena_chunk *chunk = arena->newest;
    if (!chunk || chunk->size - chunk->used < size) {
        if (!arena_add_chunk(arena, size)) {
            arena->failed = true;
            return NULL;
        }
        chunk = arena->newest;
    }
    void *at = (uint8_t *)chunk + HEAD_BYTES + chunk->used;
    chunk->used += size;
    return at;
}

void *policy_arena_take_array(struct policy_arena *arena, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        arena->failed = true;
        return NULL;
    }
    return policy_arena_take(arena, total);
}

struct bytes policy_arena_copy(struct policy_arena *arena, struct bytes bytes) {
    uint8_t *at = policy_arena_take(arena, bytes.size);
    if (!at)
        return bytes_of(NULL, 0);
    if (bytes.size)
        memcpy(at, bytes.at, bytes.size);
    return bytes_of(at, bytes.size);
}

void *policy_arena_grow(struct policy_arena *arena, void *array, size_t count, size_t *capacity,
                        size_t size) {
    if (count < *capacity)
        return array;
    size_t wanted = *capacity ? *capacity * 2 : 4;
    void *grown = policy_arena_take_array(arena, wanted, size);
    if (!grown)
        return NULL;
    if (count)
        memcpy(grown, array, count * size);
    *capacity = wanted;
    return grown;
}
