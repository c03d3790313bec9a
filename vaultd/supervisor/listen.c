// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vaultd/supervisor/config_address.h"

#define BACKLOG 1024
#define LEAVING_LOOKS 40 // 2 s

static vlt_result bind_failed(const char *address, int fd, struct fault *fault) {
    int why = errno;
    if (fd >= 0)
        close(fd);
    return fault_set(fault, VLT_UNAVAILABLE, "an address can not be bound",
                     "can not listen on %s: %s%s", address, strerror(why),
                     why == EADDRINUSE ? "; is another vaultd running?" : "");
}

// Right after a crash the roles of the dead supervisor may still be going.
static bool bind_patiently(int fd, const struct addrinfo *address) {
    const struct timespec pause = {0, 50 * 1000000L};
    unsigned looks = 0;
    while (bind(fd, address->ai_addr, address->ai_addrlen) != 0) {
        if (errno != EADDRINUSE || looks++ == LEAVING_LOOKS)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

vlt_result listen_tcp(const char *address, struct fault *fault, int *ret_fd) {
    struct addrinfo *found = config_address_find(address);
    if (!found)
        return fault_set(
            fault, VLT_MALFORMED, "not an address to listen on",
            "can not listen on %s: write an IP address and a port, such as 0.0.0.0:8443", address);
    const int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
                    bind_patiently(fd, found) && listen(fd, BACKLOG) == 0;
    freeaddrinfo(found);
    if (!is_bound)
        return bind_failed(address, fd, fault);
    *ret_fd = fd;
    return vlt_ok();
}

// A socket file that nobody answers on is left over from a crash.
static bool is_in_use(const struct sockaddr_un *name) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)name, sizeof *name) == 0;
    if (fd >= 0)
        close(fd);
    return answers;
}

static bool stays_in_use(const struct sockaddr_un *name) {
    const struct timespec pause = {0, 50 * 1000000L};
    unsigned looks = 0;
    while (is_in_use(name) && looks++ < LEAVING_LOOKS)
        nanosleep(&pause, NULL);
    return looks > LEAVING_LOOKS;
}

vlt_result listen_unix(const char *path, mode_t mode, gid_t group, struct fault *fault,
                       int *ret_fd) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path)
        return fault_set(fault, VLT_LIMIT, "the path of a socket is too long",
                         "can not listen on %s: the path is longer than %zu characters", path,
                         sizeof name.sun_path - 1);
    memcpy(name.sun_path, path, strlen(path) + 1);
    if (stays_in_use(&name)) {
        errno = EADDRINUSE;
        return bind_failed(path, -1, fault);
    }
    struct stat there;
    if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode))
        return fault_set(fault, VLT_CONFLICT, "the place of a socket is taken",
                         "can not listen on %s: what is there is no socket; move it away, or "
                         "choose another path", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return bind_failed(path, -1, fault);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0777 & ~mode);
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    umask(before);
    if (!is_bound || chmod(path, mode) != 0 ||
        (group != (gid_t)-1 && chown(path, (uid_t)-1, group) != 0) || listen(fd, BACKLOG) != 0)
        return bind_failed(path, fd, fault);
    *ret_fd = fd;
    return vlt_ok();
}
