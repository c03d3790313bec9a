// SPDX-License-Identifier: Apache-2.0
// libcurl opens its sockets without FD_CLOEXEC, and offers no way to ask for it that
// covers all of them.
#include "cli/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>

#define NOTED_MAX 1024 // of those above, no program started here gets one

static bool noted[NOTED_MAX];

static void each_open(void (*visit)(int fd)) {
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            visit((int)strtol(entry->d_name, NULL, 10));
    if (folder)
        closedir(folder);
}

static void note(int fd) {
    int flags = fcntl(fd, F_GETFD);
    if (fd < NOTED_MAX && flags >= 0 && !(flags & FD_CLOEXEC)) // not the folder itself
        noted[fd] = true;
}

static void keep_own(int fd) {
    if (fd > 2 && (fd >= NOTED_MAX || !noted[fd]))
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void descriptors_note(void) {
    each_open(note);
}

void descriptors_keep_own(void) {
    each_open(keep_own);
}
