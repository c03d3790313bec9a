// SPDX-License-Identifier: Apache-2.0
// What every child of the supervisor has in common: it inherits one descriptor,
// the channel to the supervisor (number 3), gets its settings, listeners and
// peers over it, locks itself up, and runs a loop until it is told to drain.
//
// Order of life: role_run → hooks.settings (first time: open files, build state;
// still with file access) → sandbox → hooks.peer / hooks.listener as they
// arrive → loop → hooks.drain → exit 0.
#ifndef VLT_ROLE_ROLE_H
#define VLT_ROLE_ROLE_H

#include <event2/event.h>

#include "libvault/base/fault.h"
#include "vaultd/ipc/channel.h"

struct role;

struct role_hooks {
    enum ipc_role self;
    // Secret heap to open before anything else, unless the configuration names another
    // size (IPC_HEAP_VARIABLE); 0: this process holds no secret.
    size_t secret_heap_bytes;
    bool adopt_heaps; // OpenSSL's and libevent's heaps go into the secret heap
    // A settings frame (tell_settings_SELF). The first call precedes the sandbox;
    // later ones are reloads: apply without dropping a connection, or fail and
    // keep the old settings. `is_first` tells which.
    vlt_result (*settings)(struct role *role, struct bytes frame, bool is_first,
                           struct fault *fault);
    // A channel to a peer came up, first or anew after that peer's restart. The
    // role replaces its pointer; the old channel was freed before this call.
    void (*peer)(struct role *role, enum ipc_role peer, unsigned number, struct channel *channel);
    // That channel died; NULL your pointer. The supervisor will bring another.
    void (*peer_gone)(struct role *role, enum ipc_role peer, unsigned number);
    // A listening socket ("tls", "unix"); NULL when the role listens to nobody.
    void (*listener)(struct role *role, struct bytes name, int fd);
    // Calls and messages from peers (see channel_events); may be NULL.
    void (*asked)(struct ipc_call *call, unsigned message, struct bytes frame, void *context);
    void (*told)(struct role *role, enum ipc_role peer, unsigned message, struct bytes frame);
    bool (*permits)(unsigned states, void *context);
    // Finish what is in flight, then call role_finish.
    void (*drain)(struct role *role, unsigned within_ms);
};

// main() of a role. `context` comes back from role_context and as `context` of
// asked and permits.
int role_run(const struct role_hooks *hooks, void *context);
struct event_base *role_base(const struct role *role);
void *role_context(const struct role *role);
// Tells the supervisor that this role serves; `note` for the log and `status`.
void role_ready(struct role *role, const char *note);
// Rotator: has the supervisor run a program of the configuration with `fd` (taken)
// as its standard input and output. A name that is not configured: fd is closed.
void role_run_program(struct role *role, const char *name, int fd);
void role_finish(struct role *role, int exit_status);

#endif
