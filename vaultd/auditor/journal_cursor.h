// SPDX-License-Identifier: Apache-2.0
// Goes through the journal's files entry by entry. The caller asks only for
// entries that are durable. Used by the publisher.
#ifndef VLT_AUDITOR_JOURNAL_CURSOR_H
#define VLT_AUDITOR_JOURNAL_CURSOR_H

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"

#define JOURNAL_CHUNK_BYTES (256u << 10)

struct journal_cursor {
    int fd;           // -1: open the file that begins with `segment`
    uint64_t segment; // first sequence of the present file
    uint64_t at;      // sequence of the next line of it
    uint64_t wanted;  // lines before it are skipped
    uint64_t offset;  // in the file, of what follows the chunk
    struct buf chunk;
    size_t used;      // of the chunk
};
// From sequence `wanted` on, which is in the file that begins with `segment`.
void journal_cursor_init(struct journal_cursor *cursor, uint64_t segment, uint64_t wanted);
void journal_cursor_done(struct journal_cursor *cursor);
// The next entry without its line end; borrowed until the next call. After a
// failure the same entry can be asked for again.
vlt_result journal_cursor_next(struct journal_cursor *cursor, int folder, struct fault *fault,
                               struct bytes *ret_entry) VLT_MUST_USE;
// Forgets what was read ahead. It may not have been durable, and other bytes may
// stand there tomorrow.
void journal_cursor_forget(struct journal_cursor *cursor);

#endif
