// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHILD_FD 3

// Between fork and exec: only calls that are safe there. Never returns.
static void become(const struct child_start *start) {
    char *const arguments[] = {(char *)(uintptr_t)start->name, NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    // Away from the terminal: what is typed there is for the supervisor, and a role
    // must not be able to type for whoever sits there (TIOCSTI).
    setsid();
    // Nor does it stand in the folder where vaultd was started: that may be anywhere.
    if (chdir("/") != 0)
        _exit(126);
    // Locked memory is limited for ordinary users; the keeper's heap needs room.
    struct rlimit locked = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &locked) != 0 && getrlimit(RLIMIT_MEMLOCK, &locked) == 0) {
        locked.rlim_cur = locked.rlim_max;
        (void)setrlimit(RLIMIT_MEMLOCK, &locked);
    }
    if (start->channel_fd == CHILD_FD ? fcntl(CHILD_FD, F_SETFD, 0) != 0
                                      : dup2(start->channel_fd, CHILD_FD) < 0)
        _exit(126);
    // Descriptor 4 is the program, gone once it runs; everything above is closed.
    int program = dup3(start->program_fd, CHILD_FD + 1, O_CLOEXEC);
    if ((program < 0 && start->program_fd != CHILD_FD + 1) ||
        syscall(SYS_close_range, CHILD_FD + 2, ~0u, 0) != 0)
        _exit(126);
    if (start->changes_user && (setgroups((size_t)start->group_count, start->groups) != 0 ||
                                setresgid(start->gid, start->gid, start->gid) != 0 ||
                                setresuid(start->uid, start->uid, start->uid) != 0))
        _exit(126);
    // By descriptor: the new user need not be able to walk the path to it.
    syscall(SYS_execveat, CHILD_FD + 1, "", arguments, start->environment, AT_EMPTY_PATH);
    _exit(127);
}

vlt_result child_spawn(const struct child_start *start, struct fault *fault, pid_t *ret_pid) {
    pid_t pid = fork();
    if (pid < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "a process can not be started",
                         "%s can not be started: %s", start->name, strerror(errno));
    if (pid == 0)
        become(start);
    *ret_pid = pid;
    return vlt_ok();
}

// Beside vaultd (a build folder), below its prefix, or where it was configured to
// be installed.
vlt_result child_program_open(const char *name, struct fault *fault, int *ret_fd) {
    char self[512], path[640];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    self[size > 0 ? size : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, i == 0 ? "%s/%s" : "%s/../libexec/vaultd/%s", self, name);
        *ret_fd = open(path, O_PATH | O_CLOEXEC);
        if (*ret_fd >= 0)
            return vlt_ok();
    }
    snprintf(path, sizeof path, "%s/%s", VAULT_LIBEXEC_DIR, name);
    *ret_fd = open(path, O_PATH | O_CLOEXEC);
    if (*ret_fd >= 0)
        return vlt_ok();
    return fault_set(fault, VLT_NOT_FOUND, "a program is missing",
                     "%s is neither beside vaultd nor in %s; install all programs of one build",
                     name, VAULT_LIBEXEC_DIR);
}
