// SPDX-License-Identifier: Apache-2.0
// One file of audit entries. It holds `count` lines from sequence `first` on.
// A sparse index (every SEGMENT_INDEX_STEP lines) finds a sequence quickly.
//
// Behind the last line there may be zeros, up to the end of the file: room that
// was written ahead, so that a sync of entries is one of blocks that the file has
// already (half the time of one that makes it grow). A line of JSON has no zero
// byte, so the first zero ends the entries. Lines are written one group after the
// other and synced before the next, so what stands behind a zero that is followed
// by something else is torn: it belongs to a group that nobody was told of.
#ifndef VLT_AUDITOR_SEGMENT_H
#define VLT_AUDITOR_SEGMENT_H

#include <sys/types.h>

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"

#define SEGMENT_INDEX_STEP 1024
#define SEGMENT_NAME_SIZE 32

struct segment {
    int fd;
    char name[SEGMENT_NAME_SIZE];
    uint64_t first, count, size; // entries and bytes that are durable
    uint64_t room;               // bytes of the file, written ahead; never less than size
    bool is_torn;                // behind `size` stands what must be cut off
    dev_t device;
    ino_t inode;
    uint64_t *index; // offset of line 0, STEP, 2·STEP, …
    size_t index_count, index_capacity;
};

void segment_name(uint64_t first, char ret_name[SEGMENT_NAME_SIZE]);
bool segment_name_parse(const char *name, uint64_t *ret_first);
vlt_result segment_open(int folder, uint64_t first, bool is_new, struct fault *fault,
                        struct segment *ret_segment) VLT_MUST_USE;
// Makes the file `spare`, which holds zeros only, the segment that begins with
// `first`, and syncs the folder.
vlt_result segment_adopt(int folder, const char *spare, uint64_t first, struct fault *fault,
                         struct segment *ret_segment) VLT_MUST_USE;
void segment_close(struct segment *segment);
// Counts lines and builds the index. A torn end is noted when `is_newest`, and to
// be cut by the caller; else it is VLT_CONFLICT.
vlt_result segment_scan(struct segment *segment, bool is_newest, struct fault *fault) VLT_MUST_USE;
// VLT_UNAVAILABLE when the file of that name is not the one that we write to.
vlt_result segment_check_identity(int folder, const struct segment *segment,
                                  struct fault *fault) VLT_MUST_USE;
// Cuts bytes behind the durable ones, also the room; syncs.
vlt_result segment_cut(const struct segment *segment, struct fault *fault) VLT_MUST_USE;
// Writes whole lines behind the durable ones and syncs; on failure cuts what was
// written. The segment itself says nothing of them before segment_count.
vlt_result segment_write(const struct segment *segment, struct bytes lines,
                         struct fault *fault) VLT_MUST_USE;
// Those lines are durable now. VLT_BUG when they are not `line_count` lines.
vlt_result segment_count(struct segment *segment, struct bytes lines,
                         uint64_t line_count) VLT_MUST_USE;

typedef bool segment_line_fn(struct bytes line, uint64_t sequence, void *context);
// Calls `each` for lines from sequence `from` (or near before it) on until it
// returns false; *ret_goes_on is false then.
vlt_result segment_each(const struct segment *segment, uint64_t from, segment_line_fn *each,
                        void *context, bool *ret_goes_on) VLT_MUST_USE;

#endif
