// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/tile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/base/freshfile.h"

// ---- Names ----

void tile_path(unsigned level, uint64_t number, unsigned width, char ret_path[TILE_PATH_MAX]) {
    unsigned groups[8], count = 0;
    do {
        groups[count++] = (unsigned)(number % 1000);
        number /= 1000;
    } while (number && count < sizeof groups / sizeof *groups);
    int at = level == TILE_ENTRIES ? snprintf(ret_path, TILE_PATH_MAX, "tile/entries")
                                   : snprintf(ret_path, TILE_PATH_MAX, "tile/%u", level);
    while (count-- > 0)
        at += snprintf(ret_path + at, TILE_PATH_MAX - (size_t)at, count ? "/x%03u" : "/%03u",
                       groups[count]);
    if (width < TILE_WIDTH)
        snprintf(ret_path + at, TILE_PATH_MAX - (size_t)at, ".p/%u", width);
}

unsigned tile_width(unsigned level, uint64_t number, uint64_t size) {
    unsigned shift = level == TILE_ENTRIES ? 0 : level * TILE_HEIGHT;
    uint64_t hashes = shift < 64 ? size >> shift : 0, before = number * TILE_WIDTH;
    if (number >= (uint64_t)1 << 56 || hashes <= before)
        return 0;
    return hashes - before < TILE_WIDTH ? (unsigned)(hashes - before) : TILE_WIDTH;
}

// ---- Bundles ----

vlt_result tile_entry_put(struct buf *out, struct bytes entry) {
    if (entry.size > TILE_ENTRY_MAX)
        return vlt_fail(VLT_LIMIT, "an entry is too long for the log");
    buf_put_byte(out, (uint8_t)(entry.size >> 8));
    buf_put_byte(out, (uint8_t)entry.size);
    buf_put(out, entry);
    return buf_failed(out) ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok();
}

vlt_result tile_entry_take(struct bytes *bundle, struct bytes *ret_entry) {
    size_t size = bundle->size >= 2 ? (size_t)bundle->at[0] << 8 | bundle->at[1] : SIZE_MAX;
    if (bundle->size < 2 || size > bundle->size - 2)
        return vlt_fail(VLT_MALFORMED, "a tile of entries is cut short");
    *ret_entry = bytes_of(bundle->at + 2, size);
    *bundle = bytes_from(*bundle, 2 + size);
    return vlt_ok();
}

// ---- Files ----

static vlt_result read_all(int fd, const char *path, size_t max_bytes, struct fault *fault,
                           struct buf *out) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return fault_set(fault, VLT_UNAVAILABLE, "a file of the log can not be read",
                         "%s is not a file that can be read", path);
    if ((uint64_t)status.st_size > max_bytes)
        return fault_set(fault, VLT_LIMIT, "a file of the log is too large",
                         "%s is larger than %zu bytes", path, max_bytes);
    size_t left = (size_t)status.st_size;
    uint8_t *room = left ? buf_extend(out, left) : NULL;
    if (left && !room)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    while (left) {
        ssize_t got = read(fd, room, left);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fault_set(fault, VLT_UNAVAILABLE, "a file of the log can not be read",
                             "%s can not be read: %s", path,
                             got < 0 ? strerror(errno) : "it shrinks");
        room += got;
        left -= (size_t)got;
    }
    return vlt_ok();
}

static vlt_result open_and_read(int folder, const char *path, int flags, size_t max_bytes,
                                struct fault *fault, struct buf *out) {
    int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    if (fd < 0)
        return fault_set(fault, errno == ENOENT ? VLT_NOT_FOUND : VLT_UNAVAILABLE,
                         errno == ENOENT ? "a file of the log is missing"
                                         : "a file of the log can not be read",
                         "%s can not be opened: %s", path, strerror(errno));
    vlt_result result = read_all(fd, path, max_bytes, fault, out);
    close(fd);
    return result;
}

vlt_result tile_file_read(int folder, const char *path, size_t max_bytes, struct fault *fault,
                          struct buf *out) {
    return open_and_read(folder, path, 0, max_bytes, fault, out);
}

vlt_result tile_file_read_here(int folder, const char *path, size_t max_bytes,
                               struct fault *fault, struct buf *out) {
    return open_and_read(folder, path, O_NOFOLLOW, max_bytes, fault, out);
}

bool tile_file_is_one(int folder, int other, const char *path) {
    struct stat ours, theirs;
    return fstatat(folder, path, &ours, 0) == 0 && fstatat(other, path, &theirs, 0) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static bool make_folders(int folder, const char *path) {
    char part[TILE_PATH_MAX];
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/' || i >= sizeof part)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        // Whoever serves the files is somebody else. The folder of the whole log
        // decides who may come in.
        if (mkdirat(folder, part, 0755) == 0 ? fchmodat(folder, part, 0755, 0) != 0
                                             : errno != EEXIST)
            return false;
    }
    return true;
}

static bool write_all(int fd, struct bytes bytes) {
    while (bytes.size) {
        ssize_t written = write(fd, bytes.at, bytes.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = bytes_from(bytes, (size_t)written);
    }
    return true;
}

// The names, as well, of the file and of every folder above it.
static bool sync_folders(int folder, const char *path) {
    char part[TILE_PATH_MAX];
    for (size_t i = strlen(path); i-- > 0;) {
        if (path[i] != '/' || i >= sizeof part)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        int fd = openat(folder, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool is_synced = fd >= 0 && fsync(fd) == 0;
        if (fd >= 0)
            close(fd);
        if (!is_synced)
            return false;
    }
    return fsync(folder) == 0;
}

static vlt_result not_written(const char *path, struct fault *fault) {
    return fault_set(fault, VLT_UNAVAILABLE, "a file of the log can not be written",
                     "%s can not be written: %s", path, strerror(errno));
}

vlt_result tile_file_write(int folder, const char *path, struct bytes content, bool is_synced,
                           struct fault *fault) {
    static const char temporary[] = ".new";
    int fd = freshfile_open(folder, temporary, 0644);
    if (fd < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "a file of the log can not be written",
                         "%s can not be written: the file %s can not be made beside it: %s", path,
                         temporary, strerror(errno));
    bool is_written =
        fchmod(fd, 0644) == 0 && write_all(fd, content) && (!is_synced || fdatasync(fd) == 0);
    if (close(fd) != 0 || !is_written)
        return not_written(path, fault);
    if (renameat(folder, temporary, folder, path) != 0 &&
        (errno != ENOENT || !make_folders(folder, path) ||
         renameat(folder, temporary, folder, path) != 0))
        return not_written(path, fault);
    return is_synced && !sync_folders(folder, path) ? not_written(path, fault) : vlt_ok();
}
