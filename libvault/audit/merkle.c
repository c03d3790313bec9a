// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/merkle.h"

#include "libvault/crypto/digest.h"

static const char does_not_hold[] = "the Merkle proof does not hold";

static struct bytes hash_bytes(const struct merkle_hash *hash) {
    return bytes_of(hash->at, sizeof hash->at);
}

vlt_result merkle_leaf(struct bytes entry, struct merkle_hash *ret_hash) {
    const struct bytes parts[] = {BYTES_LITERAL("\0"), entry};
    return digest_sha256_parts(parts, 2, ret_hash->at);
}

vlt_result merkle_node(const struct merkle_hash *left, const struct merkle_hash *right,
                       struct merkle_hash *ret_hash) {
    const struct bytes parts[] = {BYTES_LITERAL("\1"), hash_bytes(left), hash_bytes(right)};
    return digest_sha256_parts(parts, 3, ret_hash->at);
}

bool merkle_hash_equal(const struct merkle_hash *a, const struct merkle_hash *b) {
    return bytes_equal(hash_bytes(a), hash_bytes(b));
}

// ---- Range ----

void merkle_range_init(struct merkle_range *range) { range->size = 0; }

vlt_result merkle_range_add(struct merkle_range *range, const struct merkle_hash *leaf) {
    struct merkle_hash carry = *leaf;
    unsigned level = 0;
    // Adding one carries like a binary counter: each bit that was set is a full
    // subtree to the left of what is carried.
    for (; range->size >> level & 1; level++)
        VLT_TRY(merkle_node(&range->roots[level], &carry, &carry));
    range->roots[level] = carry;
    range->size++;
    return vlt_ok();
}

vlt_result merkle_range_root(const struct merkle_range *range, struct merkle_hash *ret_root) {
    struct merkle_hash root;
    bool has_root = false;
    if (range->size == 0)
        return digest_sha256(bytes_of(NULL, 0), ret_root->at);
    for (unsigned level = 0; level < MERKLE_LEVELS && range->size >> level; level++) {
        if (!(range->size >> level & 1))
            continue;
        if (has_root)
            VLT_TRY(merkle_node(&range->roots[level], &root, &root));
        else
            root = range->roots[level];
        has_root = true;
    }
    *ret_root = root;
    return vlt_ok();
}

// ---- Proofs ----

static unsigned bit_length(uint64_t value) {
    return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

// Root of the leaves [begin, end), where begin is a multiple of the largest power
// of two that is at most end - begin: so it is in every tree of RFC 6962.
static vlt_result range_root(const struct merkle_source *source, uint64_t begin, uint64_t end,
                             struct merkle_hash *ret_root) {
    struct merkle_hash pieces[MERKLE_LEVELS];
    size_t count = 0;
    while (begin < end) {
        unsigned level = bit_length(end - begin) - 1;
        VLT_TRY(source->read(level, begin >> level, source->context, &pieces[count++]));
        begin += (uint64_t)1 << level;
    }
    struct merkle_hash root = pieces[--count];
    while (count)
        VLT_TRY(merkle_node(&pieces[--count], &root, &root));
    *ret_root = root;
    return vlt_ok();
}

vlt_result merkle_root(const struct merkle_source *source, uint64_t size,
                       struct merkle_hash *ret_root) {
    if (size == 0)
        return digest_sha256(bytes_of(NULL, 0), ret_root->at);
    return range_root(source, 0, size, ret_root);
}

// Largest power of two below count (which is above 1).
static uint64_t split_of(uint64_t count) { return (uint64_t)1 << (bit_length(count - 1) - 1); }

static void reverse(struct merkle_proof *proof) {
    for (size_t i = 0; i < proof->count / 2; i++) {
        struct merkle_hash kept = proof->hashes[i];
        proof->hashes[i] = proof->hashes[proof->count - 1 - i];
        proof->hashes[proof->count - 1 - i] = kept;
    }
}

vlt_result merkle_inclusion_prove(const struct merkle_source *source, uint64_t index, uint64_t size,
                                  struct merkle_proof *ret_proof) {
    struct merkle_proof proof = {.count = 0};
    uint64_t begin = 0, end = size;
    if (index >= size)
        return vlt_fail(VLT_LIMIT, "the entry is not in a tree of that size");
    while (end - begin > 1) { // from the root down
        uint64_t middle = begin + split_of(end - begin);
        bool is_left = index < middle;
        VLT_TRY(range_root(source, is_left ? middle : begin, is_left ? end : middle,
                           &proof.hashes[proof.count++]));
        *(is_left ? &end : &begin) = middle;
    }
    reverse(&proof);
    *ret_proof = proof;
    return vlt_ok();
}

vlt_result merkle_consistency_prove(const struct merkle_source *source, uint64_t old_size,
                                    uint64_t size, struct merkle_proof *ret_proof) {
    struct merkle_proof proof = {.count = 0};
    uint64_t begin = 0, end = size;
    if (old_size > size)
        return vlt_fail(VLT_LIMIT, "the older tree is larger than the newer one");
    if (old_size && old_size < size) {
        while (old_size != end) {
            uint64_t middle = begin + split_of(end - begin);
            bool is_left = old_size <= middle;
            VLT_TRY(range_root(source, is_left ? middle : begin, is_left ? end : middle,
                               &proof.hashes[proof.count++]));
            *(is_left ? &end : &begin) = middle;
        }
        // The old root itself is known when the old tree is one perfect subtree.
        if (begin)
            VLT_TRY(range_root(source, begin, end, &proof.hashes[proof.count++]));
        reverse(&proof);
    }
    *ret_proof = proof;
    return vlt_ok();
}

// ---- Verification ----

vlt_result merkle_inclusion_verify(const struct merkle_hash *leaf, uint64_t index, uint64_t size,
                                   const struct merkle_proof *proof,
                                   const struct merkle_hash *root) {
    if (index >= size)
        return vlt_fail(VLT_CRYPTO, does_not_hold);
    struct merkle_hash hash = *leaf;
    uint64_t at = index, last = size - 1;
    for (size_t i = 0; i < proof->count; i++) {
        if (last == 0)
            return vlt_fail(VLT_CRYPTO, does_not_hold);
        if ((at & 1) || at == last) {
            VLT_TRY(merkle_node(&proof->hashes[i], &hash, &hash));
            for (; at && !(at & 1); at >>= 1) // the right edge skips levels
                last >>= 1;
        } else {
            VLT_TRY(merkle_node(&hash, &proof->hashes[i], &hash));
        }
        at >>= 1;
        last >>= 1;
    }
    bool holds = last == 0 && merkle_hash_equal(&hash, root);
    return holds ? vlt_ok() : vlt_fail(VLT_CRYPTO, does_not_hold);
}

// Walks up from the old tree's last full subtree and computes both roots.
static vlt_result consistency_walk(uint64_t old_size, const struct merkle_hash *old_root,
                                   uint64_t size, const struct merkle_hash *root,
                                   const struct merkle_proof *proof) {
    uint64_t at = old_size - 1, last = size - 1;
    for (; at & 1; at >>= 1)
        last >>= 1;
    size_t next = 0;
    // A perfect old tree is its own first hash.
    struct merkle_hash old_hash = at ? proof->hashes[next++] : *old_root, hash = old_hash;
    for (; next < proof->count; next++) {
        if (last == 0)
            return vlt_fail(VLT_CRYPTO, does_not_hold);
        if ((at & 1) || at == last) {
            VLT_TRY(merkle_node(&proof->hashes[next], &old_hash, &old_hash));
            VLT_TRY(merkle_node(&proof->hashes[next], &hash, &hash));
            for (; at && !(at & 1); at >>= 1)
                last >>= 1;
        } else {
            VLT_TRY(merkle_node(&hash, &proof->hashes[next], &hash));
        }
        at >>= 1;
        last >>= 1;
    }
    bool holds =
        last == 0 && merkle_hash_equal(&old_hash, old_root) && merkle_hash_equal(&hash, root);
    return holds ? vlt_ok() : vlt_fail(VLT_CRYPTO, does_not_hold);
}

vlt_result merkle_consistency_verify(uint64_t old_size, const struct merkle_hash *old_root,
                                     uint64_t size, const struct merkle_hash *root,
                                     const struct merkle_proof *proof) {
    if (old_size && old_size == size && proof->count == 0 && merkle_hash_equal(old_root, root))
        return vlt_ok();
    if (old_size == 0 || old_size >= size || proof->count == 0)
        return vlt_fail(VLT_CRYPTO, does_not_hold);
    return consistency_walk(old_size, old_root, size, root, proof);
}
