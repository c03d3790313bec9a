// SPDX-License-Identifier: Apache-2.0
// Memory that is given out forwards and taken back all at once: the syntax tree
// of a set, or everything that one request needs. Never for secrets.
#ifndef VLT_POLICY_POLICY_ARENA_H
#define VLT_POLICY_POLICY_ARENA_H

#include "libvault/base/bytes.h"

struct policy_arena_chunk;

struct policy_arena {
    struct policy_arena_chunk *newest;
    size_t first_bytes; // of the first chunk after a reset
    size_t taken_bytes; // from the system
    size_t max_bytes;
    bool failed; // out of memory or beyond max_bytes; sticks until reset
};

// Takes no memory yet.
void policy_arena_init(struct policy_arena *arena, size_t first_bytes, size_t max_bytes);
void policy_arena_done(struct policy_arena *arena);
// Everything given out becomes invalid. Keeps one chunk, as large as was needed
// (at most 256 KiB), so that the next round asks the system for nothing.
void policy_arena_reset(struct policy_arena *arena);

// Aligned for any of our structures; NULL once failed. Not zeroed.
void *policy_arena_take(struct policy_arena *arena, size_t size);
// `count` times `size` without overflow.
void *policy_arena_take_array(struct policy_arena *arena, size_t count, size_t size);
// A copy; the view is empty with `at` NULL when it failed.
struct bytes policy_arena_copy(struct policy_arena *arena, struct bytes bytes);

// Doubles an array that lives in the arena when it is full: returns the array to
// use, or NULL when memory ran out.
void *policy_arena_grow(struct policy_arena *arena, void *array, size_t count, size_t *capacity,
                        size_t size);

#endif
