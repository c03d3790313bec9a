// SPDX-License-Identifier: Apache-2.0
#include "vaultd/role/role.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libvault/secret/secret.h"
#include "vaultd/log/log.h"
#include "vaultd/sandbox/sandbox.h"

#define SUPERVISOR_FD 3
#define PEERS_EACH_ROLE 16
#define AUDITOR_PATIENCE_S 10 // it syncs a disk; callers of the vault have about that patience
#define HEAP_LEAST_BYTES (4u << 20)
#define HEAP_SPARE_BYTES (512u << 10) // of the limit, for what else is locked

struct role {
    const struct role_hooks *hooks;
    void *context;
    struct event_base *base;
    struct channel *supervisor;
    struct channel *peers[IPC_ROLE_COUNT][PEERS_EACH_ROLE];
    bool has_settings, is_finished;
    int exit_status;
};

// channel_events hand back one pointer: the role. `asked` wants its own context,
// and there is one role in a process.
static struct role only;

struct event_base *role_base(const struct role *role) { return role->base; }
void *role_context(const struct role *role) { return role->context; }

void role_ready(struct role *role, const char *note) {
    struct tell_ready ready = {.note = bytes_of_text(note)};
    tell_ready(role->supervisor, &ready, -1);
}

void role_run_program(struct role *role, const char *name, int fd) {
    struct tell_run_program tell = {.name = bytes_of_text(name)};
    tell_run_program(role->supervisor, &tell, fd);
}

void role_finish(struct role *role, int exit_status) {
    role->exit_status = exit_status;
    role->is_finished = true;
    event_base_loopbreak(role->base);
}

// ---- Peers ----

static void report_offender(struct role *role, enum ipc_role peer, unsigned number,
                            const char *why) {
    struct tell_offender tell = {
        .role = (uint8_t)peer, .number = number, .why = bytes_of_text(why)};
    log_error("%s %u is cut off: %s", ipc_role_name(peer), number, why);
    tell_offender(role->supervisor, &tell, -1);
}

static void peer_closed(struct channel *channel, const char *why, void *context) {
    struct role *role = &only;
    enum ipc_role peer = channel_peer(channel);
    for (unsigned number = 0; number < PEERS_EACH_ROLE; number++) {
        if (role->peers[peer][number] != channel)
            continue;
        role->peers[peer][number] = NULL;
        if (why != CHANNEL_PEER_GONE)
            report_offender(role, peer, number, why);
        if (role->hooks->peer_gone)
            role->hooks->peer_gone(role, peer, number);
        channel_free(channel);
    }
}

static void peer_told(struct channel *channel, unsigned message, struct bytes frame, int descriptor,
                      void *context) {
    if (descriptor >= 0)
        close(descriptor); // peers pass no descriptors
    if (only.hooks->told)
        only.hooks->told(&only, channel_peer(channel), message, frame);
}

static struct channel_events peer_events = {.told = peer_told, .closed = peer_closed};

static void peer_joins(struct role *role, struct bytes frame, int descriptor) {
    struct tell_peer tell;
    if (descriptor < 0 || !vlt_is_ok(tell_peer_decode(frame, &tell)) ||
        tell.role >= IPC_ROLE_COUNT || tell.number >= PEERS_EACH_ROLE) {
        log_error("the supervisor announced a peer that can not be");
        if (descriptor >= 0)
            close(descriptor);
        return;
    }
    struct channel **slot = &role->peers[tell.role][tell.number];
    if (*slot) {
        struct channel *old = *slot;
        *slot = NULL;
        if (role->hooks->peer_gone)
            role->hooks->peer_gone(role, (enum ipc_role)tell.role, tell.number);
        channel_free(old);
    }
    *slot = channel_new(role->base, descriptor, role->hooks->self, (enum ipc_role)tell.role,
                        &peer_events, role->context);
    if (!*slot) {
        log_error("no memory for the channel to %s", ipc_role_name((enum ipc_role)tell.role));
        return;
    }
    if (tell.role == IPC_AUDITOR &&
        !vlt_is_ok(channel_set_patience(*slot, role->base, AUDITOR_PATIENCE_S)))
        log_error("no memory for a limit on calls to the auditor");
    if (role->hooks->peer)
        role->hooks->peer(role, (enum ipc_role)tell.role, tell.number, *slot);
}

// ---- The supervisor ----

static unsigned settings_message(enum ipc_role self) {
    static const unsigned messages[IPC_ROLE_COUNT] = {
        [IPC_BROKER] = IPC_TELL_settings_broker,     [IPC_ADMIN] = IPC_TELL_settings_admin,
        [IPC_REDEEMER] = IPC_TELL_settings_redeemer, [IPC_KEEPER] = IPC_TELL_settings_keeper,
        [IPC_AUDITOR] = IPC_TELL_settings_auditor,   [IPC_SHIPPER] = IPC_TELL_settings_shipper,
        [IPC_ROTATOR] = IPC_TELL_settings_rotator,
    };
    return messages[self];
}

static void settings_arrive(struct role *role, struct bytes frame) {
    struct fault fault = {0};
    bool is_first = !role->has_settings;
    vlt_result result = role->hooks->settings(role, frame, is_first, &fault);
    if (vlt_is_ok(result) && is_first) {
        role->has_settings = true;
        result = sandbox_enter(role->hooks->self, &fault);
    }
    if (vlt_is_ok(result))
        return;
    log_error("%s: %s", is_first ? "can not start" : "the new settings are not used",
              fault_or_reason(&fault, result));
    if (is_first)
        role_finish(role, EXIT_FAILURE);
}

static void listener_arrives(struct role *role, struct bytes frame, int descriptor) {
    struct tell_listener tell;
    if (descriptor >= 0 && role->hooks->listener && vlt_is_ok(tell_listener_decode(frame, &tell)))
        role->hooks->listener(role, tell.name, descriptor);
    else if (descriptor >= 0)
        close(descriptor);
}

static void drain_begins(struct role *role, struct bytes frame) {
    struct tell_drain tell;
    if (role->hooks->drain && vlt_is_ok(tell_drain_decode(frame, &tell)))
        role->hooks->drain(role, tell.within_ms);
    else
        role_finish(role, EXIT_SUCCESS);
}

static void supervisor_told(struct channel *channel, unsigned message, struct bytes frame,
                            int descriptor, void *context) {
    struct role *role = &only;
    // What came along with the message that ended the role finds nobody who could take it.
    bool is_taken = !role->is_finished;
    if (is_taken && message == IPC_TELL_peer) {
        peer_joins(role, frame, descriptor);
        return;
    }
    if (is_taken && message == IPC_TELL_listener) {
        listener_arrives(role, frame, descriptor);
        return;
    }
    if (descriptor >= 0)
        close(descriptor);
    if (is_taken && message == settings_message(role->hooks->self))
        settings_arrive(role, frame);
    else if (is_taken && message == IPC_TELL_drain)
        drain_begins(role, frame);
}

static void supervisor_closed(struct channel *channel, const char *why, void *context) {
    // Without its supervisor a role must not go on: nobody would restart its peers.
    log_error("the supervisor is gone (%s)", why);
    role_finish(&only, EXIT_FAILURE);
}

// Whether the loop turns, for which every role answers alike.
static void supervisor_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                             void *context) {
    if (message == IPC_ASK_alive)
        reply_alive(call, vlt_ok(), NULL);
    else if (only.hooks->asked)
        only.hooks->asked(call, message, frame, context);
}

static struct channel_events supervisor_events = {.told = supervisor_told,
                                                  .closed = supervisor_closed};

// ---- Start ----

// What the configuration says, else what the role needs.
static size_t heap_wanted(const struct role_hooks *hooks) {
    const char *kib = getenv(IPC_HEAP_VARIABLE);
    size_t wanted = kib ? (size_t)strtoul(kib, NULL, 10) << 10 : 0;
    return wanted ? wanted : hooks->secret_heap_bytes;
}

// What is wanted, or what the system lets it lock if that is less: Debian's
// default of 8 MiB is enough to serve, only for fewer connections at once.
static size_t heap_bytes(size_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= wanted + HEAP_SPARE_BYTES)
        return wanted;
    size_t allowed =
        limit.rlim_cur > HEAP_SPARE_BYTES ? (size_t)limit.rlim_cur - HEAP_SPARE_BYTES : 0;
    return allowed < HEAP_LEAST_BYTES ? HEAP_LEAST_BYTES
                                      : allowed; // too little: opening it will say so
}

static vlt_result start(struct role *role, struct fault *fault) {
    VLT_TRY(sandbox_begin(fault));
    if (role->hooks->secret_heap_bytes) {
        size_t wanted = heap_wanted(role->hooks), bytes = heap_bytes(wanted);
        if (bytes < wanted)
            log_notice(
                "%zu KiB of locked memory instead of %zu: raise LimitMEMLOCK for more connections",
                bytes >> 10, wanted >> 10);
        VLT_TRY(secret_heap_open(bytes, fault));
        if (role->hooks->adopt_heaps) {
            VLT_TRY(secret_heap_adopt_openssl());
            secret_heap_adopt(event_set_mem_functions);
        }
    }
    role->base = event_base_new();
    if (!role->base)
        return vlt_fail(VLT_UNAVAILABLE, "no event loop");
    peer_events.asked = role->hooks->asked;
    peer_events.permits = role->hooks->permits;
    supervisor_events.asked = supervisor_asked;
    supervisor_events.permits = role->hooks->permits;
    role->supervisor = channel_new(role->base, SUPERVISOR_FD, role->hooks->self, IPC_SUPERVISOR,
                                   &supervisor_events, role->context);
    return role->supervisor ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

// After an upgrade the file is new and the vaultd that runs is not.
static bool is_of_one_build(void) {
    const char *starter = getenv(IPC_IDENTITY_VARIABLE);
    if (starter && strcmp(starter, ipc_identity()) == 0)
        return true;
    log_error("can not start: this program is of version %s, and the vaultd that started it of "
              "%s%.100s: restart vaultd, so that all of it is of one version",
              ipc_identity(), starter ? "version " : "an older one, which does not say",
              starter ? starter : "");
    return false;
}

static void stop(struct role *role) {
    for (int peer = 0; peer < IPC_ROLE_COUNT; peer++)
        for (unsigned number = 0; number < PEERS_EACH_ROLE; number++)
            channel_free(role->peers[peer][number]);
    // The supervisor's ends with the process: to it a closed one is a role that is lost,
    // which it kills, and then nobody knows with which status this one wanted to end.
}

int role_run(const struct role_hooks *hooks, void *context) {
    struct fault fault = {0};
    only = (struct role){.hooks = hooks, .context = context};
    log_open(ipc_role_name(hooks->self));
    // A terminal's Ctrl-C and a hang-up are for the supervisor, which drains us.
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (fcntl(SUPERVISOR_FD, F_GETFD) < 0) {
        log_error("this program is started by vaultd and not by hand");
        return 2;
    }
    if (!is_of_one_build())
        return EXIT_FAILURE;
    vlt_result result = start(&only, &fault);
    if (!vlt_is_ok(result)) {
        log_error("can not start: %s", fault_or_reason(&fault, result));
        return EXIT_FAILURE;
    }
    event_base_dispatch(only.base);
    stop(&only);
    return only.exit_status;
}
