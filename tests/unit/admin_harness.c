// SPDX-License-Identifier: Apache-2.0
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

#include "libvault/crypto/pkey.h"
#include "tests/unit/admin_harness_keeper.h"
#include "vaultd/admin/admin.h"

#define HEAP_BYTES (4u << 20) // each channel keeps two frames in it
#define NOBODY 4294900000u

struct world {
    struct event_base *base;
    struct admin *admin;
    struct harness_keeper keeper;
    struct channel *ends[4];
};

static void keeper_closed(struct channel *channel, const char *why, void *context) {
    struct world *world = context;
    if (world->admin && world->admin->keeper == channel)
        world->admin->keeper = NULL;
}

static const struct channel_events keeper_events = {.asked = harness_keeper_asked,
                                                    .permits = harness_keeper_permits};
static const struct channel_events auditor_events = {.asked = harness_auditor_asked};
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
    world.keeper.init_fails = settings->init_fails;
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
