// SPDX-License-Identifier: Apache-2.0
// One group of journal lines on its way to the disk. The loop fills it in
// (log_file_begin), any thread may run it, and the loop takes what came of it
// (log_file_end). It shares nothing with the log but descriptors, so the loop goes
// on reading and adding meanwhile.
#ifndef VLT_AUDITOR_LOG_WRITE_H
#define VLT_AUDITOR_LOG_WRITE_H

#include "libvault/base/buf.h"
#include "vaultd/auditor/segment.h"

struct log_write {
    int folder;
    struct segment segment; // a copy: where the lines go, without its index
    struct buf *room;       // of the log; holds `lines` until log_file_end
    struct bytes lines;
    bool must_cut;          // an earlier write may have left bytes behind
    bool must_roll;         // a new segment, from sequence `next` on
    bool has_spare;         // SPARE_NAME can become that segment
    uint64_t next, last; // sequences of the first and the last of the lines

    // What came of it.
    bool has_rolled;        // `segment` is a new one, also when the write failed
    bool may_have_left;     // bytes behind the durable ones
    vlt_result result;
    struct fault fault;
};
// VLT_UNAVAILABLE in `result`: none of the lines is in the file, or they are cut
// off before the next write.
void log_write_run(struct log_write *write);

#endif
