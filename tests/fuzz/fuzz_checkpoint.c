// SPDX-License-Identifier: Apache-2.0
// Aims at checkpoint_parse: a checkpoint has one spelling.
#include <stdlib.h>

#include "libvault/audit/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct checkpoint checkpoint;
    struct buf again;
    if (!vlt_is_ok(checkpoint_parse(bytes_of(at, size), &checkpoint)))
        return 0;
    buf_init(&again, size + 16);
    checkpoint_put(&checkpoint, &again);
    if (!bytes_equal(buf_bytes(&again), bytes_of(at, size)))
        abort();
    buf_done(&again);
    return 0;
}
