// SPDX-License-Identifier: Apache-2.0
// Over 500 lines, as it is one thing: a keeper with all its peers, who share one state.
#include "tests/unit/keeper_fixture.h"

#include "libvault/base/hex.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "libvault/crypto/jwe.h"
#include "libvault/store/record_key.h"
#include "vaultd/ipc/credential_change.h"
#include "vaultd/log/log.h"

#define WAIT_MS 10000

static void give_up(const char *what) {
    fprintf(stderr, "keeper fixture: %s\n", what);
    exit(99);
}

// ---- The auditor, played by the test ----

static void note_text(char *text, size_t capacity, struct bytes bytes) {
    snprintf(text, capacity, "%.*s", (int)bytes.size, (const char *)bytes.at);
}

static void note_event(struct keeper_fixture *f, struct bytes bytes) {
    struct audit_event event;
    if (!vlt_is_ok(audit_event_get(bytes, &event)))
        give_up("the keeper sent an event that does not decode");
    struct noted_event *noted = &f->events[f->event_count++ % FIXTURE_EVENTS_MAX];
    *noted = (struct noted_event){
        .kind = event.kind, .outcome = event.outcome, .version = event.version,
        .max_tokens = event.max_tokens};
    note_text(noted->operation, sizeof noted->operation, event.operation);
    note_text(noted->tenant, sizeof noted->tenant, event.tenant);
    note_text(noted->principal, sizeof noted->principal, event.principal);
    note_text(noted->administrator, sizeof noted->administrator, event.administrator);
    note_text(noted->credential, sizeof noted->credential, event.credential);
    note_text(noted->token_id, sizeof noted->token_id, event.token_id);
    note_text(noted->reason, sizeof noted->reason, event.reason);
}

static void auditor_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                          void *context) {
    struct keeper_fixture *f = context;
    struct ask_record ask;
    struct answer_record answer = {.sequence = f->event_count + 1};
    if (!vlt_is_ok(ask_record_decode(frame, &ask)))
        give_up("the keeper's record does not decode");
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
        note_text(f->note, sizeof f->note, ready.note);
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
        give_up("no socket pair");
    f->its[role] = channel_new(f->base, fds[0], IPC_KEEPER, role, &its_events, f->keeper);
    f->mine[role] = channel_new(f->base, fds[1], role, IPC_KEEPER,
                                role == IPC_AUDITOR ? &auditor_events : &mine_events, f);
    if (!f->its[role] || !f->mine[role])
        give_up("no channel");
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
        give_up("no folder");
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
        give_up("the keeper does not start");
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

// ---- The real program ----

static const struct channel_events supervisor_events = {.told = mine_told, .closed = mine_closed};

static void join_peer(struct keeper_fixture *f, enum ipc_role role) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        give_up("no socket pair");
    f->mine[role] = channel_new(f->base, fds[1], role, IPC_KEEPER,
                                role == IPC_AUDITOR ? &auditor_events : &mine_events, f);
    struct tell_peer tell = {.role = (uint8_t)role};
    tell_peer(f->mine[IPC_SUPERVISOR], &tell, fds[0]);
}

void keeper_fixture_spawn(struct keeper_fixture *f, const char *path) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) != 0)
        give_up("no socket pair");
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
        give_up("the program does not end");
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
            give_up("the program does not come into the state");
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
            give_up("an answer does not come");
        keeper_fixture_turn(f, 0);
    }
}

void keeper_fixture_wait_state(struct keeper_fixture *f, enum keeper_state state) {
    int64_t until = clock_elapsed_ms() + WAIT_MS;
    while (f->keeper->state != state || f->keeper->is_unsealing) {
        if (clock_elapsed_ms() > until)
            give_up("the keeper does not come into the state");
        keeper_fixture_turn(f, 0);
    }
}

// ---- Calls ----

struct outcome {
    bool is_done;
    vlt_result result;
    void *out; // of the call
};

#define DONE(name, ...)                                                                            \
    static void name##_done(vlt_result result, const struct answer_##name *answer,                 \
                            void *context) {                                                       \
        struct outcome *outcome = context;                                                         \
        outcome->is_done = true;                                                                   \
        outcome->result = result;                                                                  \
        if (vlt_is_ok(result) && outcome->out) {                                                   \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define CALL(f, role, name, ask, out_pointer)                                                      \
    struct outcome outcome = {.out = (out_pointer)};                                               \
    ask_##name((f)->mine[role], (ask), name##_done, &outcome);                                     \
    keeper_fixture_wait((f), &outcome.is_done);                                                    \
    return outcome.result

DONE(init, (void)answer;)
DONE(seal, (void)answer;)
DONE(commit, (void)answer;)
DONE(credential_state, (void)answer;)
DONE(revoke_rule, (void)answer;)
DONE(revoke_token, (void)answer;)
DONE(tenant_create, *(uint32_t *)outcome->out = answer->tenant;)
DONE(credential_put, *(uint32_t *)outcome->out = answer->version;)
DONE(sign, struct signed_answer *out = outcome->out; out->expires_at = answer->expires_at;
     note_text(out->token, sizeof out->token, answer->token);)
DONE(open, struct opened_answer *out = outcome->out; out->version = answer->version;
     out->reuse_until = answer->reuse_until;
     note_text(out->value, sizeof out->value, answer->value);
     note_text(out->profile, sizeof out->profile, answer->profile);
     note_text(out->parameters, sizeof out->parameters, answer->parameters);)

struct text_room {
    char *text;
    size_t capacity;
};
DONE(status, struct text_room *out = outcome->out;
     note_text(out->text, out->capacity, answer->description);)

// One event for every call: the keeper fills in what it knows.
struct bytes fixture_event(const char *operation) {
    static uint8_t room[1024];
    struct audit_event event = {.kind = AUDIT_ADMIN,
                                .outcome = AUDIT_ALLOW,
                                .operation = bytes_of_text(operation),
                                .principal = BYTES_LITERAL("made-up|by the peer"),
                                .tenant = BYTES_LITERAL("made-up"),
                                .administrator = BYTES_LITERAL("uid 0")};
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    return bytes_of(room, w.size);
}

vlt_result fixture_init(struct keeper_fixture *f) {
    struct ask_init ask = {.shares = 3, .threshold = 2, .event = fixture_event("vault.init")};
    // Any point of the curve: nobody reads the shares. (The generator of P-256.)
    static const char x[] = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    static const char y[] = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    if (!vlt_is_ok(hex_decode(bytes_of_text(x), ask.reply_x, 32)) ||
        !vlt_is_ok(hex_decode(bytes_of_text(y), ask.reply_y, 32)))
        abort();
    CALL(f, IPC_ADMIN, init, &ask, NULL);
}

vlt_result fixture_seal(struct keeper_fixture *f, bool seal) {
    struct ask_seal ask = {.seal = seal,
                           .event = fixture_event(seal ? "vault.seal" : "vault.unseal")};
    CALL(f, IPC_ADMIN, seal, &ask, NULL);
}

vlt_result fixture_status(struct keeper_fixture *f, char *text, size_t capacity) {
    struct text_room room = {text, capacity};
    struct ask_status ask = {.no_field = 0};
    CALL(f, IPC_ADMIN, status, &ask, &room);
}

vlt_result fixture_tenant(struct keeper_fixture *f, const char *name, uint32_t *ret_number) {
    struct ask_tenant_create ask = {.name = bytes_of_text(name),
                                    .description = BYTES_LITERAL("{\"description\":\"for tests\"}"),
                                    .event = fixture_event("tenant.create")};
    CALL(f, IPC_ADMIN, tenant_create, &ask, ret_number);
}

static bool take_intake(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct record_key record;
    if (vlt_is_ok(record_key_parse(value, NULL, &record))) {
        if (!vlt_is_ok(jwk_parse_json(record.jwk, 0, NULL, context)))
            give_up("the intake key can not be read");
        record_key_done(&record);
    }
    return false;
}

// As the CLI and the admin role do it: seal to the published key, take apart.
static void seal_value(struct keeper_fixture *f, const char *text,
                       struct jwe_intake_fields *fields) {
    struct jwk *key = NULL;
    struct store *store = f->keeper ? f->keeper->store : NULL; // one of a file in a process
    if (!store && !vlt_is_ok(store_open(f->store_path, STORE_READ, NULL, &store)))
        give_up("the store can not be read");
    struct buf jwe;
    struct secret *value = secret_new(IPC_VALUE_MAX);
    buf_init(&jwe, JWE_INTAKE_MAX_BYTES);
    if (!vlt_is_ok(store_snapshot_begin(store)) ||
        !vlt_is_ok(store_each(store, STORE_SYSTEM_TENANT, STORE_INTAKE_KEY, bytes_of(NULL, 0),
                              bytes_of(NULL, 0), take_intake, &key)) ||
        !key || !vlt_is_ok(secret_set(value, text, strlen(text))) ||
        !vlt_is_ok(jwe_intake_seal(key, value, &jwe)) ||
        !vlt_is_ok(jwe_intake_split(buf_bytes(&jwe), fields)))
        give_up("a value can not be sealed to the intake key");
    store_snapshot_end(store);
    if (!f->keeper)
        store_close(store);
    buf_done(&jwe);
    secret_free(value);
    jwk_free(key);
}

vlt_result fixture_put(struct keeper_fixture *f, const struct put_request *request,
                       uint32_t *ret_version) {
    static struct jwe_intake_fields fields;
    uint8_t hosts[300];
    struct wire_writer w;
    wire_writer_init(&w, hosts, sizeof hosts);
    wire_put_text(&w, request->host);
    seal_value(f, request->value, &fields);
    struct ask_credential_put ask = {.tenant = request->tenant,
                                     .name = bytes_of_text(request->name),
                                     .mode = request->stages    ? CREDENTIAL_STAGE
                                             : request->rotates ? CREDENTIAL_ROTATE
                                                                : CREDENTIAL_CREATE,
                                     .form = request->form,
                                     .expected_revision = request->revision,
                                     .profile = BYTES_LITERAL("generic-bearer"),
                                     .hosts = bytes_of(hosts, w.size),
                                     .parameters = BYTES_LITERAL("{ \"b\":\"2\", \"a\":\"1\"}"),
                                     .description = BYTES_LITERAL("for tests"),
                                     .grace_s = request->grace_s,
                                     .intake_kid = bytes_of_text(fields.kid),
                                     .jwe_header = bytes_of(fields.aad, fields.aad_bytes),
                                     .ciphertext =
                                         bytes_of(fields.ciphertext, fields.ciphertext_bytes),
                                     .event = fixture_event("credential.put")};
    memcpy(ask.epk_x, fields.epk_x, 32);
    memcpy(ask.epk_y, fields.epk_y, 32);
    memcpy(ask.iv, fields.iv, 12);
    memcpy(ask.tag, fields.tag, 16);
    ask.tag[3] ^= request->breaks_tag;
    uint32_t ignored;
    CALL(f, IPC_ADMIN, credential_put, &ask, ret_version ? ret_version : &ignored);
}

vlt_result fixture_state(struct keeper_fixture *f, uint32_t tenant, const char *name,
                         uint8_t state) {
    struct ask_credential_state ask = {.tenant = tenant,
                                       .name = bytes_of_text(name),
                                       .state = state,
                                       .event = fixture_event("credential.state")};
    CALL(f, IPC_ADMIN, credential_state, &ask, NULL);
}

vlt_result fixture_commit(struct keeper_fixture *f, const struct store_change *changes,
                          size_t count) {
    static uint8_t room[110000];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    for (size_t i = 0; i < count; i++)
        store_change_put(&w, &changes[i]);
    struct ask_commit ask = {.changes = bytes_of(room, w.size),
                             .event = fixture_event("issuer.put")};
    CALL(f, IPC_ADMIN, commit, &ask, NULL);
}

vlt_result fixture_revoke_rule(struct keeper_fixture *f, uint32_t tenant, uint8_t kind,
                               const char *value) {
    struct ask_revoke_rule ask = {.tenant = tenant,
                                  .kind = kind,
                                  .value = bytes_of_text(value),
                                  .event = fixture_event("revoke.rule")};
    CALL(f, IPC_ADMIN, revoke_rule, &ask, NULL);
}

vlt_result fixture_revoke_token(struct keeper_fixture *f, uint32_t tenant, const char *token) {
    struct ask_revoke_token ask = {
        .tenant = tenant, .token = bytes_of_text(token), .event = fixture_event("token.revoke")};
    CALL(f, IPC_BROKER, revoke_token, &ask, NULL);
}

// ---- Tokens ----

void fixture_claims(struct token_claims *claims, const char *name, uint8_t key_byte) {
    *claims = (struct token_claims){
        .tenant = BYTES_LITERAL("default"),
        .principal = BYTES_LITERAL("https://id.example|alice"),
        .client = BYTES_LITERAL("cli"),
        .actors = {{.principal = BYTES_LITERAL("https://id.example|bot"), .kind = TOKEN_AGENT}},
        .actor_count = 1,
        .policy_set = BYTES_LITERAL("pol"),
        .detail_count = 1};
    claims->details[0].credential = bytes_of_text(name);
    claims->details[0].methods = (struct token_list){.count = 1, .items = {BYTES_LITERAL("POST")}};
    claims->details[0].paths = (struct token_list){.count = 1, .items = {BYTES_LITERAL("/v1/*")}};
    claims->binding = key_byte ? TOKEN_BOUND_DPOP : TOKEN_BEARER;
    memset(claims->thumbprint, key_byte, sizeof claims->thumbprint);
}

// Every call brings a proof that was not used before.
static void fresh_proof(uint8_t id[32], uint64_t *until) {
    static uint32_t count;
    memset(id, 0xa5, 32);
    count++;
    memcpy(id, &count, sizeof count);
    *until = (uint64_t)clock_now_s() + 60;
}

vlt_result fixture_sign(struct keeper_fixture *f, const struct token_claims *claims,
                        uint32_t tenant, uint32_t lifetime_s, struct signed_answer *ret_answer) {
    static uint8_t room[12288];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    token_claims_put(&w, claims);
    struct ask_sign ask = {.tenant = tenant,
                           .claims = bytes_of(room, w.size),
                           .lifetime_s = lifetime_s,
                           .event = fixture_event("token.issue")};
    if (claims->binding == TOKEN_BOUND_DPOP)
        fresh_proof(ask.proof_id, &ask.proof_until);
    CALL(f, IPC_BROKER, sign, &ask, ret_answer);
}

void fixture_open_request(struct ask_open *ask, const char *token, const char *name,
                          uint8_t key_byte) {
    *ask = (struct ask_open){.token = bytes_of_text(token),
                             .credential = bytes_of_text(name),
                             .method = BYTES_LITERAL("POST"),
                             .host = BYTES_LITERAL("api.example"),
                             .path = BYTES_LITERAL("/v1/chat"),
                             .proof_kind = key_byte ? TOKEN_BOUND_DPOP : TOKEN_BEARER,
                             .event = fixture_event("redeem")};
    memset(ask->proof_key, key_byte, sizeof ask->proof_key);
    fresh_proof(ask->proof_id, &ask->proof_until);
}

vlt_result fixture_open(struct keeper_fixture *f, const struct ask_open *ask,
                        struct opened_answer *ret_answer) {
    CALL(f, IPC_REDEEMER, open, ask, ret_answer);
}
