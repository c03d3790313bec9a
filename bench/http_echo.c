// SPDX-License-Identifier: Apache-2.0
// Echo over the server and codec that the roles use: the yardstick against which
// bench/run states redeems and tokens per second, and what a load generator
// measures to see what HTTP alone costs.
//
//   http_echo --port 0 [--cert CHAIN.pem --key KEY.pem]
//   http_echo --unix PATH
//
// Prints "listening on …" once and serves until SIGTERM or SIGINT. A request
// with a body gets it back; one without gets two bytes.
#include <arpa/inet.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vaultd/net/http_server.h"
#include "vaultd/net/tls.h"

struct options {
    const char *port, *unix_path, *cert, *key;
};

static void echo(struct http_exchange *x, void *ctx) {
    static const struct http_header headers[] = {
        {{(const uint8_t *)"Content-Type", 12}, {(const uint8_t *)"text/plain", 10}}};
    struct bytes body = http_exchange_request(x)->body;
    http_exchange_reply(x, 200, headers, 1, body.size ? body : BYTES_LITERAL("ok"));
}

static int listen_tcp(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return -1;
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    return fd;
}

static int listen_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!bytes_to_text(bytes_of_text(path), address.sun_path, sizeof address.sun_path))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0)
        return -1;
    printf("listening on %s\n", path);
    return fd;
}

static bool read_file(const char *path, char *text, size_t capacity, size_t *ret_size) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    *ret_size = fread(text, 1, capacity, file);
    fclose(file);
    return *ret_size < capacity;
}

static struct ssl_ctx_st *load_tls(const struct options *options) {
    static char chain[65536], key[65536];
    size_t chain_bytes, key_bytes;
    struct fault fault = {0};
    struct ssl_ctx_st *tls = NULL;
    if (!read_file(options->cert, chain, sizeof chain, &chain_bytes) ||
        !read_file(options->key, key, sizeof key, &key_bytes)) {
        fprintf(stderr, "certificate or key can not be read\n");
        return NULL;
    }
    const struct tls_settings settings = {.chain_pem = bytes_of(chain, chain_bytes),
                                          .key_pem = bytes_of(key, key_bytes)};
    vlt_result result = tls_server_context(&settings, &fault, &tls);
    if (!vlt_is_ok(result))
        fprintf(stderr, "%s\n", fault_or_reason(&fault, result));
    return tls;
}

static bool parse(int count, char **words, struct options *options) {
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--port") == 0)
            options->port = words[i + 1];
        else if (strcmp(words[i], "--unix") == 0)
            options->unix_path = words[i + 1];
        else if (strcmp(words[i], "--cert") == 0)
            options->cert = words[i + 1];
        else if (strcmp(words[i], "--key") == 0)
            options->key = words[i + 1];
        else
            return false;
    }
    return count % 2 == 1 && !options->port != !options->unix_path &&
           !options->cert == !options->key;
}

static void stop(evutil_socket_t fd, short what, void *base) { event_base_loopbreak(base); }

int main(int count, char **words) {
    struct options options = {0};
    if (!parse(count, words, &options)) {
        fprintf(stderr, "usage: http_echo --port PORT [--cert CHAIN --key KEY] | --unix PATH\n");
        return 2;
    }
    struct http_server_settings settings = http_server_settings_default;
    settings.handler = echo;
    settings.limits.body_bytes = 1 << 20;
    if (options.cert && !(settings.tls = load_tls(&options)))
        return 1;
    int fd = options.port ? listen_tcp(options.port) : listen_unix(options.unix_path);
    struct event_base *base = event_base_new();
    struct http_server *server = fd >= 0 && base ? http_server_new(base, &settings) : NULL;
    if (!server || !vlt_is_ok(http_server_listen_fd(server, fd, settings.tls != NULL, NULL))) {
        fprintf(stderr, "can not listen\n");
        return 1;
    }
    fflush(stdout);
    struct event *term = evsignal_new(base, SIGTERM, stop, base),
                 *interrupt = evsignal_new(base, SIGINT, stop, base);
    event_add(term, NULL);
    event_add(interrupt, NULL);
    event_base_dispatch(base);
    event_free(term);
    event_free(interrupt);
    http_server_free(server);
    SSL_CTX_free(settings.tls);
    event_base_free(base);
    return 0;
}
