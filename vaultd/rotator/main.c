// SPDX-License-Identifier: Apache-2.0
// vaultd-rotator: started by the supervisor, never by hand.
#include <jansson.h>
#include <stdlib.h>

#include "vaultd/log/log.h"
#include "vaultd/role/role_transfer.h"
#include "vaultd/rotator/work.h"

#define HEAP_BYTES (6u << 20)

// A step that is under way holds one of the old ones.
static void take_recipes(struct rotator *rotator) {
    if (rotator->work || !rotator->next_recipes)
        return;
    recipe_set_free(rotator->recipes);
    rotator->recipes = rotator->next_recipes;
    rotator->next_recipes = NULL;
}

// ---- What is next ----

static void next_known(vlt_result result, const struct answer_job_next *answer, void *context) {
    struct rotator *rotator = context;
    rotator->is_asking = false;
    // Sealed, or a keeper that restarts: the next look asks again.
    if (vlt_is_ok(result) && answer->state && !rotator->is_draining)
        work_begin(rotator, answer);
}

void rotator_look(struct rotator *rotator) {
    const struct ask_job_next ask = {0};
    if (rotator->is_draining && !rotator->work)
        role_finish(rotator->role, EXIT_SUCCESS);
    if (!rotator->keeper || rotator->work || rotator->is_asking || rotator->is_draining)
        return;
    take_recipes(rotator);
    rotator->is_asking = true;
    ask_job_next(rotator->keeper, &ask, next_known, rotator);
}

static void on_tick(evutil_socket_t fd, short what, void *context) {
    rotator_look(context);
}

// ---- Settings ----

// Trees of answers hold new keys.
static void take_jansson(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t),
                         void (*free_fn)(void *)) {
    json_set_alloc_funcs(malloc_fn, free_fn);
}

static vlt_result start(struct rotator *rotator) {
    static const struct timeval second = {1, 0};
    struct event_base *base = role_base(rotator->role);
    secret_heap_adopt(take_jansson);
    role_transfer_log();
    VLT_TRY(call_new(base, &rotator->call));
    rotator->program = program_new(base, rotator->role);
    rotator->tick = event_new(base, -1, EV_PERSIST, on_tick, rotator);
    if (!rotator->program || !rotator->tick || event_add(rotator->tick, &second) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return vlt_ok();
}

static vlt_result load_recipes(struct rotator *rotator, struct bytes folder, struct fault *fault) {
    char path[IPC_TEXT_MAX + 1];
    struct recipe_set *recipes = NULL;
    if (!bytes_to_text(folder, path, sizeof path))
        return vlt_fail(VLT_MALFORMED, "recipes is not a path");
    VLT_TRY(recipe_set_load(path, fault, &recipes));
    recipe_set_free(rotator->next_recipes);
    rotator->next_recipes = recipes;
    take_recipes(rotator);
    return vlt_ok();
}

static vlt_result settings(struct role *role, struct bytes frame, bool is_first,
                           struct fault *fault) {
    struct rotator *rotator = role_context(role);
    struct tell_settings_rotator got;
    VLT_TRY(tell_settings_rotator_decode(frame, &got));
    rotator->role = role;
    if (is_first)
        VLT_TRY(start(rotator));
    VLT_TRY(load_recipes(rotator, got.recipes_dir, fault));
    VLT_TRY(call_configure(rotator->call, got.provider_ca, got.call_timeout_ms));
    program_configure(rotator->program, got.call_timeout_ms);
    log_set_level((enum log_level)got.log_level);
    if (is_first)
        role_ready(role, "providers are called");
    return vlt_ok();
}

// ---- Peers ----

static void on_peer(struct role *role, enum ipc_role peer, unsigned number,
                    struct channel *channel) {
    struct rotator *rotator = role_context(role);
    if (peer != IPC_KEEPER)
        return;
    rotator->keeper = channel;
    rotator_look(rotator);
}

static void on_peer_gone(struct role *role, enum ipc_role peer, unsigned number) {
    struct rotator *rotator = role_context(role);
    if (peer == IPC_KEEPER)
        rotator->keeper = NULL;
}

// What is under way ends with its next message; the supervisor waits for that
// only as long as it waits for everybody.
static void drain(struct role *role, unsigned within_ms) {
    struct rotator *rotator = role_context(role);
    rotator->is_draining = true;
    if (!rotator->work)
        role_finish(role, EXIT_SUCCESS);
}

int main(void) {
    static struct rotator rotator;
    static const struct role_hooks hooks = {
        .self = IPC_ROTATOR,
        .secret_heap_bytes = HEAP_BYTES,
        .adopt_heaps = true,
        .settings = settings,
        .peer = on_peer,
        .peer_gone = on_peer_gone,
        .drain = drain,
    };
    int status = role_run(&hooks, &rotator);
    work_free(rotator.work);
    call_free(rotator.call);
    program_free(rotator.program);
    if (rotator.tick)
        event_free(rotator.tick);
    recipe_set_free(rotator.recipes);
    recipe_set_free(rotator.next_recipes);
    return status;
}
