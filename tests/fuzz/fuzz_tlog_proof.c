// SPDX-License-Identifier: Apache-2.0
// Aims at tlog_proof_parse and at the verification of Merkle proofs with foreign
// numbers: a proof file has one spelling, and verification ends.
#include <stdlib.h>

#include "libvault/audit/tlog_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct tlog_proof proof;
    struct buf again;
    struct merkle_hash hash = {{0}};
    if (!vlt_is_ok(tlog_proof_parse(bytes_of(at, size), &proof)))
        return 0;
    buf_init(&again, size + 16);
    tlog_proof_put(&proof, &again);
    if (!bytes_equal(buf_bytes(&again), bytes_of(at, size)))
        abort();
    buf_done(&again);
    for (uint64_t tree = proof.index + 1; tree < UINT64_MAX / 2; tree = tree * 2 + 1)
        if (vlt_is_ok(merkle_inclusion_verify(&hash, proof.index, tree, &proof.proof, &hash)) &&
            proof.proof.count)
            abort(); // nobody finds such a hash
    return 0;
}
