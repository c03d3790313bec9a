// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "vaultd/log/log.h"
#include "vaultd/supervisor/child.h"
#include "vaultd/supervisor/notify.h"
#include "vaultd/supervisor/supervisor.h"

#define DELAY_FIRST_MS 50
#define DELAY_MAX_MS 5000
#define STEADY_MS 10000 // a child that lived this long starts with a short delay again
#define EARLY_EXITS_MAX 5

static int drain_phase_of(enum ipc_role role) {
    return role == IPC_KEEPER ? 1 : role == IPC_AUDITOR ? 2 : 0;
}

typedef void each_child_fn(struct supervisor *supervisor, struct child *child);
static void each_child(struct supervisor *supervisor, each_child_fn *each) {
    for (size_t i = 0; i < topology_role_count; i++)
        for (unsigned n = 0; n < topology_workers(supervisor->config, topology_roles[i].role); n++)
            each(supervisor, &supervisor->children[topology_roles[i].role][n]);
}

// ---- Introductions ----

static void introduce(struct child *one, struct child *other) {
    int ends[2];
    if (!one->channel || !other->channel || one == other)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        log_error("no channel between %s and %s: %s", one->row->program, other->row->program,
                  strerror(errno));
        return;
    }
    struct tell_peer to_one = {.role = (uint8_t)other->row->role, .number = other->number};
    struct tell_peer to_other = {.role = (uint8_t)one->row->role, .number = one->number};
    tell_peer(one->channel, &to_one, ends[0]);
    tell_peer(other->channel, &to_other, ends[1]);
}

static void introduce_to_peers(struct supervisor *supervisor, struct child *child) {
    for (size_t i = 0; i < topology_pair_count; i++) {
        const struct topology_pair *pair = &topology_pairs[i];
        if (pair->one != child->row->role && pair->other != child->row->role)
            continue;
        enum ipc_role peer = pair->one == child->row->role ? pair->other : pair->one;
        for (unsigned n = 0; n < TOPOLOGY_WORKERS_MAX; n++)
            introduce(child, &supervisor->children[peer][n]);
    }
}

// ---- Start ----

// The keeper and the auditor are believed, and only about those who face the
// outside: a compromised broker must not have the keeper restarted.
static void replace_offender(struct child *accuser, struct bytes frame) {
    struct tell_offender tell;
    if (!vlt_is_ok(tell_offender_decode(frame, &tell)) || tell.role >= IPC_ROLE_COUNT ||
        tell.number >= TOPOLOGY_WORKERS_MAX)
        return;
    bool is_believed = (accuser->row->role == IPC_KEEPER || accuser->row->role == IPC_AUDITOR) &&
                       tell.role != IPC_KEEPER && tell.role != IPC_AUDITOR;
    if (!is_believed)
        return;
    struct child *offender = &accuser->supervisor->children[tell.role][tell.number];
    char about[320];
    snprintf(about, sizeof about, "%s %u is replaced: the %s says it sent %.*s",
             ipc_role_name((enum ipc_role)tell.role), tell.number,
             ipc_role_name(accuser->row->role), (int)tell.why.size, (const char *)tell.why.at);
    log_warning("%s", about);
    report_event(accuser->supervisor, "role.offender", about, true);
    if (offender->pid > 0)
        kill(offender->pid, SIGKILL);
}

static void on_told(struct channel *channel, unsigned message, struct bytes frame, int descriptor,
                    void *context) {
    struct child *child = context;
    struct tell_ready tell;
    struct tell_run_program run;
    if (message == IPC_TELL_run_program && descriptor >= 0 &&
        vlt_is_ok(tell_run_program_decode(frame, &run))) {
        program_run(child->supervisor, run.name, descriptor);
        return;
    }
    if (descriptor >= 0)
        close(descriptor);
    if (message == IPC_TELL_offender)
        replace_offender(child, frame);
    if (message != IPC_TELL_ready || !vlt_is_ok(tell_ready_decode(frame, &tell)))
        return;
    child->is_ready = child->was_ready = true;
    if (child->row->role == IPC_AUDITOR)
        report_untold(child->supervisor);
    child->early_exits = 0;
    log_info("%s %u: %.*s", ipc_role_name(child->row->role), child->number, (int)tell.note.size,
             (const char *)tell.note.at);
    notify_when_ready(child->supervisor);
}

static void on_channel_closed(struct channel *channel, const char *why, void *context) {
    struct child *child = context;
    channel_free(child->channel);
    child->channel = NULL;
    // A child without its channel is lost to us, whether it knows or not. One that was
    // asked to end does so, and logs out of its device first; the drain has a limit.
    if (child->pid > 0 && child->supervisor->drain_phase < 0)
        kill(child->pid, SIGKILL);
}

static const struct channel_events child_events = {.told = on_told, .closed = on_channel_closed};

static vlt_result find_identity(const struct config *config, enum ipc_role role,
                                struct child_start *start, struct fault *fault) {
    const char *name = topology_user(config, role);
    if (!name[0])
        return vlt_ok();
    const struct passwd *user = getpwnam(name);
    const struct group *group = getgrnam(config->users.group);
    if (!user || !group)
        return fault_set(fault, VLT_NOT_FOUND, "an unknown user",
                         "users: there is no %s %s; run deploy/create-users or correct vaultd.conf",
                         user ? "group" : "user", user ? config->users.group : name);
    if (getuid() != 0)
        return fault_set(
            fault, VLT_DENIED, "only root can change users",
            "users are configured, but only root can change users; start vaultd as root");
    start->changes_user = true;
    start->uid = user->pw_uid;
    start->gid = group->gr_gid;
    start->group_count = CHILD_GROUPS_MAX;
    if (getgrouplist(name, start->gid, start->groups, &start->group_count) < 0)
        return fault_set(fault, VLT_LIMIT, "too many groups", "user %s is in more than %d groups",
                         name, CHILD_GROUPS_MAX);
    return vlt_ok();
}

bool roles_identity(const struct config *config, enum ipc_role role, struct child_start *start,
                    struct fault *fault) {
    return vlt_is_ok(find_identity(config, role, start, fault));
}

static vlt_result spawn(struct supervisor *supervisor, struct child *child, int channel_fd,
                        struct fault *fault) {
    bool is_keeper = child->row->role == IPC_KEEPER;
    struct child_start start = {
        .program_fd = -1,
        .name = child->row->program,
        .environment = is_keeper ? supervisor->keeper_environment : supervisor->role_environment,
        .channel_fd = channel_fd};
    VLT_TRY(find_identity(supervisor->config, child->row->role, &start, fault));
    VLT_TRY(child_program_open(child->row->program, fault, &start.program_fd));
    vlt_result result = child_spawn(&start, fault, &child->pid);
    close(start.program_fd);
    return result;
}

static vlt_result start_child(struct supervisor *supervisor, struct child *child,
                              struct fault *fault) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return fault_set(fault, VLT_UNAVAILABLE, "no channel", "no channel to %s: %s",
                         child->row->program, strerror(errno));
    vlt_result result = spawn(supervisor, child, ends[1], fault);
    close(ends[1]);
    if (!vlt_is_ok(result)) {
        close(ends[0]);
        return result;
    }
    child->started_ms = clock_elapsed_ms();
    child->is_ready = false;
    child->channel = channel_new(supervisor->base, ends[0], IPC_SUPERVISOR, child->row->role,
                                 &child_events, child);
    if (!child->channel)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    settings_tell(child->channel, child->row->role, supervisor->config, &supervisor->files);
    listeners_tell(supervisor, child);
    introduce_to_peers(supervisor, child);
    return vlt_ok();
}

static void give_up(struct supervisor *supervisor) {
    supervisor->exit_status = EXIT_FAILURE;
    roles_drain(supervisor);
}

static void on_restart(evutil_socket_t fd, short what, void *context) {
    struct child *child = context;
    struct fault fault = {0};
    if (child->supervisor->drain_phase >= 0 || child->pid > 0)
        return;
    vlt_result result = start_child(child->supervisor, child, &fault);
    if (vlt_is_ok(result))
        return;
    log_error("%s", fault_or_reason(&fault, result));
    give_up(child->supervisor);
}

vlt_result roles_start(struct supervisor *supervisor, struct fault *fault) {
    for (size_t i = 0; i < topology_role_count; i++) {
        for (unsigned n = 0; n < topology_workers(supervisor->config, topology_roles[i].role);
             n++) {
            struct child *child = &supervisor->children[topology_roles[i].role][n];
            *child = (struct child){.supervisor = supervisor,
                                    .row = &topology_roles[i],
                                    .number = n,
                                    .delay_ms = DELAY_FIRST_MS};
            child->restart = event_new(supervisor->base, -1, 0, on_restart, child);
            if (!child->restart)
                return vlt_fail(VLT_UNAVAILABLE, "out of memory");
            VLT_TRY(start_child(supervisor, child, fault));
        }
    }
    return vlt_ok();
}

// ---- Exit ----

static void drain_child(struct supervisor *supervisor, struct child *child) {
    struct tell_drain tell = {.within_ms = supervisor->config->drain_ms};
    if (child->pid > 0 && drain_phase_of(child->row->role) == supervisor->drain_phase)
        tell_drain(child->channel, &tell, -1);
}

static bool phase_is_over(struct supervisor *supervisor) {
    for (size_t i = 0; i < topology_role_count; i++)
        for (unsigned n = 0; n < TOPOLOGY_WORKERS_MAX; n++)
            if (drain_phase_of(topology_roles[i].role) == supervisor->drain_phase &&
                supervisor->children[topology_roles[i].role][n].pid > 0)
                return false;
    return true;
}

static void drain_on(struct supervisor *supervisor) {
    while (supervisor->drain_phase <= 2 && phase_is_over(supervisor)) {
        supervisor->drain_phase++;
        each_child(supervisor, drain_child);
    }
    if (supervisor->drain_phase > 2)
        event_base_loopbreak(supervisor->base);
}

void roles_drain(struct supervisor *supervisor) {
    if (supervisor->drain_phase >= 0)
        return;
    supervisor->drain_phase = 0;
    const struct timeval limit = {supervisor->config->drain_ms / 1000 + 2, 0};
    evtimer_add(supervisor->drain_timer, &limit);
    each_child(supervisor, drain_child);
    drain_on(supervisor);
}

static void kill_child(struct supervisor *supervisor, struct child *child) {
    if (child->pid > 0)
        kill(child->pid, SIGKILL);
}
void roles_kill(struct supervisor *supervisor) { each_child(supervisor, kill_child); }

static void describe_exit(const struct child *child, int status, char *text, size_t capacity) {
    const char *role = ipc_role_name(child->row->role);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        snprintf(text, capacity, "%s %u was stopped by its system-call filter", role,
                 child->number);
    else if (WIFSIGNALED(status))
        snprintf(text, capacity, "%s %u was ended by signal %d (%s%s)", role, child->number,
                 WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WTERMSIG(status) == SIGBUS ? ": the store is cut short, or its disk fails; "
                                              "`vaultctl restore` puts a backup in its place"
                                            : "");
    else
        snprintf(text, capacity, "%s %u exited with status %d", role, child->number,
                 WEXITSTATUS(status));
}

static void plan_restart(struct supervisor *supervisor, struct child *child, const char *text) {
    if (clock_elapsed_ms() - child->started_ms > STEADY_MS)
        child->delay_ms = DELAY_FIRST_MS;
    if (!child->was_ready && ++child->early_exits >= EARLY_EXITS_MAX) {
        log_error("%s %u times before it was ready; giving up", text, child->early_exits);
        give_up(supervisor);
        return;
    }
    const struct timeval delay = {child->delay_ms / 1000, child->delay_ms % 1000 * 1000};
    log_warning("%s; starting it again in %u ms", text, child->delay_ms);
    report_event(supervisor, "role.restart", text, true);
    child->delay_ms = child->delay_ms * 2 > DELAY_MAX_MS ? DELAY_MAX_MS : child->delay_ms * 2;
    evtimer_add(child->restart, &delay);
}

static void child_exited(struct supervisor *supervisor, struct child *child, int status) {
    char text[160];
    describe_exit(child, status, text, sizeof text);
    child->pid = 0;
    child->is_ready = false;
    channel_free(child->channel); // with it goes what it asked for and nobody has read
    child->channel = NULL;
    if (child->row->role == IPC_ROTATOR)
        programs_end(supervisor);
    if (supervisor->drain_phase < 0)
        plan_restart(supervisor, child, text);
    else
        drain_on(supervisor);
}

void roles_exited(struct supervisor *supervisor) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = program_exited(supervisor, pid, status) ? topology_role_count : 0;
             i < topology_role_count; i++)
            for (unsigned n = 0; n < TOPOLOGY_WORKERS_MAX; n++) {
                struct child *child = &supervisor->children[topology_roles[i].role][n];
                if (child->pid == pid)
                    child_exited(supervisor, child, status);
            }
}
