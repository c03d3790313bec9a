// SPDX-License-Identifier: Apache-2.0
// Linked into a vaultd-auditor that is never installed (auditor_slow): each
// fdatasync takes so many microseconds longer as the file PROGRAM.sync_us beside
// the program says, which is looked at again every 100 ms. To see what a slow disk
// does, and at which latency the audit log costs how much.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd); // instead of the C library's

#define LOOK_EACH_NS 100000000

static char path[4096];

__attribute__((constructor)) static void find_path(void) {
    static const char ending[] = ".sync_us";
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - sizeof ending);
    if (size > 0)
        memcpy(path + size, ending, sizeof ending);
}

static long delay_us(void) {
    static long us;
    static int64_t looked_ns = -LOOK_EACH_NS;
    struct timespec now;
    char text[24] = "";
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (now_ns - looked_ns < LOOK_EACH_NS)
        return us;
    looked_ns = now_ns;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    us = file >= 0 && read(file, text, sizeof text - 1) > 0 ? strtol(text, NULL, 10) : 0;
    if (file >= 0)
        close(file);
    return us;
}

int fdatasync(int fd) {
    long us = delay_us(); // one thread writes the journal; others are rare and may be off
    if (us > 0) {
        struct timespec delay = {us / 1000000, us % 1000000 * 1000};
        prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, &delay) == EINTR)
            ;
    }
    return (int)syscall(SYS_fdatasync, fd);
}
