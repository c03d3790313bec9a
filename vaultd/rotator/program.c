// SPDX-License-Identifier: Apache-2.0
#include "vaultd/rotator/program.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvault/base/jsontext.h"
#include "vaultd/role/role.h"

#define REQUEST_MAX (RECIPE_VALUE_MAX * 2 + 16384)

struct program {
    struct event_base *base;
    struct role *role;
    struct timeval timeout;
    struct event *readable; // of the call that is under way; NULL: none
    int fd;
    struct secret *request, *body, *answer; // answer: the body of a call that is over
    call_done_fn *done;
    void *context;
};

struct program *program_new(struct event_base *base, struct role *role) {
    struct program *program = calloc(1, sizeof *program);
    if (!program)
        return NULL;
    program->base = base;
    program->role = role;
    program->fd = -1;
    program->request = secret_new(REQUEST_MAX);
    program->body = secret_new(RECIPE_ANSWER_MAX);
    program->answer = secret_new(RECIPE_ANSWER_MAX);
    if (!program->request || !program->body || !program->answer) {
        program_free(program);
        return NULL;
    }
    return program;
}

static void end(struct program *program) {
    if (program->readable)
        event_free(program->readable);
    if (program->fd >= 0)
        close(program->fd);
    program->readable = NULL;
    program->fd = -1;
    secret_wipe(program->request);
    secret_wipe(program->body);
}

void program_free(struct program *program) {
    if (!program)
        return;
    if (program->request && program->body && program->answer)
        end(program);
    secret_free(program->request);
    secret_free(program->body);
    secret_free(program->answer);
    free(program);
}

void program_configure(struct program *program, unsigned timeout_ms) {
    program->timeout = (struct timeval){timeout_ms / 1000, timeout_ms % 1000 * 1000};
}

// ---- The answer ----

static unsigned judge(struct bytes body, char why[200]) {
    static const struct jsontext_limits limits = {.max_bytes = RECIPE_ANSWER_MAX, .max_depth = 8};
    json_t *root = NULL;
    if (!vlt_is_ok(jsontext_parse(body, &limits, NULL, &root)) || !json_is_object(root)) {
        json_decref(root);
        snprintf(why, 200, "the program gave no JSON object");
        return 500;
    }
    const char *error = json_string_value(json_object_get(root, "error"));
    bool is_refused = json_is_true(json_object_get(root, "refused"));
    if (error)
        snprintf(why, 200, "%s", error);
    json_decref(root);
    return is_refused ? 403 : error ? 500 : 200;
}

static void finish(struct program *program, bool has_answer) {
    char why[200] = "the program gave no answer in time";
    struct secret *answer = program->body;
    program->body = program->answer;
    program->answer = answer;
    end(program); // `done` may ask another
    struct bytes body = bytes_of(secret_borrow(answer), secret_size(answer));
    unsigned status = has_answer ? judge(body, why) : 0;
    program->done(status, body, why, program->context);
    secret_release(answer);
    secret_wipe(answer);
}

static void on_readable(evutil_socket_t fd, short what, void *context) {
    struct program *program = context;
    size_t have = secret_size(program->body), room = secret_capacity(program->body) - have;
    if (what & EV_TIMEOUT || room == 0) {
        finish(program, false);
        return;
    }
    uint8_t *at = secret_borrow_room(program->body);
    ssize_t size = read(fd, at + have, room);
    secret_release_sized(program->body, have + (size > 0 ? (size_t)size : 0));
    if (size <= 0)
        finish(program, size == 0);
}

// ---- The question ----

static vlt_result write_request(struct program *program, enum recipe_step step,
                                const struct recipe_values *values, const struct secret *value) {
    static const char *const steps[RECIPE_STEP_COUNT] = {"list", "mint", "verify", "revoke"};
    json_t *text = json_stringn((const char *)secret_borrow(value), secret_size(value));
    secret_release(value);
    json_t *root =
        text ? json_pack("{s:s, s:O, s:s*, s:s*, s:o}", "step", steps[step], "parameters",
                         values->parameters, "mark", values->mark, "id", values->id, "value", text)
             : NULL;
    size_t size = root ? json_dumpb(root, NULL, 0, JSON_COMPACT) : 0;
    vlt_result result = vlt_ok();
    if (size == 0 || size > secret_capacity(program->request))
        result = vlt_fail(VLT_MALFORMED, "the credential is no text, or too long for a program");
    if (vlt_is_ok(result)) {
        char *room = (char *)secret_borrow_room(program->request);
        secret_release_sized(program->request, json_dumpb(root, room, size, JSON_COMPACT));
    }
    json_decref(root);
    return result;
}

static vlt_result send_request(struct program *program) {
    size_t size = secret_size(program->request);
    // It fits into the socket's buffer, or this machine's limits are odd.
    ssize_t sent = write(program->fd, secret_borrow(program->request), size);
    secret_release(program->request);
    secret_wipe(program->request);
    if (sent != (ssize_t)size || shutdown(program->fd, SHUT_WR) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "the program can not be asked");
    return vlt_ok();
}

static vlt_result start(struct program *program, const char *name) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "no socket for the program");
    program->fd = ends[0];
    // Ours alone: a program expects standard input that waits.
    vlt_result result = evutil_make_socket_nonblocking(ends[0]) == 0
                            ? send_request(program)
                            : vlt_fail(VLT_UNAVAILABLE, "no socket for the program");
    program->readable = vlt_is_ok(result) ? event_new(program->base, ends[0],
                                                      EV_READ | EV_PERSIST, on_readable, program)
                                          : NULL;
    if (!program->readable || event_add(program->readable, &program->timeout) != 0) {
        close(ends[1]);
        return vlt_is_ok(result) ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : result;
    }
    role_run_program(program->role, name, ends[1]);
    return vlt_ok();
}

vlt_result program_begin(struct program *program, const char *name, enum recipe_step step,
                         const struct recipe_values *values, const struct secret *value,
                         call_done_fn *done, void *context) {
    if (program->fd >= 0)
        return vlt_fail(VLT_BUG, "a program is being asked");
    program->done = done;
    program->context = context;
    vlt_result result = write_request(program, step, values, value);
    if (vlt_is_ok(result))
        result = start(program, name);
    if (!vlt_is_ok(result))
        end(program);
    return result;
}
