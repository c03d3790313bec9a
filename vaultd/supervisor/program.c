// SPDX-License-Identifier: Apache-2.0
// Driver programs of the rotator. The rotator itself can start nothing: it names
// one, and what runs under that name, with which arguments, is the
// configuration's. Its user is the rotator's; its environment and its descriptors
// are what is written here.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vaultd/log/log.h"
#include "vaultd/supervisor/supervisor.h"

#define ARGUMENTS_MAX 32
#define DEADLINE_SPARE_S 2 // the rotator's own limit comes first

// "NAME=/path argument …" as argv; the texts are in `line`.
static char **arguments_of(char *line, char *arguments[ARGUMENTS_MAX + 1]) {
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \t", &rest); word && count < ARGUMENTS_MAX;
         word = strtok_r(NULL, " \t", &rest))
        arguments[count++] = word;
    arguments[count] = NULL;
    return count ? arguments : NULL;
}

static const char *find(const struct config *config, struct bytes name) {
    for (unsigned i = 0; i < config->rotator.programs_count; i++) {
        const char *entry = config->rotator.programs[i];
        const char *equals = strchr(entry, '='); // config.c saw it
        if (bytes_equal(name, bytes_of(entry, (size_t)(equals - entry))))
            return equals + 1;
    }
    return NULL;
}

// Between fork and exec: only calls that are safe there. Never returns.
static void become(const struct child_start *start, char *const *arguments, int fd) {
    static char *const environment[] = {(char *)(uintptr_t)"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                        (char *)(uintptr_t)"LC_ALL=C.UTF-8", NULL};
    const struct rlimit no_core = {0, 0};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    setsid(); // its own session and process group: it is killed as a whole
    if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
        syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0) != 0 ||
        setrlimit(RLIMIT_CORE, &no_core) != 0)
        _exit(126);
    if (start->changes_user &&
        (setgroups((size_t)start->group_count, start->groups) != 0 ||
         setresgid(start->gid, start->gid, start->gid) != 0 ||
         setresuid(start->uid, start->uid, start->uid) != 0))
        _exit(126);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || chdir("/") != 0)
        _exit(126);
    execve(arguments[0], arguments, environment);
    _exit(127);
}

// With what it has started. One that was forked a moment ago may not be a group yet.
static void end(const struct running_program *program) {
    if (program->pid <= 0)
        return;
    kill(-program->pid, SIGKILL);
    kill(program->pid, SIGKILL);
}

static void on_deadline(evutil_socket_t fd, short what, void *context) {
    log_warning("a driver program takes too long and is ended");
    end(context);
}

static struct running_program *free_place(struct supervisor *supervisor) {
    for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++)
        if (supervisor->programs[i].pid == 0)
            return &supervisor->programs[i];
    return NULL;
}

static void start(struct supervisor *supervisor, struct running_program *place,
                  char *const *arguments, int fd) {
    struct child_start identity = {.program_fd = -1};
    struct fault fault = {0};
    const struct timeval limit = {supervisor->config->rotator.call_timeout_ms / 1000 +
                                      DEADLINE_SPARE_S, 0};
    if (!place->deadline)
        place->deadline = evtimer_new(supervisor->base, on_deadline, place);
    if (!roles_identity(supervisor->config, IPC_ROTATOR, &identity, &fault) || !place->deadline) {
        log_error("no driver program can be run: %s", fault.text);
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(&identity, arguments, fd);
    if (pid < 0) {
        log_error("%s can not be run: %s", arguments[0], strerror(errno));
        return;
    }
    place->pid = pid;
    log_debug("driver program %s runs as process %d", arguments[0], (int)pid);
    event_add(place->deadline, &limit);
}

void program_run(struct supervisor *supervisor, struct bytes name, int fd) {
    char *arguments[ARGUMENTS_MAX + 1];
    struct running_program *place = free_place(supervisor);
    const char *line = find(supervisor->config, name);
    char *copy = line ? strdup(line) : NULL;
    if (!line)
        log_warning("rotator.programs has no program %.*s", (int)name.size,
                    (const char *)name.at);
    // It waits for one at a time: what still runs it has given up, and may begin again.
    programs_end(supervisor);
    if (copy && place && supervisor->drain_phase < 0 && arguments_of(copy, arguments))
        start(supervisor, place, arguments, fd);
    // The end of the stream tells the rotator when nothing was started.
    close(fd);
    free(copy);
}

bool program_exited(struct supervisor *supervisor, pid_t pid, int status) {
    for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++) {
        struct running_program *program = &supervisor->programs[i];
        if (program->pid != pid)
            continue;
        kill(-pid, SIGKILL); // what it left behind
        log_debug("driver program, process %d, %s %d", (int)pid,
                  WIFSIGNALED(status) ? "was ended by signal" : "exited with status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        program->pid = 0;
        event_del(program->deadline);
        return true;
    }
    return false;
}

void programs_end(struct supervisor *supervisor) {
    for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++)
        end(&supervisor->programs[i]);
}

void programs_stop(struct supervisor *supervisor) {
    programs_end(supervisor);
    for (size_t i = 0; i < PROGRAMS_RUNNING_MAX; i++) {
        struct running_program *program = &supervisor->programs[i];
        if (program->deadline)
            event_free(program->deadline);
        *program = (struct running_program){.pid = 0};
    }
}
