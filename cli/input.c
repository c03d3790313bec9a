// SPDX-License-Identifier: Apache-2.0
// Reading what must not be seen (into secret memory) and what may be.
#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "libvault/secret/secret_file.h"

// Ctrl-C at a silent prompt. It comes as a character, so that the terminal gets
// its echo back before this program ends.
#define INTERRUPT 3

// Up to the capacity; *ret_full when there was more.
static ssize_t read_all(int fd, uint8_t *at, size_t capacity, bool stops_at_line, bool *ret_full) {
    size_t size = 0;
    *ret_full = false;
    for (;;) {
        uint8_t more;
        bool has_room = size < capacity;
        size_t want = has_room && !stops_at_line ? capacity - size : 1;
        ssize_t got = read(fd, has_room ? at + size : &more, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : (ssize_t)size;
        if (!has_room) {
            bool is_end = more == '\n'; // a last line end does not count
            secret_cleanse(&more, sizeof more);
            if (is_end)
                continue;
            *ret_full = true;
            return (ssize_t)size;
        }
        size += (size_t)got;
        if (stops_at_line && at[size - 1] == INTERRUPT) {
            errno = ECANCELED;
            return -1;
        }
        if (stops_at_line && at[size - 1] == '\n')
            return (ssize_t)size;
    }
}

static vlt_result unreadable(const char *path, struct fault *fault) {
    enum vlt_class class = errno == ENOENT || errno == ENOTDIR ? VLT_NOT_FOUND
                           : errno == EACCES || errno == EPERM ? VLT_DENIED
                                                               : VLT_MALFORMED;
    return fault_set(fault, class, "not readable", "%s can not be read: %s", path, strerror(errno));
}

static vlt_result take(int fd, const char *name, bool stops_at_line, struct secret *secret,
                       struct fault *fault) {
    bool is_full;
    uint8_t *at = secret_borrow_room(secret);
    ssize_t size = read_all(fd, at, secret_capacity(secret), stops_at_line, &is_full);
    if (size > 0 && at[size - 1] == '\n')
        size--;
    if (size > 0 && at[size - 1] == '\r')
        size--;
    secret_release_sized(secret, size > 0 && !is_full ? (size_t)size : 0);
    if (size < 0 && errno == ECANCELED)
        return fault_set(fault, VLT_MALFORMED, "cancelled", "cancelled: nothing was sent");
    if (size < 0)
        return unreadable(name, fault);
    if (is_full)
        return fault_set(fault, VLT_LIMIT, "too long", "the value is longer than %zu bytes",
                         secret_capacity(secret));
    if (size == 0)
        return fault_set(fault, VLT_MALFORMED, "empty", "the value is empty: nothing was sent");
    return vlt_ok();
}

bool terminal_exists(void) {
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

vlt_result terminal_read_secret(const char *prompt, struct secret *secret, struct fault *fault) {
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "no terminal", "there is no terminal to ask at");
    struct termios before, silent;
    if (tcgetattr(fd, &before) != 0) {
        close(fd);
        return fault_set(fault, VLT_UNAVAILABLE, "no terminal", "the terminal can not be silenced");
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    silent.c_lflag |= ICANON;
    silent.c_cc[VEOL] = INTERRUPT;
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "the terminal can not be silenced");
    if (tcsetattr(fd, TCSAFLUSH, &silent) == 0) {
        dprintf(fd, "%s", prompt); // only now: what is typed at once must not show
        result = take(fd, "the terminal", true, secret, fault);
        tcsetattr(fd, TCSAFLUSH, &before);
    }
    dprintf(fd, "\n");
    close(fd);
    return result;
}

vlt_result file_read_secret(const char *path, struct secret *secret, struct fault *fault) {
    if (!strcmp(path, "-"))
        return take(STDIN_FILENO, "standard input", false, secret, fault);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return unreadable(path, fault);
    vlt_result result = take(fd, path, false, secret, fault);
    close(fd);
    return result;
}

void file_warn_if_open(const char *name, const char *path) {
    struct fault fault = {0};
    vlt_result result = secret_file_check(name, path, &fault);
    if (!vlt_is_ok(result))
        fprintf(stderr, "vaultctl: warning: %s\n", fault_or_reason(&fault, result));
}

vlt_result file_read(const char *path, size_t max_bytes, struct buf *out, struct fault *fault) {
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (fd < 0)
        return unreadable(path, fault);
    vlt_result result = vlt_ok();
    for (;;) {
        uint8_t piece[8192];
        ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = unreadable(path, fault);
        if (got <= 0)
            break;
        buf_put(out, bytes_of(piece, (size_t)got));
        if (buf_failed(out) || out->size > max_bytes) {
            result = fault_set(fault, VLT_LIMIT, "too large", "%s is larger than %zu bytes", path,
                               max_bytes);
            break;
        }
    }
    if (fd != STDIN_FILENO)
        close(fd);
    return result;
}
