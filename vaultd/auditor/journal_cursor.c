// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/journal_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vaultd/auditor/segment.h"

#define LINE_MAX_BYTES (66u << 10)

void journal_cursor_init(struct journal_cursor *cursor, uint64_t segment, uint64_t wanted) {
    *cursor =
        (struct journal_cursor){.fd = -1, .segment = segment, .at = segment, .wanted = wanted};
    buf_init(&cursor->chunk, JOURNAL_CHUNK_BYTES + LINE_MAX_BYTES);
}

static void close_file(struct journal_cursor *cursor) {
    if (cursor->fd >= 0)
        close(cursor->fd);
    cursor->fd = -1;
    cursor->offset = cursor->used = 0;
    buf_clear(&cursor->chunk);
}

void journal_cursor_done(struct journal_cursor *cursor) {
    close_file(cursor);
    buf_done(&cursor->chunk);
}

void journal_cursor_forget(struct journal_cursor *cursor) {
    cursor->offset -= cursor->chunk.size - cursor->used;
    cursor->used = 0;
    buf_clear(&cursor->chunk);
}

static vlt_result open_file(struct journal_cursor *cursor, int folder, struct fault *fault) {
    char name[SEGMENT_NAME_SIZE];
    segment_name(cursor->segment, name);
    cursor->fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    cursor->at = cursor->segment;
    return cursor->fd >= 0
               ? vlt_ok()
               : fault_set(fault, VLT_UNAVAILABLE, "a file of the audit log is missing",
                           "audit file %s can not be opened: %s", name, strerror(errno));
}

// Drops what was used and reads on. *ret_size 0: the end of the file.
static vlt_result read_on(struct journal_cursor *cursor, struct fault *fault, size_t *ret_size) {
    size_t kept = cursor->chunk.size - cursor->used;
    if (kept)
        memmove(cursor->chunk.at, cursor->chunk.at + cursor->used, kept);
    cursor->chunk.size = kept;
    cursor->used = 0;
    uint8_t *room = buf_extend(&cursor->chunk, JOURNAL_CHUNK_BYTES);
    if (!room) {
        cursor->chunk.failed = false;
        return vlt_fail(VLT_UNAVAILABLE, "out of memory, or a line of the journal is too long");
    }
    ssize_t got = pread(cursor->fd, room, JOURNAL_CHUNK_BYTES, (off_t)cursor->offset);
    cursor->chunk.size = kept + (got > 0 ? (size_t)got : 0);
    if (got < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "the audit log can not be read",
                         "the audit file from %llu on can not be read: %s",
                         (unsigned long long)cursor->segment, strerror(errno));
    cursor->offset += (uint64_t)got;
    *ret_size = (size_t)got;
    return vlt_ok();
}

// Zeros behind the last line are room that the file did not need (segment.h).
static bool has_room_next(const struct journal_cursor *cursor) {
    return cursor->used < cursor->chunk.size && cursor->chunk.at[cursor->used] == 0;
}

static bool take_line(struct journal_cursor *cursor, struct bytes *ret_line) {
    struct bytes rest = bytes_from(buf_bytes(&cursor->chunk), cursor->used);
    size_t end = bytes_find(rest, '\n');
    if (end == rest.size)
        return false;
    *ret_line = bytes_of(rest.at, end);
    cursor->used += end + 1;
    cursor->at++;
    return true;
}

vlt_result journal_cursor_next(struct journal_cursor *cursor, int folder, struct fault *fault,
                               struct bytes *ret_entry) {
    struct bytes line;
    for (;;) {
        if (cursor->fd < 0)
            VLT_TRY(open_file(cursor, folder, fault));
        if (take_line(cursor, &line)) {
            if (cursor->at <= cursor->wanted)
                continue; // before what is wanted
            cursor->wanted = cursor->at;
            *ret_entry = line;
            return vlt_ok();
        }
        size_t size = 0;
        bool is_over = has_room_next(cursor);
        if (!is_over)
            VLT_TRY(read_on(cursor, fault, &size));
        if (size)
            continue;
        // A file is never written again once its successor exists.
        if ((cursor->chunk.size && !is_over) || cursor->at == cursor->segment)
            return fault_set(fault, VLT_UNAVAILABLE, "a file of the audit log is cut short",
                             "the audit file from %llu on is cut short",
                             (unsigned long long)cursor->segment);
        cursor->segment = cursor->at;
        close_file(cursor);
    }
}
