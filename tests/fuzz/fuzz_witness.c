// SPDX-License-Identifier: Apache-2.0
// Aims at witness_add_checkpoint with a log whose key nobody here has: whatever
// comes, nothing is cosigned and nothing is stored.
#include <stdlib.h>

#include "libvault/audit/witness.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static struct witness witness = {.folder = -1};

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    if (!vlt_is_ok(note_key_parse(
            BYTES_LITERAL("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"),
            &witness.logs[0])))
        abort();
    witness.log_count = 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct buf out;
    buf_init(&out, 4096);
    unsigned status = witness_add_checkpoint(&witness, bytes_of(at, size), 1, &out);
    if (status != 400 && status != 403 && status != 404)
        abort();
    buf_done(&out);
    return 0;
}
