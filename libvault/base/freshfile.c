// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/freshfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define TRIES 3

int freshfile_open(int folder, const char *name, mode_t mode) {
    // Most often nothing is there: then it costs no call to remove it.
    for (int tries = 1;; tries++) {
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0 || errno != EEXIST || tries == TRIES)
            return fd;
        if (unlinkat(folder, name, 0) != 0 && errno != ENOENT)
            return -1;
    }
}
