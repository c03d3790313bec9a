// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/keeper_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "vaultd/log/log.h"

#define WAIT_MS 60000 // only ends a test that hangs

void keeper_fixture_give_up(const char *what) {
    fprintf(stderr, "keeper fixture: %s\n", what);
    exit(99);
}

// ---- The auditor, played by the test ----

void keeper_fixture_note(char *text, size_t capacity, struct bytes bytes) {
    snprintf(text, capacity, "%.*s", (int)bytes.size, (const char *)bytes.at);
}

static void note_event(struct keeper_fixture *f, struct bytes bytes) {
    struct audit_event event;
    if (!vlt_is_ok(audit_event_get(bytes, &event)))
        keeper_fixture_give_up("the keeper sent an event that does not decode");
    struct noted_event *noted = &f->events[f->event_count++ % FIXTURE_EVENTS_MAX];
    *noted = (struct noted_event){
        .kind = event.kind, .outcome = event.outcome, .version = event.version,
        .max_tokens = event.max_tokens};
    keeper_fixture_note(noted->operation, sizeof noted->operation, event.operation);
    keeper_fixture_note(noted->tenant, sizeof noted->tenant, event.tenant);
    keeper_fixture_note(noted->principal, sizeof noted->principal, event.principal);
    keeper_fixture_note(noted->administrator, sizeof noted->administrator, event.administrator);
    keeper_fixture_note(noted->credential, sizeof noted->credential, event.credential);
    keeper_fixture_note(noted->token_id, sizeof noted->token_id, event.token_id);
    keeper_fixture_note(noted->reason, sizeof noted->reason, event.reason);
}

static void auditor_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                          void *context) {
    struct keeper_fixture *f = context;
    struct ask_record ask;
    struct answer_record answer = {.sequence = f->event_count + 1};
    if (!vlt_is_ok(ask_record_decode(frame, &ask)))
        keeper_fixture_give_up("the keeper's record does not decode");
    if (f->auditor == AUDITOR_FAILS) {
        reply_record(call, vlt_fail(VLT_UNAVAILABLE, "disk full"), NULL);
        return;
    }
    note_event(f, ask.event);
    if (f->auditor == AUDITOR_WAITS && f->waiting_count < FIXTURE_EVENTS_MAX)
        f->waiting[f->waiting_count++] = call;
    else
        reply_record(call, vlt_ok(), &answer);
}

void keeper_fixture_release_records(struct keeper_fixture *f) {
    struct answer_record answer = {.sequence = 1};
    for (size_t i = 0; i < f->waiting_count; i++)
        reply_record(f->waiting[i], vlt_ok(), &answer);
    f->waiting_count = 0;
}

const struct noted_event *keeper_fixture_last_event(const struct keeper_fixture *f) {
    return f->event_count ? &f->events[(f->event_count - 1) % FIXTURE_EVENTS_MAX] : NULL;
}

// ---- Channels ----

static struct keeper_fixture *current; // channels of the keeper's side have its context

static void mine_told(struct channel *channel, unsigned message, struct bytes frame, int descriptor,
                      void *context) {
    struct keeper_fixture *f = context;
    struct tell_ready ready;
    if (message == IPC_TELL_generation && channel == f->mine[IPC_REDEEMER])
        f->generations++;
    if (message == IPC_TELL_ready && vlt_is_ok(tell_ready_decode(frame, &ready)))
        keeper_fixture_note(f->note, sizeof f->note, ready.note);
}

static void its_closed(struct channel *channel, const char *why, void *context) {
    enum ipc_role role = channel_peer(channel);
    current->closed[role]++;
    if (current->its[role] == channel) {
        keeper_set_peer(current->keeper, role, 0, NULL);
        current->its[role] = NULL;
    }
    channel_free(channel);
}

static void mine_closed(struct channel *channel, const char *why, void *context) {
    struct keeper_fixture *f = context;
    for (int role = 0; role < IPC_ROLE_COUNT; role++)
        if (f->mine[role] == channel)
            f->mine[role] = NULL;
    channel_free(channel);
}

static const struct channel_events mine_events = {.told = mine_told, .closed = mine_closed};
static const struct channel_events auditor_events = {.asked = auditor_asked, .closed = mine_closed};
static const struct channel_events its_events = {
    .asked = keeper_asked, .closed = its_closed, .permits = keeper_permits};

void keeper_fixture_connect(struct keeper_fixture *f, enum ipc_role role) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        keeper_fixture_give_up("no socket pair");
    f->its[role] = channel_new(f->base, fds[0], IPC_KEEPER, role, &its_events, f->keeper);
    f->mine[role] = channel_new(f->base, fds[1], role, IPC_KEEPER,
                                role == IPC_AUDITOR ? &auditor_events : &mine_events, f);
    if (!f->its[role] || !f->mine[role])
        keeper_fixture_give_up("no channel");
    keeper_set_peer(f->keeper, role, 0, f->its[role]);
}

// The auditor died with records that it never answered.
static void forget_records(struct keeper_fixture *f) {
    for (size_t i = 0; i < f->waiting_count; i++)
        reply_failure(f->waiting[i], vlt_fail(VLT_UNAVAILABLE, "dead"));
    f->waiting_count = 0;
}

void keeper_fixture_disconnect(struct keeper_fixture *f, enum ipc_role role) {
    keeper_set_peer(f->keeper, role, 0, NULL);
    struct channel *its = f->its[role], *mine = f->mine[role];
    f->its[role] = f->mine[role] = NULL;
    channel_free(its);
    channel_free(mine);
    if (role == IPC_AUDITOR)
        forget_records(f);
}

// ---- Life ----

void keeper_fixture_begin(struct keeper_fixture *f, enum hsm_kind kind) {
    memset(f, 0, sizeof *f);
    device_fixture_start(&f->device, kind);
    strcpy(f->folder, "/tmp/vault-keeper-XXXXXX");
    if (!mkdtemp(f->folder))
        keeper_fixture_give_up("no folder");
    snprintf(f->store_path, sizeof f->store_path, "%s/store", f->folder);
    f->max_lifetime_s = 600;
    f->base = event_base_new();
    log_open("test");
    log_set_level(LOG_LEVEL_ERROR);
}

void keeper_fixture_end(struct keeper_fixture *f) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "writer.lock"};
    keeper_fixture_stop(f);
    if (f->program)
        keeper_fixture_kill(f, SIGKILL);
    for (size_t i = 0; i < 3; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", f->store_path, files[i]);
        unlink(path);
    }
    rmdir(f->store_path);
    rmdir(f->folder);
    event_base_free(f->base);
    device_fixture_stop(&f->device);
}

static struct tell_settings_keeper settings_of(const struct keeper_fixture *f,
                                               const char *pin_path) {
    const struct hsm_settings *device = &f->device.settings;
    return (struct tell_settings_keeper){
        .issuer = BYTES_LITERAL(FIXTURE_ISSUER),
        .store_path = bytes_of_text(f->store_path),
        .device_kind = bytes_of_text(device->kind == HSM_TPM ? "tpm" : "pkcs11"),
        .device_tcti = bytes_of_text(device->tcti),
        .device_uri = bytes_of_text(device->p11_uri),
        .device_module = bytes_of_text(device->p11_module),
        .device_pin_file = bytes_of_text(pin_path),
        .token_max_lifetime_s = f->max_lifetime_s,
        .signs_in_device = f->signs_in_device,
        .data_key_idle_s = f->idle_s,
        .log_level = LOG_LEVEL_ERROR};
}

static vlt_result configure(struct keeper_fixture *f, const char *pin_path, bool is_first) {
    static uint8_t room[8192];
    struct tell_settings_keeper tell = settings_of(f, pin_path);
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    tell_settings_keeper_encode(&w, &tell);
    return keeper_configure(f->keeper, bytes_of(room, w.size), is_first, NULL);
}

vlt_result keeper_fixture_reload(struct keeper_fixture *f, const char *pin_path) {
    return configure(f, pin_path ? pin_path : f->device.settings.pin_source, false);
}

void keeper_fixture_start(struct keeper_fixture *f) {
    current = f;
    if (!vlt_is_ok(keeper_new(f->base, &f->keeper)) ||
        !vlt_is_ok(configure(f, f->device.settings.pin_source, true)) ||
        !vlt_is_ok(keeper_start(f->keeper)))
        keeper_fixture_give_up("the keeper does not start");
    static const enum ipc_role roles[] = {IPC_BROKER, IPC_ADMIN, IPC_REDEEMER, IPC_AUDITOR};
    for (size_t i = 0; i < 4; i++)
        keeper_fixture_connect(f, roles[i]);
}

void keeper_fixture_settle(struct keeper_fixture *f) {
    for (unsigned turns = 0; !keeper_is_idle(f->keeper) && turns < 1000; turns++)
        keeper_fixture_turn(f, 10);
}

void keeper_fixture_stop(struct keeper_fixture *f) {
    if (!f->keeper)
        return;
    // As role_run does it: first the channels, then the keeper.
    for (int role = 0; role < IPC_ROLE_COUNT; role++) {
        channel_free(f->its[role]);
        channel_free(f->mine[role]);
        f->its[role] = f->mine[role] = NULL;
    }
    forget_records(f);
    keeper_free(f->keeper);
    f->keeper = NULL;
}

void keeper_fixture_restart(struct keeper_fixture *f) {
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
}

// ---- The real program ----

static const struct channel_events supervisor_events = {.told = mine_told, .closed = mine_closed};

static void join_peer(struct keeper_fixture *f, enum ipc_role role) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        keeper_fixture_give_up("no socket pair");
    f->mine[role] = channel_new(f->base, fds[1], role, IPC_KEEPER,
                                role == IPC_AUDITOR ? &auditor_events : &mine_events, f);
    struct tell_peer tell = {.role = (uint8_t)role};
    tell_peer(f->mine[IPC_SUPERVISOR], &tell, fds[0]);
}

void keeper_fixture_spawn(struct keeper_fixture *f, const char *path) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) != 0)
        keeper_fixture_give_up("no socket pair");
    pid_t parent = getpid();
    f->program = fork();
    if (f->program == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(fds[0], 3) != 3)
            _exit(126);
        for (int fd = 4; fd < 256; fd++)
            close(fd);
        setenv(IPC_IDENTITY_VARIABLE, ipc_identity(), 1); // as the supervisor does
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    close(fds[0]);
    f->note[0] = 0;
    f->mine[IPC_SUPERVISOR] =
        channel_new(f->base, fds[1], IPC_SUPERVISOR, IPC_KEEPER, &supervisor_events, f);
    struct tell_settings_keeper settings = settings_of(f, f->device.settings.pin_source);
    tell_settings_keeper(f->mine[IPC_SUPERVISOR], &settings, -1);
    static const enum ipc_role roles[] = {IPC_AUDITOR, IPC_BROKER, IPC_ADMIN, IPC_REDEEMER};
    for (size_t i = 0; i < 4; i++)
        join_peer(f, roles[i]);
}

static int reap(struct keeper_fixture *f) {
    int status = 0;
    int64_t until = clock_elapsed_ms() + WAIT_MS;
    pid_t reaped;
    while ((reaped = waitpid(f->program, &status, WNOHANG)) == 0 && clock_elapsed_ms() < until)
        keeper_fixture_turn(f, 0);
    if (reaped != f->program)
        keeper_fixture_give_up("the program does not end");
    f->program = 0;
    for (int role = 0; role < IPC_ROLE_COUNT; role++) {
        channel_free(f->mine[role]);
        f->mine[role] = NULL;
    }
    forget_records(f);
    return status;
}

int keeper_fixture_kill(struct keeper_fixture *f, int signal_number) {
    kill(f->program, signal_number);
    return reap(f);
}

int keeper_fixture_drain(struct keeper_fixture *f) {
    struct tell_drain tell = {.within_ms = 5000};
    tell_drain(f->mine[IPC_SUPERVISOR], &tell, -1);
    return reap(f);
}

void keeper_fixture_wait_note(struct keeper_fixture *f, const char *note) {
    int64_t until = clock_elapsed_ms() + WAIT_MS;
    while (strcmp(f->note, note) != 0) {
        if (clock_elapsed_ms() > until || waitpid(f->program, NULL, WNOHANG) != 0) {
            fprintf(stderr, "the program said \"%s\" last\n", f->note);
            keeper_fixture_give_up("the program does not come into the state");
        }
        keeper_fixture_turn(f, 0);
    }
}

// ---- Turning the loop ----

static void wake(evutil_socket_t fd, short what, void *context) {}

void keeper_fixture_turn(struct keeper_fixture *f, unsigned for_ms) {
    int64_t until = clock_elapsed_ms() + for_ms;
    do {
        const struct timeval at_most = {.tv_usec = 5000};
        event_base_once(f->base, -1, EV_TIMEOUT, wake, NULL, &at_most);
        event_base_loop(f->base, EVLOOP_ONCE);
    } while (clock_elapsed_ms() < until);
}

void keeper_fixture_wait(struct keeper_fixture *f, const bool *is_done) {
    int64_t until = clock_elapsed_ms() + WAIT_MS;
    while (!*is_done) {
        if (clock_elapsed_ms() > until)
            keeper_fixture_give_up("an answer does not come");
        keeper_fixture_turn(f, 0);
    }
}

void keeper_fixture_wait_state(struct keeper_fixture *f, enum keeper_state state) {
    int64_t until = clock_elapsed_ms() + WAIT_MS;
    while (f->keeper->state != state || f->keeper->is_unsealing) {
        if (clock_elapsed_ms() > until)
            keeper_fixture_give_up("the keeper does not come into the state");
        keeper_fixture_turn(f, 0);
    }
}
