// SPDX-License-Identifier: Apache-2.0
// Over 500 lines, as it is one thing: the child process in which the admin role meets a
// keeper and an auditor made for tests, who share one state.
#include "tests/unit/admin_harness.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/audit/event.h"
#include "libvault/base/b64u.h"
#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/pkey.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_key.h"
#include "vaultd/ipc/credential_change.h"
#include "vaultd/admin/admin.h"

#define HEAP_BYTES (4u << 20) // each channel keeps two frames in it
#define NOBODY 4294900000u

static void must(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "admin harness: %s\n", what);
    exit(70);
}

struct keeper {
    enum keeper_state state;
    struct store *store;
    EVP_PKEY *intake;
    uint32_t tenants;
    char opened[65]; // SHA-256 of the last value
    char rule[600];  // the last revocation
    struct buf log;  // JSON lines
    uint64_t log_count;
};

// ---- Audit ----

static void keep_event(struct keeper *keeper, struct bytes frame) {
    struct audit_event event;
    must(vlt_is_ok(audit_event_get(frame, &event)), "an event does not decode");
    must(event.administrator.size > 0 && event.operation.size > 0, "an event without its author");
    event.at_us = (uint64_t)clock_now_us();
    audit_event_json(&event, keeper->log_count++, &keeper->log);
    buf_put_byte(&keeper->log, '\n');
}

static void auditor_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                          void *context) {
    struct keeper *keeper = context;
    if (message == IPC_ASK_record) {
        struct ask_record ask;
        must(vlt_is_ok(ask_record_decode(frame, &ask)), "ask_record");
        keep_event(keeper, ask.event);
        const struct answer_record answer = {.sequence = keeper->log_count - 1};
        reply_record(call, vlt_ok(), &answer);
        return;
    }
    if (message == IPC_ASK_log_state) {
        const struct answer_log_state answer = {
            .description = BYTES_LITERAL("{\"records\":true,\"entries\":1,\"published\":1,"
                                         "\"sync_ms\":0}")};
        reply_log_state(call, vlt_ok(), &answer);
        return;
    }
    struct ask_read ask;
    must(message == IPC_ASK_read && vlt_is_ok(ask_read_decode(frame, &ask)), "ask_read");
    const struct answer_read answer = {.next = keeper->log_count,
                                       .entries = buf_bytes(&keeper->log)};
    reply_read(call, vlt_ok(), &answer);
}

// ---- Keeper ----

static vlt_result commit_one(struct keeper *keeper, uint32_t tenant, enum store_class class,
                             const char *name, json_t *record, uint64_t expected,
                             uint64_t *ret_revision) {
    char *text = json_dumps(record, JSON_COMPACT);
    json_decref(record);
    const struct store_change change = {.tenant = tenant,
                                        .class = class,
                                        .name = bytes_of_text(name),
                                        .value = bytes_of_text(text),
                                        .expected_revision = expected};
    vlt_result result = store_commit(keeper->store, &change, 1, ret_revision, NULL);
    free(text);
    return result;
}

// As the keeper does it: as many lines as there are shares, sealed to who asked.
static void seal_shares(const struct ask_init *ask, struct buf *out) {
    EVP_PKEY *pkey = NULL;
    struct jwk *key = NULL;
    char lines[16 * 8];
    must(ask->shares <= 16, "shares");
    for (unsigned i = 0; i < ask->shares; i++) {
        memcpy(lines + 8 * i, "share-a\n", 8);
        lines[8 * i + 6] = (char)('a' + i);
    }
    struct secret *texts = secret_new(sizeof lines);
    must(texts && vlt_is_ok(secret_set(texts, lines, 8u * ask->shares)), "shares");
    must(vlt_is_ok(pkey_p256_public(ask->reply_x, ask->reply_y, &pkey)), "reply key");
    must(vlt_is_ok(jwk_of_pkey(pkey, "reply", &key)), "reply key");
    must(vlt_is_ok(jwe_encrypt(JWE_ECDH_ES, JWE_A256GCM, key, texts, out)), "jwe_encrypt");
    jwk_free(key);
    secret_free(texts);
}

static void do_init(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_init ask;
    must(vlt_is_ok(ask_init_decode(frame, &ask)), "ask_init");
    struct jwk *jwk = NULL;
    struct record_key key = {.use = RECORD_KEY_INTAKE, .state = RECORD_KEY_ACTIVE,
                             .created_at = clock_now_s()};
    uint64_t revision;
    must(vlt_is_ok(pkey_generate(PKEY_P256, &keeper->intake)), "pkey_generate");
    EVP_PKEY_up_ref(keeper->intake);
    must(vlt_is_ok(jwk_of_pkey(keeper->intake, NULL, &jwk)), "jwk_of_pkey");
    char kid[JWK_THUMBPRINT_TEXT_SIZE];
    must(vlt_is_ok(jwk_thumbprint_text(jwk, kid)), "thumbprint");
    jwk_free(jwk);
    EVP_PKEY_up_ref(keeper->intake);
    must(vlt_is_ok(jwk_of_pkey(keeper->intake, kid, &jwk)), "jwk_of_pkey");
    must(vlt_is_ok(jwk_export(jwk, "ECDH-ES", "enc", &key.jwk)), "jwk_export");
    jwk_free(jwk);
    snprintf(key.kid, sizeof key.kid, "%s", kid);
    must(vlt_is_ok(
             commit_one(keeper, 0, STORE_INTAKE_KEY, kid, record_key_json(&key), 0, &revision)),
         "commit intake key");
    record_key_done(&key);
    keeper->state = KEEPER_UNSEALED;
    struct buf shares;
    buf_init(&shares, 4096);
    seal_shares(&ask, &shares);
    const struct answer_init answer = {.note = BYTES_LITERAL("made by a test"),
                                       .shares = buf_bytes(&shares)};
    reply_init(call, vlt_ok(), &answer);
    buf_done(&shares);
}

static void do_status(struct keeper *keeper, struct ipc_call *call) {
    struct buf text;
    buf_init(&text, 8192);
    buf_put_format(&text, "{\"opened_sha256\":\"%s\",\"rule\":", keeper->opened);
    jsontext_put_string(&text, bytes_of_text(keeper->rule));
    buf_put_text(&text, "}");
    const struct answer_status answer = {.state = (uint8_t)keeper->state,
                                         .description = buf_bytes(&text)};
    reply_status(call, vlt_ok(), &answer);
    buf_done(&text);
}

static void do_tenant(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_tenant_create ask;
    must(vlt_is_ok(ask_tenant_create_decode(frame, &ask)), "ask_tenant_create");
    keep_event(keeper, ask.event);
    json_t *record = NULL;
    must(vlt_is_ok(jsontext_parse(ask.description, &jsontext_document_limits, NULL, &record)),
         "tenant JSON");
    struct answer_tenant_create answer = {.tenant = keeper->tenants + 1};
    json_object_set_new(record, "number", json_integer(answer.tenant));
    char name[RECORD_NAME_MAX + 1];
    must(bytes_to_text(ask.name, name, sizeof name), "tenant name");
    vlt_result result = commit_one(keeper, 0, STORE_TENANT, name, record, 0, &answer.revision);
    if (vlt_is_ok(result))
        keeper->tenants++;
    reply_tenant_create(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void do_commit(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_commit ask;
    must(vlt_is_ok(ask_commit_decode(frame, &ask)), "ask_commit");
    keep_event(keeper, ask.event);
    struct store_change changes[STORE_CHANGES_MAX];
    size_t count = 0, conflict;
    struct wire_reader r;
    wire_reader_init(&r, ask.changes);
    while (r.next < r.size && !r.failed && count < STORE_CHANGES_MAX) {
        store_change_get(&r, &changes[count]);
        must(store_class_is_plain(changes[count].class),
             "a class that the admin role may not write");
        count++;
    }
    must(vlt_is_ok(wire_reader_end(&r)), "changes");
    struct answer_commit answer = {0};
    vlt_result result = store_commit(keeper->store, changes, count, &answer.revision, &conflict);
    reply_commit(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static vlt_result open_value(struct keeper *keeper, const struct ask_credential_put *ask) {
    struct jwe_intake_fields *fields = calloc(1, sizeof *fields);
    struct secret *value = secret_new(JWE_INTAKE_PLAINTEXT_MAX);
    must(fields && value, "memory");
    bytes_to_text(ask->intake_kid, fields->kid, sizeof fields->kid);
    memcpy(fields->epk_x, ask->epk_x, 32);
    memcpy(fields->epk_y, ask->epk_y, 32);
    memcpy(fields->iv, ask->iv, 12);
    memcpy(fields->tag, ask->tag, 16);
    memcpy(fields->aad, ask->jwe_header.at, fields->aad_bytes = ask->jwe_header.size);
    memcpy(fields->ciphertext, ask->ciphertext.at, fields->ciphertext_bytes = ask->ciphertext.size);
    vlt_result result = jwe_intake_open(keeper->intake, fields, value);
    uint8_t digest[32];
    if (vlt_is_ok(result))
        result = digest_sha256(bytes_of(secret_borrow(value), secret_size(value)), digest);
    secret_release(value);
    if (vlt_is_ok(result))
        hex_encode(bytes_of(digest, 32), keeper->opened);
    secret_free(value);
    free(fields);
    return result;
}

static vlt_result store_credential(struct keeper *keeper, const struct ask_credential_put *ask,
                                   struct answer_credential_put *ret_answer) {
    struct record_credential credential = {.status = RECORD_CREDENTIAL_ACTIVE,
                                           .created_at = clock_now_s()};
    struct bytes value;
    uint64_t revision = 0;
    must(vlt_is_ok(store_snapshot_begin(keeper->store)), "snapshot");
    if (vlt_is_ok(
            store_get(keeper->store, ask->tenant, STORE_CREDENTIAL, ask->name, &value, &revision)))
        must(vlt_is_ok(record_credential_parse(value, NULL, &credential)), "credential record");
    store_snapshot_end(keeper->store);
    if (ask->mode == CREDENTIAL_CREATE && revision &&
        credential.status != RECORD_CREDENTIAL_DELETED)
        return vlt_fail(VLT_CONFLICT, "exists");
    credential.status = RECORD_CREDENTIAL_ACTIVE;
    bytes_to_text(ask->name, credential.name, sizeof credential.name);
    bytes_to_text(ask->profile, credential.profile, sizeof credential.profile);
    bytes_to_text(ask->description, credential.description, sizeof credential.description);
    struct wire_reader r;
    wire_reader_init(&r, ask->hosts);
    for (credential.host_count = 0; r.next < r.size && !r.failed; credential.host_count++)
        wire_get_text(&r, credential.hosts[credential.host_count], 256);
    must(!r.failed && credential.host_count > 0, "hosts");
    json_decref(credential.parameters);
    must(vlt_is_ok(jsontext_parse(ask->parameters, &jsontext_document_limits, NULL,
                                  &credential.parameters)),
         "parameters");
    ret_answer->version = ++credential.version;
    char name[RECORD_NAME_MAX + 1];
    bytes_to_text(ask->name, name, sizeof name);
    vlt_result result =
        commit_one(keeper, ask->tenant, STORE_CREDENTIAL, name, record_credential_json(&credential),
                   revision, &ret_answer->revision);
    record_credential_done(&credential);
    return result;
}

static void do_credential(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_credential_put ask;
    must(vlt_is_ok(ask_credential_put_decode(frame, &ask)), "ask_credential_put");
    keep_event(keeper, ask.event);
    struct answer_credential_put answer = {0};
    vlt_result result = open_value(keeper, &ask);
    if (vlt_is_ok(result))
        result = store_credential(keeper, &ask, &answer);
    reply_credential_put(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void do_credential_state(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_credential_state ask;
    must(vlt_is_ok(ask_credential_state_decode(frame, &ask)), "ask_credential_state");
    keep_event(keeper, ask.event);
    struct record_credential credential;
    struct bytes value;
    must(vlt_is_ok(store_snapshot_begin(keeper->store)), "snapshot");
    must(vlt_is_ok(store_get(keeper->store, ask.tenant, STORE_CREDENTIAL, ask.name, &value, NULL)),
         "credential");
    must(vlt_is_ok(record_credential_parse(value, NULL, &credential)), "credential record");
    store_snapshot_end(keeper->store);
    credential.status = (enum record_credential_status)ask.state;
    struct answer_credential_state answer = {0};
    vlt_result result =
        commit_one(keeper, ask.tenant, STORE_CREDENTIAL, credential.name,
                   record_credential_json(&credential), ask.expected_revision, &answer.revision);
    record_credential_done(&credential);
    reply_credential_state(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void keeper_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                         void *context) {
    struct keeper *keeper = context;
    struct ask_seal seal;
    struct ask_revoke_rule rule;
    switch (message) {
    case IPC_ASK_status:
        do_status(keeper, call);
        return;
    case IPC_ASK_init:
        do_init(keeper, call, frame);
        return;
    case IPC_ASK_seal:
        must(vlt_is_ok(ask_seal_decode(frame, &seal)), "ask_seal");
        keep_event(keeper, seal.event);
        keeper->state = seal.seal ? KEEPER_SEALED : KEEPER_UNSEALED;
        reply_seal(call, vlt_ok(), &(struct answer_seal){0});
        return;
    case IPC_ASK_tenant_create:
        do_tenant(keeper, call, frame);
        return;
    case IPC_ASK_commit:
        do_commit(keeper, call, frame);
        return;
    case IPC_ASK_credential_put:
        do_credential(keeper, call, frame);
        return;
    case IPC_ASK_credential_state:
        do_credential_state(keeper, call, frame);
        return;
    case IPC_ASK_revoke_rule:
        must(vlt_is_ok(ask_revoke_rule_decode(frame, &rule)), "ask_revoke_rule");
        keep_event(keeper, rule.event);
        snprintf(keeper->rule, sizeof keeper->rule, "%u %u %.*s", rule.tenant, rule.kind,
                 (int)rule.value.size, (const char *)rule.value.at);
        reply_revoke_rule(call, vlt_ok(), &(struct answer_revoke_rule){0});
        return;
    default:
        must(false, "a message that the admin role may not send");
    }
}

static bool keeper_permits(unsigned states, void *context) {
    const struct keeper *keeper = context;
    return states & 1u << keeper->state;
}

// ---- The child ----

struct world {
    struct event_base *base;
    struct admin *admin;
    struct keeper keeper;
    struct channel *ends[4];
};

static void keeper_closed(struct channel *channel, const char *why, void *context) {
    struct world *world = context;
    if (world->admin && world->admin->keeper == channel)
        world->admin->keeper = NULL;
}

static const struct channel_events keeper_events = {.asked = keeper_asked,
                                                    .permits = keeper_permits};
static const struct channel_events auditor_events = {.asked = auditor_asked};
static const struct channel_events admin_events = {.closed = keeper_closed};

static void connect_roles(struct world *world, bool has_keeper) {
    int keeper[2], auditor[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, keeper) == 0, "socketpair");
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, auditor) == 0, "socketpair");
    world->ends[0] =
        channel_new(world->base, keeper[0], IPC_ADMIN, IPC_KEEPER, &admin_events, world);
    world->ends[1] =
        channel_new(world->base, keeper[1], IPC_KEEPER, IPC_ADMIN, &keeper_events, &world->keeper);
    world->ends[2] =
        channel_new(world->base, auditor[0], IPC_ADMIN, IPC_AUDITOR, &admin_events, world);
    world->ends[3] = channel_new(world->base, auditor[1], IPC_AUDITOR, IPC_ADMIN, &auditor_events,
                                 &world->keeper);
    world->admin->keeper = world->ends[0];
    world->admin->auditor = world->ends[2];
    if (!has_keeper) {
        channel_free(world->ends[1]);
        world->ends[1] = NULL;
    }
}

// A certificate of its own root for 127.0.0.1, also written to ca_file.
static void certificate_make(const struct harness *harness, struct buf *certificate,
                             struct buf *key) {
    EVP_PKEY *pkey = NULL;
    char *at;
    must(vlt_is_ok(pkey_generate(PKEY_P256, &pkey)), "pkey_generate");
    X509 *x509 = X509_new();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, pkey);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_EXTENSION *name = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(x509, name, -1);
    X509_EXTENSION_free(name);
    must(X509_sign(x509, pkey, EVP_sha256()) > 0, "X509_sign");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509);
    size_t certificate_bytes = (size_t)BIO_get_mem_data(bio, &at);
    buf_put(certificate, bytes_of(at, certificate_bytes));
    (void)BIO_reset(bio);
    PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    size_t key_bytes = (size_t)BIO_get_mem_data(bio, &at);
    buf_put(key, bytes_of(at, key_bytes));
    BIO_free(bio);
    FILE *file = fopen(harness->ca_file, "w");
    must(file && PEM_write_X509(file, x509) == 1 && fclose(file) == 0, "ca_file");
    X509_free(x509);
    EVP_PKEY_free(pkey);
}

static struct bytes settings_frame(const struct harness *harness,
                                   const struct harness_settings *wanted, uint8_t *room,
                                   size_t room_bytes) {
    struct buf certificate, key;
    buf_init(&certificate, 8192);
    buf_init(&key, 8192);
    if (wanted->oidc_tenant)
        certificate_make(harness, &certificate, &key);
    char store_path[128];
    uint8_t uids[16];
    struct wire_writer list, frame;
    snprintf(store_path, sizeof store_path, "%s/store", harness->folder);
    wire_writer_init(&list, uids, sizeof uids);
    wire_put_u32(&list, wanted->admits_nobody ? NOBODY : (uint32_t)getuid());
    const struct tell_settings_admin settings = {
        .issuer = BYTES_LITERAL("https://vault.test"),
        .store_path = bytes_of_text(store_path),
        .profiles_dir = BYTES_LITERAL(VAULT_SOURCE_DIR "/forward/profiles"),
        .allowed_uids = bytes_of(uids, list.size),
        .tls_certificate = buf_bytes(&certificate),
        .tls_key = buf_bytes(&key),
        .oidc_tenant = bytes_of_text(wanted->oidc_tenant),
        .max_connections = 64,
        .request_deadline_ms = 10000,
        .idle_ms = 10000,
    };
    wire_writer_init(&frame, room, room_bytes);
    tell_settings_admin_encode(&frame, &settings);
    buf_done(&certificate);
    buf_done(&key);
    return bytes_of(room, frame.size);
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
             listen(fd, 16) == 0,
         "listen");
    return fd;
}

static int listen_tls(void) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, 16) == 0,
         "listen");
    return fd;
}

static uint16_t port_of(int fd) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    must(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    return ntohs(address.sin_port);
}

static void on_term(evutil_socket_t fd, short what, void *context) {
    event_base_loopbreak(context);
}

static void child_run(const struct harness *harness, const struct harness_settings *settings,
                      int tls_fd, int ready) {
    struct world world = {.keeper.state = KEEPER_UNINITIALISED};
    struct fault fault = {0};
    uint8_t room[8192];
    must(vlt_is_ok(secret_heap_open(HEAP_BYTES, &fault)), fault.text);
    world.base = event_base_new();
    buf_init(&world.keeper.log, 1u << 20);
    // Before the store exists: one process must not open it twice.
    vlt_result result = admin_new(world.base, settings_frame(harness, settings, room, sizeof room),
                                  &fault, &world.admin);
    must(vlt_is_ok(result), fault_or_reason(&fault, result));
    result = store_open(world.admin->store_path, STORE_CREATE, &fault, &world.keeper.store);
    must(vlt_is_ok(result), fault_or_reason(&fault, result));
    world.admin->store = world.keeper.store;
    connect_roles(&world, !settings->has_no_keeper);
    result = http_server_listen_fd(world.admin->server,
                                   listen_at(harness->server + strlen("unix:")), false, &fault);
    if (vlt_is_ok(result) && tls_fd >= 0)
        result = http_server_listen_fd(world.admin->server, tls_fd, true, &fault);
    must(vlt_is_ok(result), fault_or_reason(&fault, result));
    struct event *term = evsignal_new(world.base, SIGTERM, on_term, world.base);
    evsignal_add(term, NULL);
    must(write(ready, "x", 1) == 1, "write");
    event_base_dispatch(world.base);
    event_free(term);
    for (size_t i = 0; i < 4; i++)
        channel_free(world.ends[i]);
    admin_free(world.admin); // closes the store
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    event_base_free(world.base);
    EVP_PKEY_free(world.keeper.intake);
    buf_done(&world.keeper.log);
    secret_heap_close();
    exit(0);
}

void harness_start(struct harness *harness, const struct harness_settings *settings) {
    int ready[2];
    char byte;
    snprintf(harness->folder, sizeof harness->folder, "/tmp/vault-admin-XXXXXX");
    must(mkdtemp(harness->folder) != NULL, "mkdtemp");
    snprintf(harness->server, sizeof harness->server, "unix:%s/admin.sock", harness->folder);
    int tls_fd = settings->oidc_tenant ? listen_tls() : -1;
    if (tls_fd >= 0)
        snprintf(harness->tls_server, sizeof harness->tls_server, "https://127.0.0.1:%u",
                 port_of(tls_fd));
    snprintf(harness->ca_file, sizeof harness->ca_file, "%s/ca.pem", harness->folder);
    must(pipe(ready) == 0, "pipe");
    fflush(NULL);
    harness->child = fork();
    must(harness->child >= 0, "fork");
    if (harness->child == 0) {
        close(ready[0]);
        child_run(harness, settings, tls_fd, ready[1]);
    }
    close(ready[1]);
    if (tls_fd >= 0)
        close(tls_fd);
    must(read(ready[0], &byte, 1) == 1, "the server did not start");
    close(ready[0]);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    return remove(path);
}

void harness_stop(struct harness *harness) {
    int status = -1;
    kill(harness->child, SIGTERM);
    must(waitpid(harness->child, &status, 0) == harness->child, "waitpid");
    nftw(harness->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server did not end in order");
}
