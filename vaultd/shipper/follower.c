// SPDX-License-Identifier: Apache-2.0
// A file that grows, for programs that follow files; or a FIFO. Whoever rotates it
// renames it: the next entries go to a new file of the old name.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vaultd/shipper/sink.h"

#define PIPE_TIMEOUT_MS 20000
#define TAIL_BYTES (TILE_ENTRY_MAX + 2)

struct sink {
    const char *path;
    int fd; // -1: not open
    bool is_pipe;
    bool is_torn; // the last line may have no end
};

static void file_reset(struct sink *sink) {
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = -1;
}

static struct sink *file_open(const struct shipping_settings *settings) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (sink)
        *sink = (struct sink){.path = settings->target[SINK_FILE], .fd = -1};
    return sink;
}

static void file_close(struct sink *sink) {
    file_reset(sink);
    free(sink);
}

static vlt_result not_written(const struct sink *sink, struct fault *fault) {
    return fault_set(fault, VLT_UNAVAILABLE, "the file can not be written",
                     "%s can not be written: %s", sink->path,
                     errno == ENXIO ? "nobody reads the pipe" : strerror(errno));
}

// A kill while it was written may have left a part of a line: its entry comes
// again, so the part goes.
static bool cut_torn_line(int fd, off_t size) {
    char tail[TAIL_BYTES];
    size_t wanted = size < (off_t)sizeof tail ? (size_t)size : sizeof tail;
    ssize_t got = pread(fd, tail, wanted, size - (off_t)wanted);
    if (got != (ssize_t)wanted)
        return false;
    size_t kept = wanted;
    while (kept && tail[kept - 1] != '\n')
        kept--;
    // More than a line of ours without a line end: not ours to cut.
    if (kept == 0 && wanted == sizeof tail)
        return true;
    return kept == wanted || ftruncate(fd, size - (off_t)(wanted - kept)) == 0;
}

static vlt_result open_now(struct sink *sink, struct fault *fault) {
    struct stat status;
    bool is_there = stat(sink->path, &status) == 0;
    sink->is_pipe = is_there && S_ISFIFO(status.st_mode);
    int flags = sink->is_pipe ? O_WRONLY | O_NONBLOCK : O_RDWR | O_CREAT | O_APPEND;
    sink->fd = open(sink->path, flags | O_CLOEXEC | O_NOCTTY, 0640);
    if (sink->fd < 0)
        return not_written(sink, fault);
    if (sink->is_pipe)
        return vlt_ok();
    if (fstat(sink->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return fault_set(fault, VLT_UNAVAILABLE, "not a file", "%s is neither a file nor a pipe",
                         sink->path);
    return cut_torn_line(sink->fd, status.st_size) ? vlt_ok() : not_written(sink, fault);
}

static bool is_still_there(const struct sink *sink) {
    struct stat open_one, named;
    return fstat(sink->fd, &open_one) == 0 && stat(sink->path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static bool write_some(struct sink *sink, struct bytes *rest) {
    ssize_t written = write(sink->fd, rest->at, rest->size);
    struct pollfd wait = {.fd = sink->fd, .events = POLLOUT};
    if (written < 0 && errno == EAGAIN)
        return poll(&wait, 1, PIPE_TIMEOUT_MS) == 1 && !(wait.revents & POLLERR);
    if (written < 0)
        return errno == EINTR;
    *rest = bytes_from(*rest, (size_t)written);
    return true;
}

static vlt_result file_deliver(struct sink *sink, const struct source_batch *batch,
                               const char *origin, struct fault *fault, unsigned *ret_pause_ms) {
    struct bytes rest = buf_bytes(&batch->lines);
    (void)origin;
    (void)ret_pause_ms;
    if (sink->fd >= 0 && !is_still_there(sink))
        file_reset(sink);
    if (sink->fd < 0)
        VLT_TRY(open_now(sink, fault));
    // Who reads a pipe has a part of a line in hand: end it, the whole one follows.
    static const uint8_t line_end = '\n';
    if (sink->is_torn && sink->is_pipe && write(sink->fd, &line_end, 1) != 1)
        return not_written(sink, fault);
    sink->is_torn = true;
    while (rest.size)
        if (!write_some(sink, &rest))
            return not_written(sink, fault);
    sink->is_torn = false;
    return sink->is_pipe || fdatasync(sink->fd) == 0 ? vlt_ok() : not_written(sink, fault);
}

const struct sink_table file_sink = {
    .open = file_open, .deliver = file_deliver, .reset = file_reset, .close = file_close};
