// SPDX-License-Identifier: Apache-2.0
// What the vault says of itself: /v1/status tells everything, /v1/ready whether it
// could serve, /v1/health that this process lives. The keeper is asked first, then
// the roles around the audit log, which get a moment to answer: one that hangs must
// not keep the others' answers from who looks for it.
#include <stdio.h>
#include <stdlib.h>

#include "vaultd/admin/keeper_state.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

#define LOOK_MS 1000

struct look {
    struct admin_work *work; // NULL: it was answered
    struct event *late;
    unsigned waiting; // answers that are still to come; each has this as its context
    void (*finish)(struct admin_work *work);
};

// ---- Asking ----

static void conclude(struct look *look) {
    struct admin_work *work = look->work;
    look->work = NULL;
    if (work)
        look->finish(work);
    if (look->waiting)
        return;
    event_free(look->late);
    free(look);
}

static void add_part(struct look *look, const char *name, vlt_result result,
                     struct bytes description, const char *silence) {
    json_t *part = NULL;
    look->waiting--;
    if (vlt_is_ok(result))
        result = jsontext_parse(description, &jsontext_document_limits, NULL, &part);
    if (look->work)
        json_object_set_new(look->work->reply, name,
                            vlt_is_ok(result) ? part : json_string(silence));
    else
        json_decref(part);
    if (look->waiting == 0)
        conclude(look);
}

static const char shipper_silent[] = "the shipper does not answer";
static const char auditor_silent[] = "the auditor does not answer";

static void shipping_known(vlt_result result, const struct answer_shipping *answer, void *context) {
    add_part(context, "shipping", result,
             vlt_is_ok(result) ? answer->description : bytes_of(NULL, 0), shipper_silent);
}

static void log_state_known(vlt_result result, const struct answer_log_state *answer,
                            void *context) {
    add_part(context, "audit", result,
             vlt_is_ok(result) ? answer->description : bytes_of(NULL, 0), auditor_silent);
}

static void too_late(evutil_socket_t fd, short what, void *context) {
    struct look *look = context;
    json_t *reply = look->work->reply;
    if (look->work->admin->ships && !json_object_get(reply, "shipping"))
        json_object_set_new(reply, "shipping", json_string(shipper_silent));
    if (!json_object_get(reply, "audit"))
        json_object_set_new(reply, "audit", json_string(auditor_silent));
    conclude(look);
}

// The work's reply is filled in, then `finish` is called. Takes the work.
static void look_around(struct admin_work *work, void (*finish)(struct admin_work *work)) {
    const struct timeval within = {LOOK_MS / 1000, LOOK_MS % 1000 * 1000};
    struct admin *admin = work->admin;
    struct look *look = calloc(1, sizeof *look);
    if (look)
        look->late = evtimer_new(admin->base, too_late, look);
    if (!look || !look->late || event_add(look->late, &within) != 0) {
        if (look && look->late)
            event_free(look->late);
        free(look);
        work_fail(work, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
        return;
    }
    look->work = work;
    look->finish = finish;
    look->waiting = 1; // ours: an ask that fails is answered at once
    const struct ask_shipping shipping = {0};
    const struct ask_log_state state = {0};
    if (admin->ships && ++look->waiting)
        ask_shipping(admin->shipper, &shipping, shipping_known, look);
    if (admin->auditor && ++look->waiting)
        ask_log_state(admin->auditor, &state, log_state_known, look);
    if (--look->waiting == 0)
        conclude(look);
}

// ---- Status ----

static void status_finish(struct admin_work *work) {
    struct http_exchange *x = work->x;
    answer_json(x, 200, work->reply, 0);
    work->reply = NULL;
    work_free(work);
}

static json_t *description_of(const struct answer_status *answer) {
    json_t *description = NULL;
    if (vlt_is_ok(jsontext_parse(answer->description, &jsontext_document_limits, NULL,
                                 &description)) &&
        json_is_object(description))
        return description;
    json_decref(description);
    return json_object();
}

static void status_known(vlt_result result, const struct answer_status *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result)) {
        work_fail_state(work, result);
        return;
    }
    json_t *description = description_of(answer);
    work->reply = json_pack("{s:s}", "state", keeper_state_name((enum keeper_state)answer->state));
    if (work->reply)
        json_object_update_missing(work->reply, description);
    json_decref(description);
    struct http_server_counters counters;
    http_server_counters(work->admin->server, &counters);
    json_object_set_new(work->reply, "admin_requests", json_integer((json_int_t)counters.requests));
    json_object_set_new(work->reply, "auditor",
                        json_string(work->admin->auditor ? "running" : "not running"));
    look_around(work, status_finish);
}

OP(op_status) {
    struct admin *admin = ctx;
    struct admin_work *work = work_new(admin, x, "vault.status");
    if (work)
        keeper_state_ask(work, status_known);
}

// ---- Readiness ----

// Reasons, one behind the other.
struct reasons {
    char text[1200];
    size_t size;
};

static VLT_PRINTF(2, 3) void add_reason(struct reasons *reasons, const char *format, ...) {
    va_list arguments;
    size_t room = sizeof reasons->text - reasons->size;
    if (reasons->size && room > 2) {
        memcpy(reasons->text + reasons->size, "; ", 3);
        reasons->size += 2;
        room -= 2;
    }
    va_start(arguments, format);
    int size = vsnprintf(reasons->text + reasons->size, room, format, arguments);
    va_end(arguments);
    if (size > 0)
        reasons->size += (size_t)size < room ? (size_t)size : room - 1;
}

static void look_at_devices(const json_t *reply, struct reasons *reasons) {
    const json_t *devices = json_object_get(reply, "devices");
    const json_t *seals_in = json_object_get(reply, "seals_in_s");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        const char *state = json_string_value(json_object_get(device, "state"));
        const char *name = json_string_value(json_object_get(device, "name"));
        if (state && name && (!strcmp(state, "lost") || !strcmp(state, "tampered")))
            add_reason(reasons, "device %s is %s", name, state);
    }
    if (seals_in)
        add_reason(reasons,
                   "the vault seals itself in %lld s, and data keys that are not in memory can not "
                   "be used",
                   (long long)json_integer_value(seals_in));
}

// Nobody waits for receivers, but what only the vault has can be lost with it.
static void look_at_shipping(const json_t *reply, struct reasons *reasons) {
    const json_t *shipping = json_object_get(reply, "shipping");
    const char *name;
    json_t *receiver;
    if (json_is_string(shipping))
        add_reason(reasons, "%s", json_string_value(shipping));
    json_object_foreach((json_t *)(uintptr_t)shipping, name, receiver) {
        const char *problem = json_string_value(json_object_get(receiver, "problem"));
        if (problem)
            add_reason(reasons, "the %s is %lld entries of the audit log behind: %s", name,
                       (long long)json_integer_value(json_object_get(receiver, "behind")), problem);
    }
}

// False: nothing can be recorded, and so nothing is released.
static bool look_at_log(const json_t *reply, struct reasons *reasons) {
    const json_t *audit = json_object_get(reply, "audit");
    const char *problem = json_string_value(json_object_get(audit, "problem"));
    if (json_is_string(audit))
        problem = json_string_value(audit);
    if (problem)
        add_reason(reasons, "audit log: %s", problem);
    return json_is_true(json_object_get(audit, "records"));
}

static void ready_finish(struct admin_work *work) {
    struct reasons reasons = {.size = 0};
    bool records = look_at_log(work->reply, &reasons);
    if (!records) {
        answer_problem(work->x, 503, NULL, "%s: nothing can be released",
                       reasons.size ? reasons.text : "audit log: nothing is recorded");
        work_free(work);
        return;
    }
    look_at_devices(work->reply, &reasons);
    look_at_shipping(work->reply, &reasons);
    answer_json(work->x, 200,
                reasons.size ? json_pack("{s:s, s:s}", "status", "degraded", "reason", reasons.text)
                             : json_pack("{s:s}", "status", "ready"),
                0);
    work_free(work);
}

static void readiness_known(vlt_result result, const struct answer_status *answer, void *context) {
    struct admin_work *work = context;
    bool is_unsealed = vlt_is_ok(result) && answer->state == KEEPER_UNSEALED;
    if (is_unsealed && work->admin->auditor) {
        work->reply = description_of(answer);
        look_around(work, ready_finish);
    } else if (is_unsealed) {
        answer_problem(work->x, 503, NULL, "the auditor is not running: nothing can be released");
        work_free(work);
    } else if (vlt_is_ok(result)) {
        work_fail(work, vlt_fail(VLT_UNAVAILABLE, "not ready"));
    } else {
        work_fail_state(work, result);
    }
}

OP(op_ready) {
    struct admin *admin = ctx;
    struct admin_work *work = work_new(admin, x, "vault.ready");
    if (work)
        keeper_state_ask(work, readiness_known);
}

// This process lives; whether the vault serves is /v1/ready.
OP(op_health) { answer_json(x, 200, json_pack("{s:s}", "status", "alive"), 0); }
