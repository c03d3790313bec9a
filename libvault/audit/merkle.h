// SPDX-License-Identifier: Apache-2.0
// The Merkle tree of RFC 6962 section 2 over SHA-256: hashes, a compact range
// that grows leaf by leaf, inclusion and consistency proofs, and their
// verification (RFC 9162 section 2.1.3.2 and 2.1.4.2). Any thread.
//
// Failure of the hash itself is VLT_UNAVAILABLE; a proof that does not hold is
// VLT_CRYPTO.
#ifndef VLT_AUDIT_MERKLE_H
#define VLT_AUDIT_MERKLE_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define MERKLE_HASH_SIZE 32
#define MERKLE_LEVELS 64
#define MERKLE_PROOF_MAX 65 // hashes; a consistency proof is one longer than the tree is high

struct merkle_hash {
    uint8_t at[MERKLE_HASH_SIZE];
};
struct merkle_proof {
    size_t count;
    struct merkle_hash hashes[MERKLE_PROOF_MAX];
};

vlt_result merkle_leaf(struct bytes entry, struct merkle_hash *ret_hash) VLT_MUST_USE;
vlt_result merkle_node(const struct merkle_hash *left, const struct merkle_hash *right,
                       struct merkle_hash *ret_hash) VLT_MUST_USE;
bool merkle_hash_equal(const struct merkle_hash *a, const struct merkle_hash *b);

// ---- A tree of which only the right edge is kept ----

struct merkle_range {
    uint64_t size;
    struct merkle_hash roots[MERKLE_LEVELS]; // valid where size has that bit: 2^i leaves each
};
void merkle_range_init(struct merkle_range *range);
vlt_result merkle_range_add(struct merkle_range *range,
                            const struct merkle_hash *leaf) VLT_MUST_USE;
// Root of the tree so far; SHA-256 of nothing when it is empty.
vlt_result merkle_range_root(const struct merkle_range *range,
                             struct merkle_hash *ret_root) VLT_MUST_USE;

// ---- Proofs, made from stored hashes ----

// Root of the perfect subtree of 2^level leaves that begins at leaf
// index · 2^level; asked only for subtrees that are complete.
typedef vlt_result merkle_read_fn(unsigned level, uint64_t index, void *context,
                                  struct merkle_hash *ret_hash);
struct merkle_source {
    merkle_read_fn *read;
    void *context;
};
vlt_result merkle_root(const struct merkle_source *source, uint64_t size,
                       struct merkle_hash *ret_root) VLT_MUST_USE;
// VLT_LIMIT unless index < size.
vlt_result merkle_inclusion_prove(const struct merkle_source *source, uint64_t index, uint64_t size,
                                  struct merkle_proof *ret_proof) VLT_MUST_USE;
// VLT_LIMIT unless old_size <= size. Empty when they are equal or old_size is 0.
vlt_result merkle_consistency_prove(const struct merkle_source *source, uint64_t old_size,
                                    uint64_t size, struct merkle_proof *ret_proof) VLT_MUST_USE;

// ---- Verification ----

vlt_result merkle_inclusion_verify(const struct merkle_hash *leaf, uint64_t index, uint64_t size,
                                   const struct merkle_proof *proof,
                                   const struct merkle_hash *root) VLT_MUST_USE;
// A proof from the empty tree means nothing and is refused.
vlt_result merkle_consistency_verify(uint64_t old_size, const struct merkle_hash *old_root,
                                     uint64_t size, const struct merkle_hash *root,
                                     const struct merkle_proof *proof) VLT_MUST_USE;

#endif
