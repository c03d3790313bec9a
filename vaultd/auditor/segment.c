// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static vlt_result failed(struct fault *fault, const struct segment *segment, const char *what) {
    return fault_set(fault, VLT_UNAVAILABLE, "the audit log can not be written",
                     "audit file %s can not be %s: %s", segment->name, what, strerror(errno));
}

// ---- Names and life ----

void segment_name(uint64_t first, char ret_name[SEGMENT_NAME_SIZE]) {
    snprintf(ret_name, SEGMENT_NAME_SIZE, "%020llu.jsonl", (unsigned long long)first);
}

bool segment_name_parse(const char *name, uint64_t *ret_first) {
    if (strlen(name) != 26 || strcmp(name + 20, ".jsonl") != 0 || strspn(name, "0123456789") != 20)
        return false;
    *ret_first = strtoull(name, NULL, 10);
    return *ret_first > 0;
}

// Notes which file it is; closes it on failure.
static vlt_result know_file(struct segment *segment, struct fault *fault) {
    struct stat status;
    if (fstat(segment->fd, &status) != 0) {
        vlt_result result = failed(fault, segment, "opened");
        close(segment->fd);
        return result;
    }
    segment->device = status.st_dev;
    segment->inode = status.st_ino;
    segment->room = (uint64_t)status.st_size;
    return vlt_ok();
}

// The name must survive a crash as well as the content.
static vlt_result sync_name(int folder, struct segment *segment, struct fault *fault) {
    if (fsync(folder) == 0)
        return vlt_ok();
    vlt_result result = failed(fault, segment, "opened");
    close(segment->fd);
    return result;
}

vlt_result segment_open(int folder, uint64_t first, bool is_new, struct fault *fault,
                        struct segment *ret_segment) {
    struct segment segment = {.first = first};
    segment_name(first, segment.name);
    segment.fd = openat(folder, segment.name,
                        O_RDWR | O_CLOEXEC | O_NOFOLLOW | (is_new ? O_CREAT | O_EXCL : 0), 0640);
    if (segment.fd < 0)
        return failed(fault, &segment, "opened");
    VLT_TRY(know_file(&segment, fault));
    if (is_new)
        VLT_TRY(sync_name(folder, &segment, fault));
    *ret_segment = segment;
    return vlt_ok();
}

vlt_result segment_adopt(int folder, const char *spare, uint64_t first, struct fault *fault,
                         struct segment *ret_segment) {
    struct segment segment = {.first = first};
    segment_name(first, segment.name);
    segment.fd = openat(folder, spare, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (segment.fd < 0)
        return failed(fault, &segment, "opened");
    VLT_TRY(know_file(&segment, fault));
    if (renameat2(folder, spare, folder, segment.name, RENAME_NOREPLACE) != 0) {
        vlt_result result = failed(fault, &segment, "opened");
        close(segment.fd);
        return result;
    }
    VLT_TRY(sync_name(folder, &segment, fault));
    *ret_segment = segment;
    return vlt_ok();
}

void segment_close(struct segment *segment) {
    close(segment->fd);
    free(segment->index);
}

vlt_result segment_check_identity(int folder, const struct segment *segment, struct fault *fault) {
    // Not its times: Linux from 6.13 on gives a file whose times were asked for new
    // ones with the next write, and its inode has to be written then, too.
    struct statx status;
    if (statx(folder, segment->name, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_SIZE, &status) != 0)
        return failed(fault, segment, "found where it was");
    if (makedev(status.stx_dev_major, status.stx_dev_minor) != segment->device ||
        status.stx_ino != segment->inode)
        return fault_set(fault, VLT_UNAVAILABLE, "the audit log was replaced",
                         "audit file %s was replaced by another file; put the original back and "
                         "restart vaultd",
                         segment->name);
    if (status.stx_size < segment->size)
        return fault_set(
            fault, VLT_UNAVAILABLE, "the audit log was cut",
            "audit file %s was cut from %llu to %llu bytes; restore it and restart vaultd",
            segment->name, (unsigned long long)segment->size, (unsigned long long)status.stx_size);
    return vlt_ok();
}

// ---- Lines ----

// Notes the offset of a line when the index wants it.
static bool index_line(struct segment *segment, uint64_t offset) {
    if (segment->count % SEGMENT_INDEX_STEP)
        return true;
    if (segment->index_count == segment->index_capacity) {
        size_t capacity = segment->index_capacity ? 2 * segment->index_capacity : 64;
        uint64_t *grown = realloc(segment->index, capacity * sizeof *grown);
        if (!grown)
            return false;
        segment->index = grown;
        segment->index_capacity = capacity;
    }
    segment->index[segment->index_count++] = offset;
    return true;
}

// Counts whole lines of `lines`, which stand at the end of the segment.
static bool count_lines(struct segment *segment, struct bytes lines) {
    for (size_t at = 0; at < lines.size;) {
        struct bytes rest = bytes_from(lines, at);
        size_t end = bytes_find(rest, '\n');
        if (end == rest.size || memchr(rest.at, 0, end))
            break; // torn, or room
        if (!index_line(segment, segment->size))
            return false;
        segment->count++;
        segment->size += end + 1;
        at += end + 1;
    }
    return true;
}

static bool is_room(struct bytes rest) {
    return rest.size == 0 ||
           (rest.at[0] == 0 && bytes_equal(bytes_of(rest.at, rest.size - 1),
                                           bytes_of(rest.at + 1, rest.size - 1)));
}

vlt_result segment_scan(struct segment *segment, bool is_newest, struct fault *fault) {
    if (segment->room == 0)
        return vlt_ok();
    size_t size = (size_t)segment->room;
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, segment->fd, 0);
    if (map == MAP_FAILED)
        return failed(fault, segment, "read");
    bool is_counted = count_lines(segment, bytes_of(map, size));
    segment->is_torn = !is_room(bytes_from(bytes_of(map, size), segment->size));
    munmap(map, size);
    if (!is_counted)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (segment->is_torn && !is_newest)
        return fault_set(fault, VLT_CONFLICT, "an audit file is damaged",
                         "audit file %s does not end with a whole line; restore it", segment->name);
    return vlt_ok();
}

vlt_result segment_cut(const struct segment *segment, struct fault *fault) {
    if (ftruncate(segment->fd, (off_t)segment->size) != 0 || fdatasync(segment->fd) != 0)
        return failed(fault, segment, "mended");
    return vlt_ok();
}

static bool write_all(int fd, struct bytes bytes, uint64_t offset) {
    while (bytes.size) {
        ssize_t written = pwrite(fd, bytes.at, bytes.size, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = bytes_from(bytes, (size_t)written);
        offset += (uint64_t)written;
    }
    return true;
}

vlt_result segment_write(const struct segment *segment, struct bytes lines, struct fault *fault) {
    if (write_all(segment->fd, lines, segment->size) && fdatasync(segment->fd) == 0)
        return vlt_ok();
    vlt_result result = failed(fault, segment, "written");
    struct fault ignored;
    vlt_result cut = segment_cut(segment, &ignored); // tried again before the next write
    (void)cut;
    return result;
}

vlt_result segment_count(struct segment *segment, struct bytes lines, uint64_t line_count) {
    uint64_t count = segment->count, size = segment->size;
    if (!count_lines(segment, lines) || segment->count != count + line_count) {
        segment->count = count;
        segment->size = size;
        segment->index_count = (size_t)((count + SEGMENT_INDEX_STEP - 1) / SEGMENT_INDEX_STEP);
        return vlt_fail(VLT_BUG, "the audit log counts its lines wrongly");
    }
    if (segment->room < segment->size)
        segment->room = segment->size;
    return vlt_ok();
}

// ---- Reading ----

vlt_result segment_each(const struct segment *segment, uint64_t from, segment_line_fn *each,
                        void *context, bool *ret_goes_on) {
    *ret_goes_on = true;
    if (segment->count == 0)
        return vlt_ok();
    uint64_t skip = from > segment->first ? (from - segment->first) / SEGMENT_INDEX_STEP : 0;
    if (skip >= segment->index_count)
        return vlt_ok();
    uint8_t *map = mmap(NULL, segment->size, PROT_READ, MAP_PRIVATE, segment->fd, 0);
    if (map == MAP_FAILED)
        return vlt_fail(VLT_UNAVAILABLE, "the audit log can not be read");
    struct bytes rest = bytes_from(bytes_of(map, segment->size), segment->index[skip]);
    uint64_t sequence = segment->first + skip * SEGMENT_INDEX_STEP;
    while (*ret_goes_on && rest.size) {
        size_t end = bytes_find(rest, '\n');
        *ret_goes_on = each(bytes_of(rest.at, end), sequence++, context);
        rest = bytes_from(rest, end + 1);
    }
    munmap(map, segment->size);
    return vlt_ok();
}
