// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/refusal.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/audit/event.h"
#include "libvault/base/jsontext.h"
#include "libvault/store/record_tenant.h"
#include "vaultd/admin/answer.h"
#include "vaultd/admin/ops.h"
#include "vaultd/ipc/reasons.h"

#define HEADERS_MAX 4
#define REASON_SIZE 513

struct watch {
    struct admin *admin;
    struct http_exchange *x;
    struct admin_caller caller;
    const char *operation;
    char tenant[RECORD_NAME_MAX + 1], subject[RECORD_NAME_MAX + 1];
    bool is_credential; // that is what the subject names
    bool is_told;
    // The answer, while it waits for its record.
    unsigned status;
    struct http_header headers[HEADERS_MAX]; // their texts are in `room`
    size_t header_count;
    struct buf room; // of header texts, then the body
    size_t body_at;
};

static void watch_free(void *context) {
    struct watch *watch = context;
    buf_done(&watch->room);
    free(watch);
}

// ---- The event ----

// A name of the API, and nothing that somebody made up: unknown members are quoted, too.
static bool is_member(const char *field, const char *detail) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return field && strlen(field) <= 32 && strspn(field, letters) == strlen(field) &&
           !strstr(detail, "unknown");
}

// Of a body that is not as it should be only which member was wrong: the sentence for the
// administrator may quote what stood there.
static void put_reason(unsigned status, struct bytes body, char reason[REASON_SIZE]) {
    json_t *problem = NULL;
    bool is_problem =
        vlt_is_ok(jsontext_parse(body, &jsontext_document_limits, NULL, &problem));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *field = json_string_value(json_object_get(problem, "field"));
    bool is_malformed = status == 400 || status == 415;
    if (status == 413)
        snprintf(reason, REASON_SIZE, REASON_MALFORMED ": the body is too large");
    else if (!is_problem || !detail)
        snprintf(reason, REASON_SIZE, "status %u", status);
    else if (!is_malformed)
        snprintf(reason, REASON_SIZE, "%s", detail);
    else if (is_member(field, detail))
        snprintf(reason, REASON_SIZE, REASON_MALFORMED ": %s", field);
    else
        snprintf(reason, REASON_SIZE, REASON_MALFORMED);
    json_decref(problem);
}

static void ask(const struct watch *watch, unsigned status, const char *reason,
                answer_record_fn *done, void *context) {
    struct bytes subject = bytes_of_text(watch->subject);
    const struct audit_event event = {
        .kind = AUDIT_ADMIN,
        .outcome = status >= 500 ? AUDIT_ERROR : AUDIT_DENY,
        .tenant = bytes_of_text(watch->tenant),
        .operation = bytes_of_text(watch->operation),
        .administrator = bytes_of_text(watch->caller.name),
        .source = bytes_of_text(watch->caller.source),
        .credential = watch->is_credential ? subject : bytes_of(NULL, 0),
        .subject = subject,
        .reason = bytes_of_text(reason)};
    uint8_t room[4096];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    const struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(watch->admin->auditor, &ask, done, context);
}

// ---- The answer ----

static void reply(const struct watch *watch) {
    struct bytes body = bytes_from(buf_bytes(&watch->room), watch->body_at);
    http_exchange_reply(watch->x, watch->status, watch->headers, watch->header_count, body);
}

static void on_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct watch *watch = context;
    // What failed anyway keeps its own advice: it is what helps.
    if (vlt_is_ok(result) || watch->status >= 500)
        reply(watch);
    else
        answer_problem(watch->x, 503, NULL,
                       "refused, and that could not be recorded: the auditor does not answer");
    watch_free(watch);
}

// The header's texts are in the room, which does not move any more.
static void keep_headers(struct watch *watch, const struct http_header *headers, size_t count) {
    const uint8_t *at = watch->room.at;
    for (size_t i = 0; i < count; i++) {
        watch->headers[i].name = bytes_of(at, headers[i].name.size);
        at += headers[i].name.size;
        watch->headers[i].value = bytes_of(at, headers[i].value.size);
        at += headers[i].value.size;
    }
    watch->header_count = count;
}

static bool keep(struct watch *watch, unsigned status, const struct http_header *headers,
                 size_t count, struct bytes body) {
    if (count > HEADERS_MAX)
        return false;
    watch->status = status;
    buf_init(&watch->room, SIZE_MAX / 4);
    for (size_t i = 0; i < count; i++) {
        buf_put(&watch->room, headers[i].name);
        buf_put(&watch->room, headers[i].value);
    }
    watch->body_at = watch->room.size;
    buf_put(&watch->room, body);
    if (buf_failed(&watch->room))
        return false;
    keep_headers(watch, headers, count);
    return true;
}

static void refused(struct http_exchange *x, unsigned status, const struct http_header *headers,
                    size_t count, struct bytes body, void *context) {
    struct watch *watch = context;
    char reason[REASON_SIZE];
    if (watch->is_told || !keep(watch, status, headers, count, body)) {
        http_exchange_reply(x, status, headers, count, body);
        watch_free(watch);
        return;
    }
    put_reason(status, body, reason);
    ask(watch, status, reason, on_recorded, watch);
}

// ---- Watching ----

static const struct http_review review = {refused, watch_free};

static void take_name(const struct http_parameters *parameters, const char *parameter,
                      char name[RECORD_NAME_MAX + 1]) {
    struct bytes value = http_parameter(parameters, parameter);
    if (record_name_is_valid(value))
        (void)bytes_to_text(value, name, RECORD_NAME_MAX + 1);
}

static struct watch *watch_new(struct admin *admin, struct http_exchange *x,
                               const struct http_parameters *parameters, const char *operation) {
    static const char *const names[] = {"name", "key", "kind"};
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    watch->admin = admin;
    watch->x = x;
    watch->caller = admin->caller;
    watch->operation = operation;
    take_name(parameters, "tenant", watch->tenant);
    for (size_t i = 0; i < sizeof names / sizeof *names && !watch->subject[0]; i++)
        take_name(parameters, names[i], watch->subject);
    watch->is_credential = !strncmp(operation, "credential.", strlen("credential.")) ||
                           !strcmp(operation, "rotate.credential");
    return watch;
}

bool refusal_watch(struct admin *admin, struct http_exchange *x,
                   const struct http_parameters *parameters, const char *operation) {
    struct watch *watch = watch_new(admin, x, parameters, operation);
    if (watch)
        http_exchange_set_review(x, &review, watch);
    else
        answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
    return watch != NULL;
}

void refusal_name(struct http_exchange *x, const char *operation) {
    struct watch *watch = http_exchange_review_context(x, &review);
    if (watch && strcmp(operation, "store.read") != 0) // what failed on the way to it
        watch->operation = operation;
}

const char *refusal_operation(struct http_exchange *x) {
    const struct watch *watch = http_exchange_review_context(x, &review);
    return watch ? watch->operation : NULL;
}

static void set_told(struct http_exchange *x, bool is_told) {
    struct watch *watch = http_exchange_review_context(x, &review);
    if (watch)
        watch->is_told = is_told;
}

void refusal_told(struct http_exchange *x) { set_told(x, true); }
void refusal_untold(struct http_exchange *x) { set_told(x, false); }

// ---- Larger than permitted ----

// Who sends over the network is not known yet: the head came with a token that nobody
// has verified.
void refusal_too_large(struct http_exchange *x, const struct http_route *route,
                       const struct http_parameters *parameters, void *ctx) {
    struct admin *admin = ctx;
    const struct http_peer *peer = http_exchange_peer(x);
    const char *operation = admin_route_operations[route - admin_routes];
    bool is_known = admin_caller_take(admin, peer);
    if (!operation ||
        refusal_watch(admin, x, parameters, is_known ? operation : "admin.connect"))
        http_exchange_reply_too_large(x);
}
