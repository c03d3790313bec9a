// SPDX-License-Identifier: Apache-2.0
// A role that is stopped or spins keeps its sockets and serves nobody. Each is asked
// whether it lives, LOOKS times within hang_s; one that never answers is killed and so
// replaced.
//
// Looks are counted and not seconds: after a suspended machine, or when it was the
// supervisor that did not get to run, there was one look and not many. Left alone is a
// role that a new process would not help, or that somebody wants to look at: one that
// waits for a disk, one that is being traced, one that has not begun to serve. The
// keeper's devices have threads of their own and do not stop its loop.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vaultd/log/log.h"
#include "vaultd/supervisor/supervisor.h"

#define LOOKS 6
#define LOOKS_WARN 3

// ---- Why one is left alone ----

static bool read_text(int folder, const char *path, char *text, size_t capacity) {
    int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, capacity - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = 0;
    return size > 0;
}

static bool is_traced(pid_t pid) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    const char *line = read_text(AT_FDCWD, path, text, sizeof text) ? strstr(text, "TracerPid:")
                                                                    : NULL;
    return line && strtol(line + strlen("TracerPid:"), NULL, 10) != 0;
}

// State D: in the kernel, where not even a signal reaches it.
static bool waits_for_disk(pid_t pid) {
    char path[64], text[512];
    bool waits = false;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    for (struct dirent *thread; threads && !waits && (thread = readdir(threads));) {
        snprintf(path, sizeof path, "%.32s/stat", thread->d_name);
        const char *name_end = thread->d_name[0] != '.' &&
                                       read_text(dirfd(threads), path, text, sizeof text)
                                   ? strrchr(text, ')')
                                   : NULL;
        waits = name_end && strncmp(name_end, ") D", 3) == 0;
    }
    if (threads)
        closedir(threads);
    return waits;
}

static const char *excuse_of(pid_t pid) {
    return is_traced(pid) ? "it is being traced" : waits_for_disk(pid) ? "it waits for a disk"
                                                                       : NULL;
}

// ---- Looking ----

static uint32_t silence_s(const struct child *child) {
    return child->supervisor->config->hang_s * child->silent_looks / LOOKS;
}

static void on_alive(vlt_result result, const struct answer_alive *answer, void *context) {
    struct child *child = context;
    if (vlt_is_ok(result) && child->silent_looks >= LOOKS_WARN)
        log_notice("%s %u answers again", ipc_role_name(child->row->role), child->number);
    child->is_asked = false;
    child->silent_looks = 0;
}

static void replace(struct child *child) {
    char about[160];
    snprintf(about, sizeof about, "%s %u has not answered for %u s",
             ipc_role_name(child->row->role), child->number, silence_s(child));
    log_error("%s: it is replaced", about);
    report_event(child->supervisor, "role.hang", about, true);
    kill(child->pid, SIGKILL);
}

static void look_at(struct child *child) {
    if (child->pid <= 0 || !child->channel || !child->is_ready)
        return;
    if (!child->is_asked) {
        const struct ask_alive ask = {0};
        child->is_asked = true; // before: an ask that fails is answered at once
        ask_alive(child->channel, &ask, on_alive, child);
        return;
    }
    child->silent_looks++;
    const char *excuse = child->silent_looks >= LOOKS ? excuse_of(child->pid) : NULL;
    if (child->silent_looks >= LOOKS && !excuse)
        replace(child);
    else if (child->silent_looks == LOOKS_WARN || child->silent_looks == LOOKS)
        log_warning("%s %u has not answered for %u s%s%s", ipc_role_name(child->row->role),
                    child->number, silence_s(child), excuse ? " and is left alone: " : "",
                    excuse ? excuse : "");
}

static void on_look(evutil_socket_t fd, short what, void *context) {
    struct supervisor *supervisor = context;
    if (supervisor->drain_phase >= 0)
        return; // has a limit of its own
    for (size_t i = 0; i < topology_role_count; i++)
        for (unsigned n = 0; n < TOPOLOGY_WORKERS_MAX; n++)
            look_at(&supervisor->children[topology_roles[i].role][n]);
}

static int look_in(struct supervisor *supervisor) {
    const uint32_t ms = supervisor->config->hang_s * 1000 / LOOKS;
    const struct timeval every = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    return event_add(supervisor->look_timer, &every);
}

vlt_result watch_start(struct supervisor *supervisor) {
    supervisor->look_timer = event_new(supervisor->base, -1, EV_PERSIST, on_look, supervisor);
    return supervisor->look_timer && look_in(supervisor) == 0
               ? vlt_ok()
               : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

void watch_reload(struct supervisor *supervisor) { (void)look_in(supervisor); }
