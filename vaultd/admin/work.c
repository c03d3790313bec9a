// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/work.h"

#include <stdio.h>
#include <stdlib.h>

#include "vaultd/admin/keeper_state.h"
#include "vaultd/admin/refusal.h"
#include "vaultd/log/log.h"

struct admin_work *work_new(struct admin *admin, struct http_exchange *x, const char *operation) {
    struct admin_work *work = calloc(1, sizeof *work);
    if (!work) {
        answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
        return NULL;
    }
    work->admin = admin;
    work->x = x;
    work->caller = admin->caller;
    work->kind = AUDIT_ADMIN;
    work->operation = operation;
    work->status = 200;
    refusal_name(x, operation);
    return work;
}

void work_free(struct admin_work *work) {
    if (!work)
        return;
    json_decref(work->reply);
    if (work->more_free)
        work->more_free(work->more);
    free(work);
}

void work_set_tenant(struct admin_work *work, const struct record_tenant *tenant) {
    work->tenant = tenant->number;
    snprintf(work->tenant_name, sizeof work->tenant_name, "%s", tenant->name);
}

void work_set_subject(struct admin_work *work, const char *subject) {
    snprintf(work->subject, sizeof work->subject, "%s", subject);
}

struct bytes work_event(struct admin_work *work, enum audit_outcome outcome, const char *reason) {
    const struct audit_event event = {
        .kind = (uint8_t)work->kind,
        .outcome = (uint8_t)outcome,
        .tenant = bytes_of_text(work->tenant_name),
        .operation = bytes_of_text(work->operation),
        .administrator = bytes_of_text(work->caller.name),
        .source = bytes_of_text(work->caller.source),
        .credential = bytes_of_text(work->credential),
        .policy_set = bytes_of_text(work->policy_set),
        .subject = bytes_of_text(work->subject),
        .reason = bytes_of_text(reason),
    };
    struct wire_writer w;
    wire_writer_init(&w, work->event, sizeof work->event);
    audit_event_put(&w, &event);
    refusal_told(work->x);
    return bytes_of(work->event, w.failed ? 0 : w.size);
}

void work_reply(struct admin_work *work, uint64_t revision) {
    json_t *reply = work->reply ? work->reply : json_object();
    work->reply = NULL;
    bool is_read = http_exchange_request(work->x)->method == HTTP_GET;
    answer_json(work->x, work->status, reply, revision);
    (is_read ? log_debug : log_info)("%s%s%s%s%s by %s", work->operation,
                                     work->tenant_name[0] ? " " : "", work->tenant_name,
                                     work->subject[0] ? " " : "", work->subject,
                                     work->caller.name);
    work_free(work);
}

// ---- Failure ----

static const char *advice(enum keeper_state state) {
    switch (state) {
    case KEEPER_UNINITIALISED:
        return "the vault is not initialised: run `vaultctl init`";
    case KEEPER_SEALED:
        return "the vault is sealed: run `vaultctl unseal`";
    case KEEPER_STARTING:
        return "the keeper is starting: try again in a moment";
    default:
        return NULL;
    }
}

// Why the keeper does not serve, in its own words; "" when it did not say.
static void keeper_reason(const struct answer_status *answer, char *text, size_t capacity) {
    json_t *root = NULL;
    text[0] = 0;
    if (!vlt_is_ok(jsontext_parse(answer->description, &jsontext_document_limits, NULL, &root)))
        return;
    const char *reason = json_string_value(json_object_get(root, "reason"));
    if (reason && answer->state != KEEPER_UNSEALED)
        snprintf(text, capacity, " (%s)", reason);
    json_decref(root);
}

void work_fail_state(struct admin_work *work, vlt_result result) {
    static const char gone[] =
        "the keeper does not answer: it may be restarting; look at the log of vaultd";
    answer_problem(work->x, 503, NULL, "%s", result.reason == keeper_silent ? result.reason : gone);
    work_free(work);
}

static void state_known(vlt_result result, const struct answer_status *answer, void *context) {
    struct admin_work *work = context;
    char reason[400] = "";
    if (!vlt_is_ok(result)) {
        work_fail_state(work, result);
        return;
    }
    keeper_reason(answer, reason, sizeof reason);
    const char *text = advice((enum keeper_state)answer->state);
    answer_problem(work->x, 503, NULL, "%s%s", text ? text : work->failure.reason, reason);
    work_free(work);
}

static void device_state_known(vlt_result result, const struct answer_status *answer,
                               void *context) {
    struct admin_work *work = context;
    char reason[400] = "";
    bool is_init = strcmp(work->operation, "vault.init") == 0; // which need not be told to run it
    if (vlt_is_ok(result))
        keeper_reason(answer, reason, sizeof reason);
    if (result.reason == keeper_silent)
        answer_problem(work->x, 503, NULL, "%s", keeper_silent);
    else if (vlt_is_ok(result) && answer->state == KEEPER_UNINITIALISED && !reason[0] &&
             !is_init)
        answer_problem(work->x, 503, NULL, "%s", advice(KEEPER_UNINITIALISED));
    else
        answer_problem(work->x, 503, NULL, "%s failed: %s%s", work->operation, work->failure.reason,
                       reason);
    work_free(work);
}

// Nobody but this role can record what the keeper did not hear of.
static void note_unheard(struct admin_work *work, vlt_result result) {
    if (channel_was_unheard(result))
        refusal_untold(work->x);
}

void work_fail_device(struct admin_work *work, vlt_result result) {
    note_unheard(work, result);
    log_notice("%s by %s failed: %s", work->operation, work->caller.name, result.reason);
    work->failure = result;
    keeper_state_ask(work, device_state_known);
}

void work_fail(struct admin_work *work, vlt_result result) {
    note_unheard(work, result);
    if (result.class == VLT_UNAVAILABLE) {
        work->failure = result;
        keeper_state_ask(work, state_known);
        return;
    }
    log_notice("%s%s%s by %s failed: %s", work->operation, work->subject[0] ? " " : "",
               work->subject, work->caller.name, result.reason);
    answer_failure(work->x, result, NULL, NULL);
    work_free(work);
}

static void denial_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result) && work->status == 401)
        answer_unauthenticated(work->x, work->failure.reason);
    else if (vlt_is_ok(result))
        answer_problem(work->x, work->status, NULL, "%s", work->failure.reason);
    else
        answer_problem(work->x, 503, NULL,
                       "the decision could not be recorded: the auditor does not answer");
    work_free(work);
}

void work_deny(struct admin_work *work, unsigned status, const char *detail) {
    work->status = status;
    work->failure = vlt_fail(VLT_DENIED, detail);
    log_notice("%s denied to %s: %s", work->operation, work->caller.name, detail);
    const struct ask_record ask = {.event = work_event(work, AUDIT_DENY, detail)};
    ask_record(work->admin->auditor, &ask, denial_recorded, work);
}

// ---- Commit ----

static void committed(vlt_result result, const struct answer_commit *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result)) {
        work_reply(work, answer->revision);
    } else if (result.class == VLT_CONFLICT) {
        answer_problem(work->x, 409, NULL,
                       "somebody else changed this meanwhile: read it again and repeat");
        work_free(work);
    } else {
        work_fail(work, result);
    }
}

void work_commit(struct admin_work *work, const struct store_change *changes, size_t count) {
    uint8_t *room = malloc(CHANNEL_FRAME_MAX);
    if (!room) {
        answer_problem(work->x, 503, NULL, "the admin role is out of memory: try again");
        work_free(work);
        return;
    }
    struct wire_writer w;
    wire_writer_init(&w, room, CHANNEL_FRAME_MAX);
    for (size_t i = 0; i < count; i++)
        store_change_put(&w, &changes[i]);
    if (w.failed) {
        work_fail(work, vlt_fail(VLT_LIMIT, "the record is too large"));
    } else {
        const struct ask_commit ask = {.changes = bytes_of(room, w.size),
                                       .event = work_event(work, AUDIT_ALLOW, NULL)};
        ask_commit(work->admin->keeper, &ask, committed, work);
    }
    free(room);
}
