// SPDX-License-Identifier: Apache-2.0
// Aims at what leads to the evidence of a pruning: the file's lines, which are the same
// when written again, and the entry, which is not believed beyond its words.
#include <stdlib.h>

#include "libvault/audit/log_pruned.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct log_pruned pruned;
    const struct bytes text = bytes_of(at, size);
    if (log_pruned_told(text) && !memmem(at, size, "audit.prune", strlen("audit.prune")))
        abort();
    if (!vlt_is_ok(log_pruned_parse(text, &pruned)))
        return 0;
    struct buf again;
    buf_init(&again, 64);
    log_pruned_put(&pruned, &again);
    if (!bytes_equal(buf_bytes(&again), text))
        abort();
    buf_done(&again);
    return 0;
}
