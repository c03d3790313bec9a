// SPDX-License-Identifier: Apache-2.0
// vaultd-keeper: started by vaultd with one channel, on descriptor 3.
#include <stdlib.h>
#include <unistd.h>

#include "libvault/crypto/crypto.h"
#include "libvault/base/clock.h"
#include "vaultd/keeper/keeper.h"
#include "vaultd/log/log.h"
#include "vaultd/role/role.h"

// Keys, OpenSSL's and libevent's heaps, and the frames that carry credentials.
#define SECRET_HEAP_BYTES ((size_t)24 << 20)
#define DRAIN_LOOK_MS 20

struct program {
    struct keeper *keeper;
    struct role *role;
    struct event *drain_look;
    int64_t drain_until_ms;
};

static void tell_supervisor(const char *note, void *context) {
    struct program *program = context;
    role_ready(program->role, note);
}

static void give_up(const char *why, void *context) {
    struct program *program = context;
    log_error("stopping, to be started anew: %s", why);
    role_finish(program->role, EXIT_FAILURE);
}

// The first turn of the loop comes after the sandbox: threads started now are in
// it as well.
static void begin(evutil_socket_t fd, short what, void *context) {
    struct program *program = context;
    vlt_result result = keeper_start(program->keeper);
    if (!vlt_is_ok(result)) {
        log_error("can not start: %s", result.reason);
        role_finish(program->role, EXIT_FAILURE);
    }
}

static vlt_result first_settings(struct program *program, struct role *role, struct bytes frame,
                                 struct fault *fault) {
    const struct timeval at_once = {0, 0};
    program->role = role;
    VLT_TRY(crypto_open());
    VLT_TRY(keeper_new(role_base(role), &program->keeper));
    program->keeper->ready = tell_supervisor;
    program->keeper->failed = give_up;
    program->keeper->hook_context = program;
    VLT_TRY(keeper_configure(program->keeper, frame, true, fault));
    if (event_base_once(role_base(role), -1, EV_TIMEOUT, begin, program, &at_once) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "no event loop");
    return vlt_ok();
}

static vlt_result on_settings(struct role *role, struct bytes frame, bool is_first,
                              struct fault *fault) {
    struct program *program = role_context(role);
    return is_first ? first_settings(program, role, frame, fault)
                    : keeper_configure(program->keeper, frame, false, fault);
}

static void on_peer(struct role *role, enum ipc_role peer, unsigned number,
                    struct channel *channel) {
    struct program *program = role_context(role);
    if (program->keeper)
        keeper_set_peer(program->keeper, peer, number, channel);
}

static void on_peer_gone(struct role *role, enum ipc_role peer, unsigned number) {
    on_peer(role, peer, number, NULL);
}

static void on_asked(struct ipc_call *call, unsigned message, struct bytes frame, void *context) {
    struct program *program = context;
    if (program->keeper)
        keeper_asked(call, message, frame, program->keeper);
    else
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, "the keeper is starting"));
}

static bool on_permits(unsigned states, void *context) {
    struct program *program = context;
    return program->keeper && keeper_permits(states, program->keeper);
}

// ---- Draining ----

static void look_if_idle(evutil_socket_t fd, short what, void *context) {
    struct program *program = context;
    bool is_late = clock_elapsed_ms() >= program->drain_until_ms;
    if (!keeper_is_idle(program->keeper) && !is_late)
        return;
    if (is_late)
        log_warning("stopping although calls are still in flight");
    role_finish(program->role, EXIT_SUCCESS);
}

static void on_drain(struct role *role, unsigned within_ms) {
    struct program *program = role_context(role);
    const struct timeval period = {0, DRAIN_LOOK_MS * 1000};
    if (!program->keeper || program->drain_look) {
        role_finish(role, EXIT_SUCCESS);
        return;
    }
    keeper_drain(program->keeper);
    program->drain_until_ms = clock_elapsed_ms() + within_ms;
    program->drain_look = event_new(role_base(role), -1, EV_PERSIST, look_if_idle, program);
    if (!program->drain_look || event_add(program->drain_look, &period) != 0)
        role_finish(role, EXIT_SUCCESS);
}

int main(void) {
    static struct program program;
    static const struct role_hooks hooks = {
        .self = IPC_KEEPER,
        .secret_heap_bytes = SECRET_HEAP_BYTES,
        .adopt_heaps = true,
        .settings = on_settings,
        .peer = on_peer,
        .peer_gone = on_peer_gone,
        .asked = on_asked,
        .permits = on_permits,
        .drain = on_drain,
    };
    int status = role_run(&hooks, &program);
    if (program.drain_look)
        event_free(program.drain_look);
    // exit() would tear down a module that is still being used.
    if (!keeper_free(program.keeper))
        _exit(status);
    return status;
}
