// SPDX-License-Identifier: Apache-2.0
#include "tests/devices/tpm_proxy.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint32_t be32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int proxy_socket(const char *path, bool listens) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *a = (const struct sockaddr *)&address;
    if (listens ? bind(fd, a, sizeof address) || listen(fd, 4) : connect(fd, a, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool proxy_is_stopping(struct tpm_proxy *proxy) {
    pthread_mutex_lock(&proxy->lock);
    bool stopping = proxy->stopping;
    pthread_mutex_unlock(&proxy->lock);
    return stopping;
}

// Waits in short steps, so that stopping never hangs.
static bool proxy_readable(struct tpm_proxy *proxy, int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (!proxy_is_stopping(proxy))
        if (poll(&p, 1, 20) > 0)
            return true;
    return false;
}

// One message of either direction: header with size, rest.
static size_t proxy_read(struct tpm_proxy *proxy, int fd, uint8_t message[4096]) {
    size_t have = 0, want = 10;
    while (have < want) {
        if (!proxy_readable(proxy, fd))
            return 0;
        ssize_t n = read(fd, message + have, want - have);
        if (n <= 0)
            return 0;
        have += (size_t)n;
        if (have == 10)
            want = be32(message + 2);
        if (want < 10 || want > 4096)
            return 0;
    }
    return have;
}

static void proxy_log(struct tpm_proxy *proxy, const uint8_t *at, size_t size) {
    pthread_mutex_lock(&proxy->lock);
    if (size <= sizeof proxy->transcript - proxy->transcript_bytes) {
        memcpy(proxy->transcript + proxy->transcript_bytes, at, size);
        proxy->transcript_bytes += size;
    }
    pthread_mutex_unlock(&proxy->lock);
}

static bool proxy_must_fail(struct tpm_proxy *proxy, uint32_t command, enum tpm_proxy_fault *fault,
                            uint32_t *code) {
    pthread_mutex_lock(&proxy->lock);
    bool is_it = proxy->command == command || !proxy->command;
    bool fails = is_it && proxy->times;
    proxy->seen += is_it;
    proxy->times -= fails;
    *fault = proxy->fault;
    *code = proxy->code;
    pthread_mutex_unlock(&proxy->lock);
    return fails;
}

// False when the connection is over.
static bool proxy_spoil(struct tpm_proxy *proxy, int client, enum tpm_proxy_fault fault,
                        uint32_t code, uint8_t *answer, size_t size) {
    const uint8_t plain[10] = {0x80,
                               0x01,
                               0,
                               0,
                               0,
                               10,
                               (uint8_t)(code >> 24),
                               (uint8_t)(code >> 16),
                               (uint8_t)(code >> 8),
                               (uint8_t)code};
    static const uint8_t garbage[64] = {0xde, 0xad, 0xff, 0xff, 0xff, 0xff};
    switch (fault) {
    case TPM_PROXY_ANSWER:
        return send(client, plain, sizeof plain, MSG_NOSIGNAL) == sizeof plain;
    case TPM_PROXY_GARBAGE:
        return send(client, garbage, sizeof garbage, MSG_NOSIGNAL) == sizeof garbage;
    case TPM_PROXY_CUT:
        (void)!send(client, answer, size / 2, MSG_NOSIGNAL);
        return false;
    case TPM_PROXY_FLIP:
        answer[size - 1] ^= 1;
        return send(client, answer, size, MSG_NOSIGNAL) == (ssize_t)size;
    case TPM_PROXY_FORGE:
        return send(client, proxy->forged, proxy->forged_bytes, MSG_NOSIGNAL) ==
               (ssize_t)proxy->forged_bytes;
    case TPM_PROXY_DELAY:
        poll(NULL, 0, (int)code);
        return send(client, answer, size, MSG_NOSIGNAL) == (ssize_t)size;
    case TPM_PROXY_SILENCE:
        break;
    }
    return true;
}

static bool proxy_turn(struct tpm_proxy *proxy, int client, int server) {
    uint8_t command[4096], answer[4096];
    enum tpm_proxy_fault fault;
    uint32_t code;
    size_t size = proxy_read(proxy, client, command);
    if (!size)
        return false;
    proxy_log(proxy, command, size);
    bool fails = proxy_must_fail(proxy, be32(command + 6), &fault, &code);
    bool needs_answer =
        fault == TPM_PROXY_CUT || fault == TPM_PROXY_FLIP || fault == TPM_PROXY_DELAY;
    if (fails && !needs_answer)
        return proxy_spoil(proxy, client, fault, code, NULL, 0);
    if (send(server, command, size, MSG_NOSIGNAL) != (ssize_t)size)
        return false;
    size = proxy_read(proxy, server, answer);
    if (!size)
        return false;
    proxy_log(proxy, answer, size);
    if (fails)
        return proxy_spoil(proxy, client, fault, code, answer, size);
    return send(client, answer, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static void *proxy_run(void *arg) {
    struct tpm_proxy *proxy = arg;
    while (proxy_readable(proxy, proxy->listener)) {
        int client = accept(proxy->listener, NULL, NULL);
        int server = client < 0 ? -1 : proxy_socket(proxy->server_path, false);
        while (server >= 0 && proxy_turn(proxy, client, server))
            continue;
        if (server >= 0)
            close(server);
        if (client >= 0)
            close(client);
    }
    return NULL;
}

struct tpm_proxy *tpm_proxy_start(const char *folder) {
    struct tpm_proxy *proxy = calloc(1, sizeof *proxy);
    snprintf(proxy->path, sizeof proxy->path, "%s/proxy.sock", folder);
    snprintf(proxy->server_path, sizeof proxy->server_path, "%s/tpm.sock", folder);
    pthread_mutex_init(&proxy->lock, NULL);
    proxy->listener = proxy_socket(proxy->path, true);
    if (proxy->listener < 0 || pthread_create(&proxy->thread, NULL, proxy_run, proxy)) {
        fprintf(stderr, "TPM proxy does not start at %s\n", proxy->path);
        exit(99);
    }
    return proxy;
}

void tpm_proxy_stop(struct tpm_proxy *proxy) {
    pthread_mutex_lock(&proxy->lock);
    proxy->stopping = true;
    pthread_mutex_unlock(&proxy->lock);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
    pthread_mutex_destroy(&proxy->lock);
    free(proxy);
}

void tpm_proxy_fail(struct tpm_proxy *proxy, uint32_t command, unsigned times,
                    enum tpm_proxy_fault fault, uint32_t code) {
    pthread_mutex_lock(&proxy->lock);
    proxy->command = command;
    proxy->times = times;
    proxy->fault = fault;
    proxy->code = code;
    proxy->seen = 0;
    pthread_mutex_unlock(&proxy->lock);
}

void tpm_proxy_forge(struct tpm_proxy *proxy, uint32_t command, unsigned times, const void *answer,
                     size_t size) {
    pthread_mutex_lock(&proxy->lock);
    proxy->forged_bytes = size < sizeof proxy->forged ? size : sizeof proxy->forged;
    memcpy(proxy->forged, answer, proxy->forged_bytes);
    pthread_mutex_unlock(&proxy->lock);
    tpm_proxy_fail(proxy, command, times, TPM_PROXY_FORGE, 0);
}

bool tpm_proxy_saw(struct tpm_proxy *proxy, const void *at, size_t size) {
    pthread_mutex_lock(&proxy->lock);
    bool saw = memmem(proxy->transcript, proxy->transcript_bytes, at, size) != NULL;
    pthread_mutex_unlock(&proxy->lock);
    return saw;
}

unsigned tpm_proxy_count(struct tpm_proxy *proxy) {
    pthread_mutex_lock(&proxy->lock);
    unsigned seen = proxy->seen;
    pthread_mutex_unlock(&proxy->lock);
    return seen;
}
