// SPDX-License-Identifier: Apache-2.0
// What there is to ship: entries that a signed checkpoint speaks of, from the
// published files of the log. An entry that was shipped can therefore never turn
// out not to be in the log. Threads of the shipper, read-only.
#ifndef VLT_SHIPPER_SOURCE_H
#define VLT_SHIPPER_SOURCE_H

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/tile.h"

#define SOURCE_BATCH_ENTRIES 1000
#define SOURCE_BATCH_BYTES (1u << 20) // unless one entry alone is larger

struct source_entry {
    uint64_t index;
    struct bytes entry; // canonical JSON, without a line end
};
struct source_batch {
    struct buf lines; // the entries, one a line
    size_t count;
    struct source_entry entries[SOURCE_BATCH_ENTRIES]; // point into `lines`
};
void source_batch_init(struct source_batch *batch);
void source_batch_done(struct source_batch *batch);

// The checkpoint of that folder; size 0: there is none yet. VLT_UNAVAILABLE, and
// VLT_MALFORMED for a file that is no checkpoint. It is not verified here: what is
// shipped is as good as the folder, and receivers can verify it themselves.
vlt_result source_checkpoint(int folder, struct fault *fault,
                             struct checkpoint *ret_checkpoint) VLT_MUST_USE;
// Entries from `first` on, at least one; first < size, the size of a checkpoint
// of this folder. VLT_NOT_FOUND: they were pruned, or the log moved on meanwhile.
vlt_result source_read(int folder, uint64_t size, uint64_t first, struct fault *fault,
                       struct source_batch *ret_batch) VLT_MUST_USE;

#endif
