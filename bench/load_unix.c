// SPDX-License-Identifier: Apache-2.0
// A load generator for unix sockets (wrk speaks TCP only): keeps N connections
// busy with one request each and counts the answers.
//
//   load_unix SOCKET REQUEST-FILE CONNECTIONS SECONDS [COUNT]
//
// Every run of '@' in the request is replaced by a number that grows with each
// request, so that one file can name a million records. Ends after SECONDS or
// COUNT answers and prints: answers, answers that were not 2xx, seconds.
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define ANSWER_MAX 65536

struct connection {
    int fd;
    size_t held;
    char answer[ANSWER_MAX];
};

static char request[65536];
static size_t request_size;
static uint64_t sent, answered, refused;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    request_size = fread(request, 1, sizeof request - 1, file);
    fclose(file);
}

static int dial(const char *path) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path)
        fail("socket path");
    memcpy(name.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&name, sizeof name) != 0)
        fail(path);
    return fd;
}

static void send_next(struct connection *c) {
    static char room[sizeof request];
    memcpy(room, request, request_size);
    for (size_t i = 0; i < request_size;) {
        size_t run = 0;
        while (i + run < request_size && room[i + run] == '@')
            run++;
        uint64_t number = sent;
        for (size_t digit = run; digit-- > 0; number /= 10)
            room[i + digit] = (char)('0' + number % 10);
        i += run ? run : 1;
    }
    sent++;
    if (write(c->fd, room, request_size) != (ssize_t)request_size)
        fail("write");
}

// Size of the first whole answer, 0 if there is none yet.
static size_t whole_answer(const struct connection *c) {
    const char *end = memmem(c->answer, c->held, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - c->answer) + 4, body = 0;
    for (const char *line = c->answer; line < end; line++)
        if (strncasecmp(line, "\r\ncontent-length:", 17) == 0)
            body = strtoul(line + 17, NULL, 10);
    return c->held >= head + body ? head + body : 0;
}

static void on_readable(struct connection *c) {
    ssize_t size = read(c->fd, c->answer + c->held, ANSWER_MAX - c->held);
    if (size <= 0)
        fail("the server closed a connection");
    c->held += (size_t)size;
    for (size_t whole; (whole = whole_answer(c));) {
        answered++;
        refused += c->answer[9] != '2';
        memmove(c->answer, c->answer + whole, c->held - whole);
        c->held -= whole;
        send_next(c);
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: load_unix SOCKET REQUEST-FILE CONNECTIONS SECONDS [COUNT]\n");
        return 2;
    }
    static struct connection connections[CONNECTIONS_MAX];
    size_t count = strtoul(argv[3], NULL, 10);
    double limit = strtod(argv[4], NULL);
    uint64_t most = argc > 5 ? strtoull(argv[5], NULL, 10) : UINT64_MAX;
    int poll = epoll_create1(0);
    if (count == 0 || count > CONNECTIONS_MAX || poll < 0)
        return 2;
    read_request(argv[2]);
    for (size_t i = 0; i < count; i++) {
        connections[i].fd = dial(argv[1]);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &connections[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &wanted);
        send_next(&connections[i]);
    }
    double start = now(), end = start;
    while (answered < most && (end = now()) - start < limit) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 100);
        for (int i = 0; i < ready; i++)
            on_readable(events[i].data.ptr);
    }
    printf("%llu %llu %.3f\n", (unsigned long long)answered, (unsigned long long)refused,
           end - start);
    return 0;
}
