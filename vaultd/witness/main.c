// SPDX-License-Identifier: Apache-2.0
// vault-witness: cosigns checkpoints of audit logs over the C2SP witness protocol.
// Runs apart from the vault, on another host or as another user (vault-witness(8)).
//
//   vault-witness --name NAME --state FOLDER --listen ADDRESS:PORT
//     [--tls-certificate FILE --tls-key FILE] --log VKEY…
//
// Its key is made at the first start (FOLDER/key) and its verifier key printed.
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/tile.h"
#include "libvault/audit/witness.h"
#include "libvault/base/clock.h"
#include "libvault/base/freshfile.h"
#include "libvault/crypto/pkey.h"
#include "libvault/secret/secret_file.h"
#include "vaultd/net/http_router.h"
#include "vaultd/net/tls.h"
#include "vaultd/sandbox/sandbox.h"

#define HEAP_BYTES (256u << 10)
#define PEM_MAX_BYTES (64u << 10)

struct options {
    const char *name, *state, *listen, *certificate, *key; // certificate NULL: no TLS
};

static int usage(void) {
    fputs("usage: vault-witness --name NAME --state FOLDER --listen ADDRESS:PORT\n"
          "         [--tls-certificate FILE --tls-key FILE] --log VKEY…\n", stderr);
    return 2;
}

static bool parse(int count, char **words, struct options *options, struct witness *witness) {
    for (int i = 1; i + 1 < count; i += 2) {
        const char *value = words[i + 1];
        if (strcmp(words[i], "--name") == 0)
            options->name = value;
        else if (strcmp(words[i], "--state") == 0)
            options->state = value;
        else if (strcmp(words[i], "--listen") == 0)
            options->listen = value;
        else if (strcmp(words[i], "--tls-certificate") == 0)
            options->certificate = value;
        else if (strcmp(words[i], "--tls-key") == 0)
            options->key = value;
        else if (strcmp(words[i], "--log") != 0 || witness->log_count == WITNESS_LOGS_MAX ||
                 !vlt_is_ok(
                     note_key_parse(bytes_of_text(value), &witness->logs[witness->log_count])) ||
                 witness->logs[witness->log_count++].type != NOTE_ED25519)
            return false;
    }
    return count % 2 == 1 && options->name && options->state && options->listen &&
           witness->log_count && !options->certificate == !options->key;
}

// ---- Key ----

// Everybody may read it: that is said, and no reason to stand still.
static void warn_of(const char *name, const char *path) {
    struct fault fault = {0};
    vlt_result result = secret_file_check(name, path, &fault);
    if (!vlt_is_ok(result))
        fprintf(stderr, "vault-witness: warning: %s\n", fault_or_reason(&fault, result));
}

// Written whole before it has its name: a key that was cut short would be lost.
static vlt_result save_seed(int folder, const struct secret *seed) {
    int fd = freshfile_open(folder, "key.new", 0600);
    bool is_saved = fd >= 0 &&
                    write(fd, secret_borrow(seed), PKEY_PRIVATE_SIZE) == PKEY_PRIVATE_SIZE &&
                    fsync(fd) == 0;
    if (fd >= 0)
        secret_release(seed);
    if (fd >= 0)
        close(fd);
    is_saved = is_saved && renameat(folder, "key.new", folder, "key") == 0 && fsync(folder) == 0;
    if (is_saved)
        return vlt_ok();
    return vlt_fail(VLT_UNAVAILABLE, "the key can not be saved in the folder of --state: "
                                     "is there room, and may this user write there?");
}

static vlt_result load_seed(int folder, struct secret *seed, EVP_PKEY **ret_pkey) {
    int fd = openat(folder, "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        VLT_TRY(pkey_generate(PKEY_ED25519, ret_pkey));
        VLT_TRY(pkey_to_secret(*ret_pkey, seed));
        return save_seed(folder, seed);
    }
    ssize_t size = fd >= 0 ? read(fd, secret_borrow_room(seed), PKEY_PRIVATE_SIZE) : -1;
    if (fd >= 0) {
        secret_release_sized(seed, size == PKEY_PRIVATE_SIZE ? PKEY_PRIVATE_SIZE : 0);
        close(fd);
    }
    if (size != PKEY_PRIVATE_SIZE)
        return vlt_fail(VLT_UNAVAILABLE, "the file key in the folder of --state can not be read: "
                                         "it must be what a witness made there, and this user's");
    return pkey_of_secret(PKEY_ED25519, seed, ret_pkey);
}

static vlt_result load_key(struct witness *witness, const char *name) {
    EVP_PKEY *pkey = NULL;
    uint8_t public_key[32];
    struct secret *seed = secret_new(PKEY_PRIVATE_SIZE);
    if (!seed)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = load_seed(witness->folder, seed, &pkey);
    secret_free(seed);
    VLT_TRY(result);
    VLT_TRY(pkey_ed25519_public(pkey, public_key));
    VLT_TRY(jwk_of_pkey(pkey, NULL, &witness->signer));
    return note_key_init(bytes_of_text(name), NOTE_COSIGNATURE, public_key, &witness->key);
}

static vlt_result open_state(struct witness *witness, const struct options *options,
                             struct fault *fault) {
    if (mkdir(options->state, 0700) != 0 && errno != EEXIST)
        return fault_set(fault, VLT_UNAVAILABLE, "no folder", "%s can not be made: %s",
                         options->state, strerror(errno));
    witness->folder = open(options->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Check and store are one step only while nobody else does them.
    if (witness->folder < 0 || flock(witness->folder, LOCK_EX | LOCK_NB) != 0)
        return fault_set(fault, VLT_UNAVAILABLE, "no folder", "%s can not be used: %s",
                         options->state,
                         errno == EWOULDBLOCK ? "another witness uses it" : strerror(errno));
    VLT_TRY(load_key(witness, options->name));
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/key", options->state) < (int)sizeof path)
        warn_of("the key", path);
    return vlt_ok();
}

// ---- HTTP ----

static void on_add(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct buf out;
    buf_init(&out, 4096);
    unsigned status =
        witness_add_checkpoint(ctx, http_exchange_request(x)->body, (uint64_t)clock_now_s(), &out);
    bool is_size = status == 409;
    http_exchange_reply_typed(x, status, is_size ? WITNESS_SIZE_MEDIA : "text/plain; charset=utf-8",
                              buf_bytes(&out));
    buf_done(&out);
}

// All of it: strtoul takes what is left of 99999, and 0 would be any port.
static bool read_address(const char *text, struct sockaddr_in *address) {
    char host[64];
    const char *colon = strrchr(text, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    address->sin_port = htons((uint16_t)port);
    return port >= 1 && port <= 65535 && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
           bytes_to_text(bytes_of(text, (size_t)(colon - text)), host, sizeof host) &&
           inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static int listen_on(const char *text, struct fault *fault) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = -1, on = 1;
    if (read_address(text, &address))
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 128) == 0)
        return fd;
    vlt_result said = fault_set(fault, VLT_UNAVAILABLE, "no listener", "can not listen on %s: %s",
                                text, fd < 0 ? "not an IPv4 address and port" : strerror(errno));
    (void)said;
    return -1;
}

static void stop(evutil_socket_t fd, short what, void *base) { event_base_loopbreak(base); }

static vlt_result read_pem(const char *path, struct fault *fault, struct buf *out) {
    FILE *file = fopen(path, "rb");
    uint8_t *room = buf_extend(out, PEM_MAX_BYTES);
    size_t size = file && room ? fread(room, 1, PEM_MAX_BYTES, file) : 0;
    out->size = size;
    if (file)
        fclose(file);
    return size ? vlt_ok()
                : fault_set(fault, VLT_UNAVAILABLE, "a file can not be read", "%s can not be read",
                            path);
}

static vlt_result use_tls(struct http_server *server, const struct options *options,
                          struct fault *fault) {
    struct buf chain, key;
    SSL_CTX *tls = NULL;
    buf_init(&chain, PEM_MAX_BYTES);
    buf_init(&key, PEM_MAX_BYTES);
    vlt_result result = read_pem(options->certificate, fault, &chain);
    warn_of("--tls-key", options->key);
    if (vlt_is_ok(result))
        result = read_pem(options->key, fault, &key);
    const struct tls_settings settings = {.chain_pem = buf_bytes(&chain),
                                          .key_pem = buf_bytes(&key)};
    if (vlt_is_ok(result))
        result = tls_server_context(&settings, fault, &tls);
    if (vlt_is_ok(result))
        http_server_set_tls(server, tls);
    SSL_CTX_free(tls);
    if (key.at)
        OPENSSL_cleanse(key.at, key.capacity);
    buf_done(&key);
    buf_done(&chain);
    return result;
}

static vlt_result listen_all(struct http_server *server, const struct options *options,
                             struct fault *fault) {
    if (options->certificate)
        VLT_TRY(use_tls(server, options, fault));
    int fd = listen_on(options->listen, fault);
    if (fd < 0)
        return vlt_fail(VLT_UNAVAILABLE, "can not listen");
    VLT_TRY(http_server_listen_fd(server, fd, options->certificate != NULL, fault));
    return sandbox_enter_witness(fault);
}

static vlt_result serve(struct witness *witness, const struct options *options,
                        struct fault *fault) {
    static const struct http_route routes[] = {
        {HTTP_POST, "/add-checkpoint", on_add, WITNESS_BODY_MAX}};
    struct http_router router = {routes, 1, witness, NULL};
    struct http_server_settings settings = http_server_settings_default;
    settings.handler = http_router_handler;
    settings.body_max = http_router_body_max_handler;
    settings.ctx = &router;
    struct event_base *base = event_base_new();
    struct http_server *server = base ? http_server_new(base, &settings) : NULL;
    struct event *term = base ? evsignal_new(base, SIGTERM, stop, base) : NULL;
    if (!server || !term || event_add(term, NULL) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = listen_all(server, options, fault);
    if (vlt_is_ok(result))
        event_base_dispatch(base);
    event_free(term);
    http_server_free(server);
    event_base_free(base);
    return result;
}

static vlt_result begin(struct witness *witness, const struct options *options,
                        struct fault *fault) {
    struct buf vkey;
    VLT_TRY(open_state(witness, options, fault));
    buf_init(&vkey, NOTE_VKEY_MAX);
    note_key_text(&witness->key, &vkey);
    const char *text = buf_text(&vkey);
    if (text)
        puts(text);
    buf_done(&vkey);
    return fflush(stdout) == 0 && text ? serve(witness, options, fault)
                                       : vlt_fail(VLT_UNAVAILABLE, "no standard output");
}

int main(int count, char **words) {
    static struct witness witness = {.folder = -1};
    struct options options = {0};
    struct fault fault = {0};
    vlt_result result = sandbox_begin(&fault);
    if (vlt_is_ok(result))
        result = secret_heap_open(HEAP_BYTES, &fault);
    if (vlt_is_ok(result) && !parse(count, words, &options, &witness))
        return usage();
    if (vlt_is_ok(result))
        result = begin(&witness, &options, &fault);
    note_key_done(&witness.key);
    jwk_free(witness.signer);
    for (size_t i = 0; i < witness.log_count; i++)
        note_key_done(&witness.logs[i]);
    if (vlt_is_ok(result))
        return EXIT_SUCCESS;
    fprintf(stderr, "vault-witness: %s\n", fault_or_reason(&fault, result));
    return EXIT_FAILURE;
}
