// SPDX-License-Identifier: Apache-2.0
// One child process: exec'd with one descriptor (3, its channel to us), own user
// where we are root, and a clean environment.
#ifndef VLT_SUPERVISOR_CHILD_H
#define VLT_SUPERVISOR_CHILD_H

#include <sys/types.h>

#include "vaultd/supervisor/topology.h"

#define CHILD_GROUPS_MAX 32
struct child_start {
    int program_fd;      // of the program's file
    const char *name;    // argv[0]
    bool changes_user;
    uid_t uid;
    gid_t gid;           // primary group
    gid_t groups[CHILD_GROUPS_MAX]; // all groups, as the user data base says (tss, …)
    int group_count;
    char *const *environment;
    int channel_fd;      // becomes descriptor 3; stays open here
};
vlt_result child_spawn(const struct child_start *start, struct fault *fault,
                       pid_t *ret_pid) VLT_MUST_USE;
// Opens the program of a role; the caller closes the descriptor.
vlt_result child_program_open(const char *name, struct fault *fault, int *ret_fd) VLT_MUST_USE;

#endif
