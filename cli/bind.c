// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/bind_members.h"
#include "libvault/base/clock.h"
#include "libvault/crypto/random.h"

#define SECRET_ENTROPY 24
#define RENEW_MARGIN_MS 30000 // a token is not used when less than this is left …
#define RENEW_PART 5          // … or less than a fifth of its life

// ---- Tokens ----

// With the lock held.
static int token_renew(struct bind *bind) {
    if (bind->token.text && clock_elapsed_ms() < bind->renew_at_ms)
        return EXIT_OK;
    struct vault_token token = {0};
    int status = token_fetch(bind->settings.command, bind->settings.wish, bind->key, &token);
    if (status != EXIT_OK)
        return status;
    int64_t life_ms = (int64_t)token.lifetime_s * 1000;
    int64_t margin_ms =
        life_ms / RENEW_PART < RENEW_MARGIN_MS ? life_ms / RENEW_PART : RENEW_MARGIN_MS;
    vault_token_done(&bind->token);
    bind->token = token;
    bind->renew_at_ms = clock_elapsed_ms() + life_ms - margin_ms;
    return EXIT_OK;
}

int bind_authorize(struct bind *bind, const char *method, struct bytes path, struct buf *token,
                   struct buf *proof) {
    struct buf url;
    buf_init(&url, 16384);
    buf_put_text(&url, bind->origin);
    buf_put(&url, bytes_of(path.at, bytes_find(path, '?')));
    pthread_mutex_lock(&bind->lock);
    int status = token_renew(bind);
    if (status == EXIT_OK) {
        const struct vault_proof wanted = {
            .method = method, .url = buf_text(&url), .token = bind->token.text};
        buf_put_text(token, bind->token.text);
        vlt_result result = wanted.url ? vault_key_prove(bind->key, &wanted, proof)
                                       : vlt_fail(VLT_LIMIT, "the path is too long");
        if (!vlt_is_ok(result))
            status = command_fail(bind->settings.command, result, NULL);
    }
    pthread_mutex_unlock(&bind->lock);
    buf_done(&url);
    return status;
}

// ---- Connections ----

struct connection {
    struct bind *bind;
    int client;
};

static bool client_add(struct bind *bind, int client) {
    bool has_room = false;
    pthread_mutex_lock(&bind->lock);
    for (size_t i = 0; i < BIND_CONNECTIONS_MAX && !has_room && !bind->is_stopping; i++) {
        if (bind->clients[i] >= 0)
            continue;
        bind->clients[i] = client;
        bind->client_count++;
        has_room = true;
    }
    pthread_mutex_unlock(&bind->lock);
    return has_room;
}

// Closes under the lock: a descriptor in the list is open.
static void client_remove(struct bind *bind, int client) {
    pthread_mutex_lock(&bind->lock);
    for (size_t i = 0; i < BIND_CONNECTIONS_MAX; i++)
        if (bind->clients[i] == client)
            bind->clients[i] = -1;
    close(client);
    bind->client_count--;
    pthread_cond_broadcast(&bind->ended);
    pthread_mutex_unlock(&bind->lock);
}

static void *connection_run(void *context) {
    struct connection connection = *(struct connection *)context;
    free(context);
    bind_relay(connection.bind, connection.client);
    client_remove(connection.bind, connection.client);
    return NULL;
}

static void *acceptor_run(void *context) {
    struct bind *bind = context;
    for (;;) {
        int client = accept4(bind->fd, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            return NULL; // bind_stop has shut the listener down
        struct connection *connection = malloc(sizeof *connection);
        pthread_t thread;
        if (!connection || !client_add(bind, client)) {
            free(connection);
            close(client);
            continue;
        }
        *connection = (struct connection){bind, client};
        if (pthread_create(&thread, NULL, connection_run, connection) == 0) {
            pthread_detach(thread);
            continue;
        }
        free(connection);
        client_remove(bind, client);
    }
}

// ---- Life ----

// "https://host:1/prefix/" → origin, host, and the path without a last slash.
static vlt_result forwarder_split(struct bind *bind, const char *forwarder, const char **ret_path,
                                  size_t *ret_path_size, struct fault *fault) {
    const char *begin = strstr(forwarder, "://");
    bool is_web =
        begin && (!strncmp(forwarder, "http://", 7) || !strncmp(forwarder, "https://", 8));
    size_t host_size = is_web ? strcspn(begin + 3, "/?#") : 0;
    if (!host_size || strpbrk(forwarder, "?#@ ") || strlen(forwarder) >= sizeof bind->origin)
        return fault_set(fault, VLT_MALFORMED, "bad forwarder",
                         "%.80s: give the forwarder as http://host:port or https://host",
                         forwarder);
    begin += 3;
    snprintf(bind->host, sizeof bind->host, "%.*s", (int)host_size, begin);
    snprintf(bind->origin, sizeof bind->origin, "%.*s", (int)(begin - forwarder + (long)host_size),
             forwarder);
    *ret_path = begin + host_size;
    *ret_path_size = strlen(*ret_path);
    while (*ret_path_size && (*ret_path)[*ret_path_size - 1] == '/')
        --*ret_path_size;
    return vlt_ok();
}

// A parameter named `bind` hides the call of that name.
static int listen_name(int fd, const struct sockaddr *address, socklen_t size) {
    return bind(fd, address, size);
}

static vlt_result listener_open(struct bind *bind, const char *path, size_t path_size) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    bind->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind->fd < 0 || listen_name(bind->fd, (struct sockaddr *)&address, size) != 0 ||
        listen(bind->fd, BIND_CONNECTIONS_MAX) != 0 ||
        getsockname(bind->fd, (struct sockaddr *)&address, &size) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "there is no port on loopback to listen at");
    snprintf(bind->local, sizeof bind->local, "http://127.0.0.1:%u%.*s", ntohs(address.sin_port),
             (int)path_size, path);
    return vlt_ok();
}

static void bind_free(struct bind *bind) {
    if (bind->fd >= 0)
        close(bind->fd);
    pthread_cond_destroy(&bind->ended);
    pthread_mutex_destroy(&bind->lock);
    vault_token_done(&bind->token);
    vault_key_free(bind->key);
    secret_cleanse(bind->secret, sizeof bind->secret);
    free(bind);
}

static vlt_result prepare(struct bind *bind, struct fault *fault) {
    const char *path;
    size_t path_size;
    VLT_TRY(forwarder_split(bind, bind->settings.forwarder, &path, &path_size, fault));
    // Looks like a key, so that SDKs that check the shape are content.
    memcpy(bind->secret, "sk-vault-local-", 15);
    VLT_TRY(random_text(SECRET_ENTROPY, bind->secret + 15));
    VLT_TRY(vault_key_generate(&bind->key));
    return listener_open(bind, path, path_size);
}

// Signals are the main thread's: it passes them on.
static bool acceptor_start(struct bind *bind) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool is_started = pthread_create(&bind->acceptor, NULL, acceptor_run, bind) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

int bind_start(const struct bind_settings *settings, struct bind **ret_bind) {
    struct fault fault = {0};
    struct bind *bind = calloc(1, sizeof *bind);
    if (!bind)
        return command_fail(settings->command, vlt_fail(VLT_UNAVAILABLE, "out of memory"), NULL);
    bind->settings = *settings;
    bind->fd = -1;
    pthread_mutex_init(&bind->lock, NULL);
    pthread_cond_init(&bind->ended, NULL);
    for (size_t i = 0; i < BIND_CONNECTIONS_MAX; i++)
        bind->clients[i] = -1;
    vlt_result result = prepare(bind, &fault);
    int status = vlt_is_ok(result) ? token_renew(bind)
                 : result.class == VLT_MALFORMED
                     ? command_usage(settings->command, "%s", fault.text)
                     : command_fail(settings->command, result, &fault);
    if (status == EXIT_OK && !acceptor_start(bind))
        status = command_fail(settings->command, vlt_fail(VLT_UNAVAILABLE, "no thread"), NULL);
    if (status != EXIT_OK) {
        bind_free(bind);
        return status;
    }
    *ret_bind = bind;
    return EXIT_OK;
}

void bind_stop(struct bind *bind) {
    if (!bind)
        return;
    pthread_mutex_lock(&bind->lock);
    bind->is_stopping = true;
    for (size_t i = 0; i < BIND_CONNECTIONS_MAX; i++)
        if (bind->clients[i] >= 0)
            shutdown(bind->clients[i], SHUT_RDWR);
    shutdown(bind->fd, SHUT_RDWR);
    while (bind->client_count)
        pthread_cond_wait(&bind->ended, &bind->lock);
    pthread_mutex_unlock(&bind->lock);
    pthread_join(bind->acceptor, NULL);
    bind_free(bind);
}

const char *bind_forwarder(const struct bind *bind) { return bind->local; }
const char *bind_secret(const struct bind *bind) { return bind->secret; }
