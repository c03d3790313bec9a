// SPDX-License-Identifier: Apache-2.0
// One file of audit entries. It holds `count` lines from sequence `first` on.
// A sparse index (every SEGMENT_INDEX_STEP lines) finds a sequence quickly.
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
    dev_t device;
    ino_t inode;
    uint64_t *index; // offset of line 0, STEP, 2·STEP, …
    size_t index_count, index_capacity;
};

void segment_name(uint64_t first, char ret_name[SEGMENT_NAME_SIZE]);
bool segment_name_parse(const char *name, uint64_t *ret_first);
vlt_result segment_open(int folder, uint64_t first, bool is_new, struct fault *fault,
                        struct segment *ret_segment) VLT_MUST_USE;
void segment_close(struct segment *segment);
// Counts lines and builds the index. A torn last line is cut off when
// `is_newest`, else it is VLT_CONFLICT.
vlt_result segment_scan(struct segment *segment, bool is_newest, struct fault *fault) VLT_MUST_USE;
// VLT_UNAVAILABLE when the file of that name is not the one that we write to.
vlt_result segment_check_identity(int folder, const struct segment *segment,
                                  struct fault *fault) VLT_MUST_USE;
// Cuts bytes behind the durable ones.
vlt_result segment_cut(struct segment *segment, struct fault *fault) VLT_MUST_USE;
// Appends whole lines and syncs; on failure cuts what was written.
vlt_result segment_append(struct segment *segment, struct bytes lines, uint64_t line_count,
                          struct fault *fault) VLT_MUST_USE;

typedef bool segment_line_fn(struct bytes line, uint64_t sequence, void *context);
// Calls `each` for lines from sequence `from` (or near before it) on until it
// returns false; *ret_goes_on is false then.
vlt_result segment_each(const struct segment *segment, uint64_t from, segment_line_fn *each,
                        void *context, bool *ret_goes_on) VLT_MUST_USE;

#endif
