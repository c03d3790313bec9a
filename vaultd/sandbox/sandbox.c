// SPDX-License-Identifier: Apache-2.0
#include "vaultd/sandbox/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

vlt_result sandbox_begin(struct fault *fault) {
    const struct rlimit no_core = {0, 0};
    umask(077);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        setrlimit(RLIMIT_CORE, &no_core) != 0)
        return fault_set(fault, VLT_UNAVAILABLE, "the process can not be locked up",
                         "the process can not be locked up: %s", strerror(errno));
    return vlt_ok();
}

#if defined(VAULT_SANITIZED)

vlt_result sandbox_enter(enum ipc_role role, struct fault *fault) {
    (void)role;
    (void)fault;
    return vlt_ok();
}

vlt_result sandbox_enter_witness(struct fault *fault) {
    (void)fault;
    return vlt_ok();
}

vlt_result sandbox_enter_supervisor(bool runs_programs, struct fault *fault) {
    (void)runs_programs;
    (void)fault;
    return vlt_ok();
}

#else

// What every event loop, allocator and thread needs.
static const int common_calls[] = {
    SCMP_SYS(read),          SCMP_SYS(write),           SCMP_SYS(readv),
    SCMP_SYS(writev),        SCMP_SYS(pread64),         SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),       SCMP_SYS(sendmmsg),        SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),        SCMP_SYS(close),           SCMP_SYS(shutdown),
    SCMP_SYS(accept4),       SCMP_SYS(getsockopt),      SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),   SCMP_SYS(getpeername),     SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),   SCMP_SYS(epoll_pwait2),    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_create1), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_create),
    SCMP_SYS(eventfd2),      SCMP_SYS(pipe2),           SCMP_SYS(poll),
    SCMP_SYS(ppoll),         SCMP_SYS(fcntl),           SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),    SCMP_SYS(lseek),           SCMP_SYS(ioctl),
    SCMP_SYS(mmap),          SCMP_SYS(munmap),          SCMP_SYS(mprotect),
    SCMP_SYS(mremap),        SCMP_SYS(madvise),         SCMP_SYS(brk),
    SCMP_SYS(futex),         SCMP_SYS(sched_yield),     SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),  SCMP_SYS(getpid),          SCMP_SYS(gettid),
    SCMP_SYS(getuid),        SCMP_SYS(geteuid),         SCMP_SYS(getgid),
    SCMP_SYS(getegid),       SCMP_SYS(rt_sigaction),    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(sigaltstack),     SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),          SCMP_SYS(exit_group),      SCMP_SYS(sysinfo),
    SCMP_SYS(uname),         SCMP_SYS(membarrier),      SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),          SCMP_SYS(prlimit64),       SCMP_SYS(sched_getaffinity),
};
// Reading files: the store is opened again when it is replaced; a resolver and a
// TLS library read their configuration.
static const int file_calls[] = {
    SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(fadvise64), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(flock),
};
// A thread of our own process, never another process: see the clone rule below.
static const int thread_calls[] = {
    SCMP_SYS(set_tid_address), SCMP_SYS(prctl), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_setscheduler),
};
// The shipper writes how far receivers have got, and a file that others follow; a
// witness writes what it cosigned last. Both remove what a crash left under the name that
// they write it by.
static const int shipper_calls[] = {
    SCMP_SYS(fsync),    SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(mkdirat),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(fchmod),    SCMP_SYS(fchmodat),
    SCMP_SYS(unlinkat),
};
// The broker and the admin role fetch key sets, the rotator calls providers; the keeper's device
// may be behind a socket (swtpm, tabrmd, a network HSM).
static const int connect_calls[] = {
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(socketpair),
    SCMP_SYS(recvmmsg), SCMP_SYS(select), SCMP_SYS(pselect6),
};
// The keeper writes the store; a software device keeps its objects in files.
static const int keeper_calls[] = {
    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(msync),
    SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(chmod),
    SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(fchown), SCMP_SYS(mlock), SCMP_SYS(munlock),
    SCMP_SYS(getcwd), SCMP_SYS(umask), SCMP_SYS(getppid), SCMP_SYS(semget), SCMP_SYS(semctl),
    SCMP_SYS(semop), SCMP_SYS(sync_file_range), SCMP_SYS(getresuid), SCMP_SYS(getresgid),
};
static const int auditor_calls[] = {
    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(mkdirat), SCMP_SYS(mkdir), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat), SCMP_SYS(syncfs),
};

// The supervisor starts the roles and watches over them.
static const int supervisor_calls[] = {
    SCMP_SYS(fork),        SCMP_SYS(vfork),       SCMP_SYS(execve),       SCMP_SYS(execveat),
    SCMP_SYS(wait4),       SCMP_SYS(waitid),      SCMP_SYS(kill),         SCMP_SYS(tgkill),
    SCMP_SYS(setsid),      SCMP_SYS(setgroups),   SCMP_SYS(setresuid),    SCMP_SYS(setresgid),
    SCMP_SYS(close_range), SCMP_SYS(setrlimit),   SCMP_SYS(getrlimit),    SCMP_SYS(chdir),
    SCMP_SYS(listen),      SCMP_SYS(chown),       SCMP_SYS(fchownat),     SCMP_SYS(getgroups),
    SCMP_SYS(rmdir),
};
// What a program does before it is a role with a filter of its own: the loader, the
// memory that the kernel hides, the filter itself, and the modules of devices, which
// are opened then.
static const int starting_calls[] = {
    SCMP_SYS(arch_prctl),   SCMP_SYS(seccomp),        SCMP_SYS(memfd_secret),
    SCMP_SYS(memfd_create), SCMP_SYS(mlock2),         SCMP_SYS(mlockall),
    SCMP_SYS(munlockall),   SCMP_SYS(epoll_create),   SCMP_SYS(eventfd),
    SCMP_SYS(pipe),         SCMP_SYS(mincore),        SCMP_SYS(getpgrp),
    SCMP_SYS(getpgid),      SCMP_SYS(getsid),         SCMP_SYS(time),
    SCMP_SYS(times),        SCMP_SYS(getrusage),      SCMP_SYS(getcpu),
    SCMP_SYS(clock_getres), SCMP_SYS(sched_getattr),  SCMP_SYS(sched_setaffinity),
    SCMP_SYS(shmget),       SCMP_SYS(shmat),          SCMP_SYS(shmdt),
    SCMP_SYS(shmctl),       SCMP_SYS(semtimedop),     SCMP_SYS(inotify_init1),
    SCMP_SYS(accept),       SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
    SCMP_SYS(link),         SCMP_SYS(creat),
};
// What else an ordinary program does, one that an administrator wrote as a driver for
// the rotator. Not here: whatever changes the machine, looks into other processes, or
// opens a large part of the kernel (mounts, name spaces, modules, keys, bpf, io_uring).
static const int program_calls[] = {
    SCMP_SYS(alarm),           SCMP_SYS(capget),          SCMP_SYS(capset),
    SCMP_SYS(copy_file_range), SCMP_SYS(faccessat),       SCMP_SYS(fchdir),
    SCMP_SYS(fgetxattr),       SCMP_SYS(flistxattr),      SCMP_SYS(fsetxattr),
    SCMP_SYS(futimesat),       SCMP_SYS(getdents),        SCMP_SYS(getitimer),
    SCMP_SYS(getpriority),     SCMP_SYS(getxattr),        SCMP_SYS(inotify_init),
    SCMP_SYS(ioprio_get),      SCMP_SYS(ioprio_set),      SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_restrict_self), SCMP_SYS(lchown),
    SCMP_SYS(lgetxattr),       SCMP_SYS(linkat),          SCMP_SYS(listxattr),
    SCMP_SYS(llistxattr),      SCMP_SYS(mknod),           SCMP_SYS(mknodat),
    SCMP_SYS(openat2),         SCMP_SYS(pause),           SCMP_SYS(personality),
    SCMP_SYS(pidfd_open),      SCMP_SYS(pidfd_send_signal), SCMP_SYS(preadv),
    SCMP_SYS(preadv2),         SCMP_SYS(pwritev2),        SCMP_SYS(readahead),
    SCMP_SYS(rt_sigpending),   SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(sched_get_priority_min), SCMP_SYS(sched_setattr), SCMP_SYS(sched_setparam),
    SCMP_SYS(sendfile),        SCMP_SYS(setfsgid),        SCMP_SYS(setfsuid),
    SCMP_SYS(setgid),          SCMP_SYS(setitimer),       SCMP_SYS(setpgid),
    SCMP_SYS(setpriority),     SCMP_SYS(setregid),        SCMP_SYS(setreuid),
    SCMP_SYS(setuid),          SCMP_SYS(setxattr),        SCMP_SYS(signalfd),
    SCMP_SYS(signalfd4),       SCMP_SYS(splice),          SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),       SCMP_SYS(sync),            SCMP_SYS(tee),
    SCMP_SYS(timer_create),    SCMP_SYS(timer_delete),    SCMP_SYS(timer_getoverrun),
    SCMP_SYS(timer_gettime),   SCMP_SYS(timer_settime),   SCMP_SYS(timerfd_gettime),
    SCMP_SYS(tkill),           SCMP_SYS(truncate),        SCMP_SYS(utime),
    SCMP_SYS(utimensat),       SCMP_SYS(utimes),
};

#define ALLOW(filter, calls) allow(filter, calls, sizeof calls / sizeof *(calls))
static int allow(scmp_filter_ctx filter, const int *calls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        // A negative number is a call that this machine does not have.
        int failed = calls[i] < 0 ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (failed && failed != -EEXIST)
            return failed;
    }
    return 0;
}

#define CLONE_THREAD_FLAG 0x00010000u
static int allow_threads(scmp_filter_ctx filter) {
    int failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD_FLAG,
                                          CLONE_THREAD_FLAG));
    // The flags of clone3 are behind a pointer that a filter can not read: make
    // the C library fall back to clone.
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    // GLib, which comes with the TCTI of tabrmd, asks for the priority of its threads
    // and does without when there is no such call.
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(sched_getattr), 0);
    return failed;
}

// abort and pthread_kill; roles may run as one user, and none may end another.
static int allow_own_signals(scmp_filter_ctx filter) {
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

static bool has_threads(enum ipc_role role) {
    return role != IPC_REDEEMER; // the auditor has one that publishes
}

static bool connects(enum ipc_role role) { return has_threads(role) && role != IPC_AUDITOR; }

// The tables of a role: with its rules about arguments they are its filter, without
// them its part of the supervisor's.
static int allow_tables(scmp_filter_ctx filter, enum ipc_role role) {
    int failed = ALLOW(filter, common_calls);
    if (!failed)
        failed = ALLOW(filter, file_calls);
    if (!failed && role == IPC_AUDITOR)
        failed = ALLOW(filter, auditor_calls);
    if (!failed && role == IPC_KEEPER)
        failed = ALLOW(filter, keeper_calls);
    if (!failed && role == IPC_SHIPPER)
        failed = ALLOW(filter, shipper_calls);
    if (!failed && has_threads(role))
        failed = ALLOW(filter, thread_calls);
    if (!failed && connects(role))
        failed = ALLOW(filter, connect_calls);
    return failed;
}

static int allow_role(scmp_filter_ctx filter, enum ipc_role role) {
    int failed = allow_tables(filter, role);
    if (!failed)
        failed = allow_own_signals(filter);
    if (!failed && has_threads(role))
        failed = allow_threads(filter);
    return failed;
}

// A filter is inherited and every later one only narrows it: what a role may do, the
// one that starts it must be allowed to do. So its list is made of theirs.
static int allow_supervisor(scmp_filter_ctx filter, bool runs_programs) {
    const scmp_datum_t new_name_spaces = 0x7e020000u; // CLONE_NEW*; clone3 is not there
    int failed = ALLOW(filter, supervisor_calls);
    for (int role = IPC_SUPERVISOR + 1; !failed && role < IPC_ROLE_COUNT; role++)
        failed = allow_tables(filter, (enum ipc_role)role);
    if (!failed)
        failed = ALLOW(filter, starting_calls);
    if (!failed && runs_programs)
        failed = ALLOW(filter, program_calls);
    if (!failed)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, new_name_spaces, 0));
    return failed;
}

static vlt_result load(scmp_filter_ctx filter, int failed, const char *who, struct fault *fault) {
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    if (failed)
        return fault_set(fault, VLT_UNAVAILABLE, "the system-call filter can not be loaded",
                         "the system-call filter of the %s can not be loaded: %s", who,
                         strerror(-failed));
    return vlt_ok();
}

vlt_result sandbox_enter(enum ipc_role role, struct fault *fault) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    return load(filter, filter ? allow_role(filter, role) : -ENOMEM, ipc_role_name(role), fault);
}

vlt_result sandbox_enter_supervisor(bool runs_programs, struct fault *fault) {
    // Not killed: the end of the supervisor is the end of every role, and a driver
    // program that asks for more finds it missing, as on an older kernel.
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    return load(filter, filter ? allow_supervisor(filter, runs_programs) : -ENOMEM, "supervisor",
                fault);
}

vlt_result sandbox_enter_witness(struct fault *fault) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int failed = filter ? ALLOW(filter, common_calls) : -ENOMEM;
    if (!failed)
        failed = allow_own_signals(filter);
    if (!failed)
        failed = ALLOW(filter, file_calls);
    if (!failed)
        failed = ALLOW(filter, shipper_calls);
    return load(filter, failed, "witness", fault);
}

#endif
