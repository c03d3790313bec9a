// SPDX-License-Identifier: Apache-2.0
// One child process: exec'd with one descriptor (3, its channel to us), own user
// where we are root, and a clean environment.
#ifndef VLT_SUPERVISOR_CHILD_H
#define VLT_SUPERVISOR_CHILD_H

#include <sys/types.h>

#include "vaultd/supervisor/topology.h"

struct child_start {
    const char *program; // absolute path
    const char *name;    // argv[0]
    bool changes_user;
    uid_t uid;
    gid_t gid;           // primary group; supplementary groups are dropped
    char *const *environment;
    int channel_fd;      // becomes descriptor 3; stays open here
};
vlt_result child_spawn(const struct child_start *start, struct fault *fault,
                       pid_t *ret_pid) VLT_MUST_USE;
// The program of a role: beside this program, else in the libexec folder.
vlt_result child_program_find(const char *name, char *path, size_t capacity,
                              struct fault *fault) VLT_MUST_USE;

#endif
