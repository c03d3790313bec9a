// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/supervisor.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "vaultd/log/log.h"
#include "vaultd/sandbox/sandbox.h"
#include "vaultd/supervisor/environment.h"
#include "vaultd/supervisor/folders.h"
#include "vaultd/supervisor/secret_files.h"

// ---- Signals ----

static void on_terminate(evutil_socket_t number, short what, void *context) {
    struct supervisor *supervisor = context;
    if (supervisor->drain_phase >= 0) {
        log_warning("asked twice to stop: stopping at once");
        roles_kill(supervisor);
        return;
    }
    log_notice("stopping: finishing what is in flight");
    report_event(supervisor, "vault.stop", "asked to stop", false);
    roles_drain(supervisor);
}

static void on_drain_timeout(evutil_socket_t fd, short what, void *context) {
    log_warning("some requests did not finish in time: stopping at once");
    roles_kill(context);
}

static void on_child(evutil_socket_t number, short what, void *context) { roles_exited(context); }

static void tell_all(struct supervisor *supervisor) {
    for (size_t i = 0; i < topology_role_count; i++)
        for (unsigned n = 0; n < TOPOLOGY_WORKERS_MAX; n++) {
            struct child *child = &supervisor->children[topology_roles[i].role][n];
            if (child->channel)
                settings_tell(child->channel, child->row->role, supervisor->config,
                              &supervisor->files);
        }
}

// What a reload can not change without a restart: nobody must think it did.
static void keep_workers(struct config *now, const struct config *before) {
    if (now->broker.workers != before->broker.workers ||
        now->redeemer.workers != before->redeemer.workers)
        log_warning("workers change with the next restart only");
    now->broker.workers = before->broker.workers;
    now->redeemer.workers = before->redeemer.workers;
}

// What roles that run hold on to: one that died would come back to another place than its
// peers are in, an auditor to another log.
static vlt_result check_places(const struct config *now, const struct config *before,
                               struct fault *fault) {
    const struct {
        const char *key, *now, *before;
    } places[] = {
        {"store", now->store, before->store},
        {"audit.directory", now->audit.directory, before->audit.directory},
        {"audit.origin (where it is not set, the issuer)", config_origin(now),
         config_origin(before)},
        {"device.kind", now->device.kind, before->device.kind},
        {"users.group", now->users.group, before->users.group},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(places[i].now, places[i].before) != 0)
            return fault_set(fault, VLT_CONFLICT, "needs a restart", "%s needs a restart of vaultd",
                             places[i].key);
    for (size_t i = 0; i < topology_role_count; i++)
        if (strcmp(topology_user(now, topology_roles[i].role),
                   topology_user(before, topology_roles[i].role)) != 0)
            return fault_set(fault, VLT_CONFLICT, "needs a restart",
                             "users needs a restart of vaultd");
    return vlt_ok();
}

// The keeper's environment is made once, and it opens its heap before it hears anything.
static vlt_result check_environment(const struct config *now, const struct config *before,
                                    struct fault *fault) {
    const struct config_device *device = &now->device, *old = &before->device;
    const char *key = NULL;
    if (now->keeper.secret_heap_kib != before->keeper.secret_heap_kib)
        key = "keeper.secret_heap_kib";
    if (device->environment_count != old->environment_count)
        key = "device.environment";
    for (unsigned i = 0; !key && i < device->environment_count; i++)
        if (strcmp(device->environment[i], old->environment[i]) != 0)
            key = "device.environment";
    return key ? fault_set(fault, VLT_CONFLICT, "needs a restart", "%s needs a restart of vaultd",
                           key)
               : vlt_ok();
}

// The number of processes is fixed while vaultd runs, and so is the system-call filter.
static vlt_result check_reloadable(const struct config *now, const struct config *before,
                                   struct fault *fault) {
    if (config_ships(now) != config_ships(before))
        return fault_set(fault, VLT_CONFLICT, "needs a restart",
                         "shipping: the first receiver and the end of the last one need a restart "
                         "of vaultd");
    if (now->rotator.programs_count && !before->rotator.programs_count)
        return fault_set(fault, VLT_CONFLICT, "needs a restart",
                         "rotator.programs: the first program needs a restart of vaultd");
    VLT_TRY(check_environment(now, before, fault));
    return check_places(now, before, fault);
}

// For whoever wonders whether vaultd saw what was changed.
static void log_changes(const struct supervisor *supervisor, const struct config *now,
                        const struct settings_files *files) {
    struct buf text;
    if (!log_shows(LOG_LEVEL_DEBUG))
        return;
    buf_init(&text, 4096);
    config_changes(now, supervisor->config, &text);
    settings_files_changes(files, &supervisor->files, &text);
    const char *changed = text.size ? buf_text(&text) : "nothing";
    log_debug("what the reload changes: %s", changed ? changed : "more than fits here");
    buf_done(&text);
}

static vlt_result reload(struct supervisor *supervisor, struct fault *fault) {
    struct config *config;
    struct settings_files files;
    VLT_TRY(config_load(supervisor->config_path, fault, &config));
    vlt_result result = check_reloadable(config, supervisor->config, fault);
    if (vlt_is_ok(result))
        result = settings_files_read(config, fault, &files);
    if (!vlt_is_ok(result)) {
        config_free(config);
        return result;
    }
    // Workers that were told the key before do not take another one.
    memcpy(files.nonce_key, supervisor->files.nonce_key, sizeof files.nonce_key);
    keep_workers(config, supervisor->config);
    log_set_level((enum log_level)settings_log_level(config));
    log_changes(supervisor, config, &files);
    config_free(supervisor->config);
    settings_files_done(&supervisor->files);
    supervisor->config = config;
    supervisor->files = files;
    secret_files_warn(config);
    listeners_reload(supervisor);
    watch_reload(supervisor);
    tell_all(supervisor);
    return vlt_ok();
}

static void on_hangup(evutil_socket_t number, short what, void *context) {
    struct supervisor *supervisor = context;
    struct fault fault = {0};
    vlt_result result = reload(supervisor, &fault);
    if (vlt_is_ok(result))
        log_notice("configuration reloaded");
    else
        log_error("the configuration stays as it was: %s", fault_or_reason(&fault, result));
    report_event(supervisor, "vault.reload", fault_or_reason(&fault, result), !vlt_is_ok(result));
}

// ---- Life ----

static vlt_result watch_signals(struct supervisor *supervisor) {
    static const struct {
        int number;
        event_callback_fn handler;
    } watched[] = {
        {SIGTERM, on_terminate}, {SIGINT, on_terminate}, {SIGHUP, on_hangup}, {SIGCHLD, on_child}};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 4; i++) {
        supervisor->signals[i] =
            evsignal_new(supervisor->base, watched[i].number, watched[i].handler, supervisor);
        if (!supervisor->signals[i] || evsignal_add(supervisor->signals[i], NULL) != 0)
            return vlt_fail(VLT_UNAVAILABLE, "signals can not be watched");
    }
    supervisor->drain_timer = evtimer_new(supervisor->base, on_drain_timeout, supervisor);
    return supervisor->drain_timer ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

vlt_result supervisor_start(struct supervisor *supervisor, struct fault *fault) {
    struct config_device *device;
    supervisor->drain_phase = -1;
    // It holds TLS keys: no core file, no debugger of the same user; and nothing that it
    // starts gains what it has not.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    VLT_TRY(config_load(supervisor->config_path, fault, &supervisor->config));
    log_set_level((enum log_level)settings_log_level(supervisor->config));
    VLT_TRY(settings_files_read(supervisor->config, fault, &supervisor->files));
    secret_files_warn(supervisor->config);
    VLT_TRY(folders_make(supervisor->config, fault));
    device = &supervisor->config->device;
    supervisor->role_environment = environment_new(0, NULL, 0);
    supervisor->keeper_environment =
        environment_new(supervisor->config->keeper.secret_heap_kib, device->environment,
                        device->environment_count);
    supervisor->base = event_base_new();
    if (!supervisor->base || !supervisor->role_environment || !supervisor->keeper_environment)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(watch_signals(supervisor));
    VLT_TRY(listeners_open(supervisor, fault));
    VLT_TRY(sandbox_enter_supervisor(supervisor->config->rotator.programs_count > 0, fault));
    VLT_TRY(watch_start(supervisor));
    return roles_start(supervisor, fault);
}

void supervisor_stop(struct supervisor *supervisor) {
    programs_stop(supervisor);
    listeners_close(supervisor);
    for (size_t i = 0; i < 4; i++)
        if (supervisor->signals[i])
            event_free(supervisor->signals[i]);
    if (supervisor->drain_timer)
        event_free(supervisor->drain_timer);
    if (supervisor->look_timer)
        event_free(supervisor->look_timer);
    for (size_t i = 0; i < topology_role_count; i++)
        for (unsigned n = 0; n < TOPOLOGY_WORKERS_MAX; n++) {
            struct child *child = &supervisor->children[topology_roles[i].role][n];
            channel_free(child->channel);
            if (child->restart)
                event_free(child->restart);
        }
    report_end(supervisor);
    if (supervisor->base)
        event_base_free(supervisor->base);
    environment_free(supervisor->role_environment);
    environment_free(supervisor->keeper_environment);
    settings_files_done(&supervisor->files);
    if (supervisor->config)
        config_free(supervisor->config);
}
