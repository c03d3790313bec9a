// SPDX-License-Identifier: Apache-2.0
#include "vaultd/broker/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- The answer ----

void refusal_set_unavailable(struct refusal *refusal) {
    static const char why[] = "The vault can not decide at the moment.";
    refusal->form = refusal->form == REFUSAL_PROBLEM ? REFUSAL_PROBLEM : REFUSAL_OAUTH;
    refusal->status = 503;
    refusal->code = "temporarily_unavailable";
    refusal->challenge = NULL;
    memcpy(refusal->description, why, sizeof why);
}

static void reply_problem(const struct refusal *refusal, const struct http_header *headers,
                          size_t count) {
    struct http_header all[8] = {
        HTTP_HEADER("content-type", BYTES_LITERAL(HTTP_PROBLEM_MEDIA)),
        HTTP_HEADER("cache-control", BYTES_LITERAL("no-store"))};
    const struct http_problem problem = {.status = refusal->status,
                                         .detail = refusal->description};
    struct buf body;
    buf_init(&body, 4096);
    http_problem_write(&problem, &body);
    memcpy(all + 2, headers, count * sizeof *headers);
    http_exchange_reply(refusal->x, refusal->status, all, count + 2, buf_bytes(&body));
    buf_done(&body);
}

static void reply_silence(const struct refusal *refusal, const struct http_header *id) {
    const struct http_header headers[] = {HTTP_HEADER("cache-control", BYTES_LITERAL("no-store")),
                                          *id};
    http_exchange_reply(refusal->x, 200, headers, id->value.size ? 2 : 1, bytes_of(NULL, 0));
}

// `sequence`: the entry of the audit log that it is; 0: none.
static void reply(const struct refusal *refusal, uint64_t sequence) {
    char digits[20];
    struct http_header headers[4] = {request_id_header(refusal->request_id)};
    size_t count = headers[0].value.size ? 1 : 0;
    if (refusal->form == REFUSAL_SILENT) {
        reply_silence(refusal, &headers[0]);
        return;
    }
    if (sequence && refusal->names_entry)
        headers[count++] = HTTP_HEADER("vault-audit-entry", bytes_of_number(sequence, digits));
    if (refusal->challenge)
        headers[count++] = HTTP_HEADER("www-authenticate", bytes_of_text(refusal->challenge));
    if (refusal->status == 503)
        headers[count++] = HTTP_HEADER("retry-after", BYTES_LITERAL("1"));
    if (refusal->form == REFUSAL_PROBLEM)
        reply_problem(refusal, headers, count);
    else
        http_exchange_reply_oauth_error(refusal->x, refusal->status, refusal->code,
                                        refusal->description, headers, count);
}

static void reply_unavailable(const struct refusal *refusal) {
    struct refusal other = *refusal;
    refusal_set_unavailable(&other);
    reply(&other, 0);
}

// ---- The record ----

static void on_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct refusal *refusal = context;
    if (vlt_is_ok(result))
        reply(refusal, answer->sequence);
    else
        reply_unavailable(refusal);
    free(refusal);
}

static void ask(struct broker *broker, const struct audit_event *event, answer_record_fn *done,
                void *context) {
    uint8_t room[8192];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, event);
    const struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(broker->auditor, &ask, done, context);
}

void refusal_run(const struct refusal *refusal, const struct audit_event *event,
                 const char *reason) {
    struct audit_event refused = *event;
    struct refusal *waiting = malloc(sizeof *waiting);
    if (!waiting) {
        reply_unavailable(refusal);
        return;
    }
    *waiting = *refusal;
    refused.outcome = refusal->status == 503 ? AUDIT_ERROR : AUDIT_DENY;
    refused.reason = bytes_of_text(reason);
    refused.correlation = bytes_of_text(waiting->request_id);
    ask(refusal->broker, &refused, on_recorded, waiting);
}

// ---- Larger than permitted ----

static const struct {
    http_route_handler *handler;
    enum audit_kind kind;
    const char *operation;
} asked_by[] = {{op_token, AUDIT_ISSUE, "token.issue"},
                {op_introspect, AUDIT_INTROSPECT, "token.introspect"},
                {op_revoke, AUDIT_REVOKE, "token.revoke"},
                {op_evaluation, AUDIT_EVALUATE, "policy.evaluate"},
                {op_evaluations, AUDIT_EVALUATE, "policy.evaluate"}};

void refusal_too_large(struct http_exchange *x, const struct http_route *route,
                       const struct http_parameters *parameters, void *ctx) {
    for (size_t i = 0; i < sizeof asked_by / sizeof *asked_by; i++) {
        if (asked_by[i].handler != route->handler)
            continue;
        struct refusal refusal = {
            .broker = ctx, .x = x, .form = REFUSAL_PROBLEM, .status = 413, .names_entry = true};
        const struct audit_event event = {
            .kind = (uint8_t)asked_by[i].kind,
            .operation = bytes_of_text(asked_by[i].operation),
            .tenant = broker_tenant_name(parameters),
            .source = bytes_of_text(http_exchange_peer(x)->address)};
        snprintf(refusal.description, sizeof refusal.description, "%s",
                 http_refusal_text(HTTP_BODY_TOO_LARGE));
        request_id_take(x, refusal.request_id);
        refusal_run(&refusal, &event, REASON_MALFORMED ": the body is too large");
        return;
    }
    http_exchange_reply_too_large(x);
}
