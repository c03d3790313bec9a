// SPDX-License-Identifier: Apache-2.0
// Starts the roles, introduces them to each other, restarts the ones that die,
// reloads the configuration and drains. Parses nothing from the network.
#ifndef VLT_SUPERVISOR_SUPERVISOR_H
#define VLT_SUPERVISOR_SUPERVISOR_H

#include <event2/event.h>

#include "vaultd/ipc/channel.h"
#include "vaultd/supervisor/child.h"
#include "vaultd/supervisor/config.h"
#include "vaultd/supervisor/settings.h"
#include "vaultd/supervisor/topology.h"

struct child {
    struct supervisor *supervisor;
    const struct topology_role *row;
    unsigned number;
    pid_t pid; // 0: not running
    struct channel *channel;
    struct event *restart;
    int64_t started_ms;
    uint32_t delay_ms;        // before the next restart
    unsigned early_exits;     // in a row, before it was ready
    bool is_ready, was_ready; // now; ever
    bool is_asked;            // whether it is alive, and has not answered
    unsigned silent_looks;    // since then
};

#define PROGRAMS_RUNNING_MAX 4
struct running_program { // a driver of the rotator
    pid_t pid;           // 0: none
    struct event *deadline;
};
enum { LISTENER_COUNT = 5 };
struct listener {
    enum ipc_role role;
    const char *name; // "tls" or "unix"
    char address[256];
    int fd;           // -1: none
};

struct report;
struct reports { // events that no auditor has taken yet, oldest first
    struct report *first;
    size_t count;
};

struct supervisor {
    struct event_base *base;
    const char *config_path;
    struct config *config;
    struct settings_files files;
    struct child children[IPC_ROLE_COUNT][TOPOLOGY_WORKERS_MAX];
    struct running_program programs[PROGRAMS_RUNNING_MAX];
    struct listener listeners[LISTENER_COUNT];
    struct reports untold;
    struct event *signals[4], *drain_timer, *look_timer;
    char **role_environment, **keeper_environment;
    int drain_phase; // -1: not draining
    int exit_status;
    bool is_announced; // READY=1 was sent
};

// From SIGTERM on: broker, admin and redeemer finish first, then the keeper, the
// auditor last.
vlt_result supervisor_start(struct supervisor *supervisor, struct fault *fault) VLT_MUST_USE;
void supervisor_stop(struct supervisor *supervisor); // frees; children are gone by then

// roles.c
vlt_result roles_start(struct supervisor *supervisor, struct fault *fault) VLT_MUST_USE;
void roles_exited(struct supervisor *supervisor); // after SIGCHLD
void roles_drain(struct supervisor *supervisor);
void roles_kill(struct supervisor *supervisor);

bool roles_identity(const struct config *config, enum ipc_role role, struct child_start *start,
                    struct fault *fault);

// program.c: programs of rotator.programs, run for the rotator as its user. Takes
// the descriptor, which becomes standard input and output.
void program_run(struct supervisor *supervisor, struct bytes name, int fd);
// `status` as of waitpid. False: it is none.
bool program_exited(struct supervisor *supervisor, pid_t pid, int status);
// Kills what runs, when the rotator has ended: nobody hears the answer, and the next one
// takes the step up again.
void programs_end(struct supervisor *supervisor);
void programs_stop(struct supervisor *supervisor); // the same, and frees

// watch.c: replaces a role that hangs. From roles_start on; again after a reload.
vlt_result watch_start(struct supervisor *supervisor) VLT_MUST_USE;
void watch_reload(struct supervisor *supervisor);

// report.c: has an event recorded, now or by the next auditor. `operation` is static.
void report_event(struct supervisor *supervisor, const char *operation, const char *about,
                  bool is_error);
void report_untold(struct supervisor *supervisor); // there is an auditor again
void report_end(struct supervisor *supervisor);    // what nobody took is in the log file only

// listeners.c
vlt_result listeners_open(struct supervisor *supervisor, struct fault *fault) VLT_MUST_USE;
void listeners_tell(struct supervisor *supervisor, const struct child *child);
// After a reload: binds what changed; what can not be bound stays as it was.
void listeners_reload(struct supervisor *supervisor);
void listeners_close(struct supervisor *supervisor);

#endif
