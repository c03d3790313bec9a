// SPDX-License-Identifier: Apache-2.0
// AuthZEN 1.0: POST /access/v1/evaluation and /access/v1/evaluations. A denial is
// 200 with false; why it was denied is in the audit record only. Each decision is
// durable before the answer leaves.
#include <stdlib.h>

#include "libvault/audit/event.h"
#include "libvault/base/jsontext.h"
#include "libvault/http/http_media.h"
#include "vaultd/broker/evaluate.h"

#define EVALUATIONS_MAX 32

enum semantic { EXECUTE_ALL, DENY_ON_FIRST_DENY, PERMIT_ON_FIRST_PERMIT };

struct evaluation {
    struct http_exchange *x;
    char request_id[REQUEST_ID_SIZE];
    bool is_batch;
    json_t *root;
    size_t count, unrecorded;
    bool decisions[EVALUATIONS_MAX];
    bool is_unrecordable;
};

// ---- Answers ----

static void evaluation_free(struct evaluation *e) {
    json_decref(e->root);
    free(e);
}

static void finish(struct evaluation *e) {
    const struct http_header headers[] = {
        HTTP_HEADER("Content-Type", BYTES_LITERAL(HTTP_JSON_MEDIA)),
        HTTP_HEADER("Cache-Control", BYTES_LITERAL("no-store")), request_id_header(e->request_id)};
    struct buf body;
    buf_init(&body, 64 * (EVALUATIONS_MAX + 2));
    if (e->is_batch)
        buf_put_text(&body, "{\"evaluations\":[");
    for (size_t i = 0; i < e->count; i++)
        buf_put_format(&body, "%s{\"decision\":%s}", i ? "," : "",
                       e->decisions[i] ? "true" : "false");
    if (e->is_batch)
        buf_put_text(&body, "]}");
    http_exchange_reply(e->x, 200, headers, e->request_id[0] ? 3 : 2, buf_bytes(&body));
    buf_done(&body);
    evaluation_free(e);
}

static void reply_unrecordable(struct evaluation *e) {
    const struct http_problem problem = {.status = 503,
                                         .detail = "the decision can not be recorded"};
    http_exchange_reply_problem(e->x, &problem);
    evaluation_free(e);
}

// ---- Recording ----

static void on_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct evaluation *e = context;
    if (!vlt_is_ok(result))
        e->is_unrecordable = true;
    if (--e->unrecorded)
        return;
    if (e->is_unrecordable)
        reply_unrecordable(e);
    else
        finish(e);
}

static void record(struct evaluation *e, const struct caller *caller,
                   const struct evaluate_question *q, const struct evaluate_answer *answer) {
    uint8_t room[8192];
    struct wire_writer w;
    const json_t *action = json_object_get(q->action, "name");
    bool is_allowed = answer->decision.is_allowed;
    struct audit_event event = caller_event(caller, is_allowed ? AUDIT_ALLOW : AUDIT_DENY,
                                            is_allowed ? "" : answer->decision.reason);
    event.subject = bytes_of(json_string_value(action), json_string_length(action));
    event.credential = answer->credential;
    event.policy_set = bytes_of_text(answer->policy_hash);
    event.policies = bytes_of_text(answer->decision.policies);
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    const struct ask_record ask = {.event = bytes_of(room, w.size)};
    e->unrecorded++;
    ask_record(caller->broker->auditor, &ask, on_recorded, e);
}

// ---- Questions ----

static struct evaluate_question question_of(const json_t *root, const json_t *item) {
    static const char *const names[] = {"subject", "action", "resource", "context"};
    const json_t *members[4];
    for (size_t i = 0; i < 4; i++) {
        members[i] = json_object_get(item, names[i]);
        if (!members[i])
            members[i] = json_object_get(root, names[i]); // a default of the batch
    }
    return (struct evaluate_question){members[0], members[1], members[2], members[3]};
}

static bool read_semantic(const json_t *root, enum semantic *ret_semantic) {
    static const char *const names[] = {"execute_all", "deny_on_first_deny",
                                        "permit_on_first_permit"};
    const json_t *options = json_object_get(root, "options");
    const json_t *wanted = json_object_get(options, "evaluations_semantic");
    *ret_semantic = EXECUTE_ALL;
    if (!options)
        return true;
    if (!json_is_object(options) || json_object_size(options) != (wanted ? 1u : 0u))
        return false;
    for (size_t i = 0; wanted && i < 3; i++) {
        if (json_is_string(wanted) && strcmp(json_string_value(wanted), names[i]) == 0) {
            *ret_semantic = (enum semantic)i;
            return true;
        }
    }
    return !wanted;
}

static vlt_result check_root(const struct evaluation *e, struct fault *fault,
                             enum semantic *semantic) {
    static const char *const single[] = {"subject", "action", "resource", "context", NULL};
    static const char *const batch[] = {"subject", "action",      "resource", "context",
                                        "options", "evaluations", NULL};
    const json_t *list = json_object_get(e->root, "evaluations");
    *semantic = EXECUTE_ALL;
    VLT_TRY(jsontext_only_members(e->root, e->is_batch ? batch : single, fault));
    if (list && (!json_is_array(list) || json_array_size(list) > EVALUATIONS_MAX))
        return fault_set(fault, VLT_MALFORMED, "not an evaluation request",
                         "evaluations is not a list of at most %d objects", EVALUATIONS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++)
        VLT_TRY(jsontext_only_members(json_array_get(list, i), single, fault));
    return read_semantic(e->root, semantic)
               ? vlt_ok()
               : fault_set(fault, VLT_MALFORMED, "not an evaluation request",
                           "options.evaluations_semantic is not known");
}

// Decides everything before it records anything, so that a malformed third
// question does not leave two decisions without an answer.
static vlt_result decide_all(struct evaluation *e, const struct caller *caller,
                             struct fault *fault,
                             struct evaluate_answer answers[EVALUATIONS_MAX],
                             struct evaluate_question questions[EVALUATIONS_MAX]) {
    enum semantic semantic;
    const json_t *list = json_object_get(e->root, "evaluations");
    size_t wanted = json_array_size(list);
    VLT_TRY(check_root(e, fault, &semantic));
    if (!wanted)
        e->is_batch = false; // AuthZEN 1.0 section 7: then it is a single evaluation
    for (size_t i = 0; i < (wanted ? wanted : 1); i++) {
        questions[i] = question_of(e->root, json_array_get(list, i));
        VLT_TRY(evaluate(caller, &questions[i], fault, &answers[i]));
        e->decisions[i] = answers[i].decision.is_allowed;
        e->count = i + 1;
        if ((semantic == DENY_ON_FIRST_DENY && !e->decisions[i]) ||
            (semantic == PERMIT_ON_FIRST_PERMIT && e->decisions[i]))
            break;
    }
    return vlt_ok();
}

static void refuse(struct evaluation *e, const struct caller *caller, const struct fault *fault,
                   vlt_result why) {
    if (why.class == VLT_UNAVAILABLE || why.class == VLT_BUG)
        caller_refuse(caller, 503, "", why.reason);
    else
        caller_refuse_malformed(caller, fault_or_reason(fault, why), why.reason);
    evaluation_free(e);
}

struct batch_room {
    struct evaluate_answer answers[EVALUATIONS_MAX];
    struct evaluate_question questions[EVALUATIONS_MAX];
};

static void decide_and_record(struct evaluation *e, const struct caller *caller) {
    struct fault fault = {0};
    struct batch_room *room = calloc(1, sizeof *room);
    vlt_result result = room ? decide_all(e, caller, &fault, room->answers, room->questions)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result)) {
        size_t count = e->count;
        e->unrecorded = 1; // our own, taken back last: an answer may come at once
        for (size_t i = 0; i < count; i++)
            record(e, caller, &room->questions[i], &room->answers[i]);
        on_recorded(vlt_ok(), NULL, e);
    } else {
        refuse(e, caller, &fault, result);
    }
    free(room);
}

static vlt_result read_body(struct evaluation *e, struct fault *fault) {
    const struct http_request *request = http_exchange_request(e->x);
    struct bytes media = {NULL, 0};
    if (http_header_find(&request->fields, "content-type", &media) != 1 ||
        !http_media_is(media, HTTP_JSON_MEDIA))
        return fault_set(fault, VLT_MALFORMED, "media type", "the body is not application/json");
    VLT_TRY(jsontext_parse(request->body, &jsontext_token_limits, fault, &e->root));
    return json_is_object(e->root)
               ? vlt_ok()
               : fault_set(fault, VLT_MALFORMED, "not an object", "the body is not an object");
}

static void answer(struct caller *caller, bool is_batch) {
    struct fault fault = {0};
    struct evaluation *e = calloc(1, sizeof *e);
    if (!e) {
        caller_refuse(caller, 503, "", "out of memory");
        return;
    }
    *e = (struct evaluation){.x = caller->x, .is_batch = is_batch};
    memcpy(e->request_id, caller->request_id, sizeof e->request_id);
    vlt_result result = read_body(e, &fault);
    if (!vlt_is_ok(result)) {
        refuse(e, caller, &fault, result);
    } else if (!caller->subject) {
        caller_refuse(caller, 403, "a forwarder does not ask for itself: redeem decides",
                      "a forwarder asked for itself");
        evaluation_free(e);
    } else {
        decide_and_record(e, caller);
    }
}

static void answer_one(struct caller *caller) { answer(caller, false); }
static void answer_batch(struct caller *caller) { answer(caller, true); }

static const struct caller_question evaluation = {AUDIT_EVALUATE, "policy.evaluate",
                                                  REFUSAL_PROBLEM};

void op_evaluation(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    caller_authenticate(ctx, x, parameters, &evaluation, answer_one);
}

void op_evaluations(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    caller_authenticate(ctx, x, parameters, &evaluation, answer_batch);
}
