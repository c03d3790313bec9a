// SPDX-License-Identifier: Apache-2.0
// An administrator orders the rotation of a credential at its provider, looks at
// it, or has what failed tried again at once.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/job_queue.h"

static void reply(struct ipc_call *call, const struct record_rotation_job *record) {
    json_t *json = record_rotation_job_json(record);
    if (json)
        json_object_set_new(json, "is_under_way",
                            json_boolean(record_rotation_is_under_way(record)));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    struct answer_job_order answer = {.description = bytes_of_text(text)};
    reply_job_order(call, text ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory"),
                    text ? &answer : NULL);
    free(text);
}

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    struct record_rotation_job *record = change->context;
    if (vlt_is_ok(result)) {
        job_queue_add(change->keeper, change->changes[0].tenant, change->changes[0].name);
        reply(change->call, record);
    } else {
        reply_failure(change->call, result);
    }
    free(record);
}

static vlt_result change_begin(struct keeper *keeper, struct ipc_call *call, const struct job *job,
                               const struct audit_event *event) {
    struct record_rotation_job *kept = malloc(sizeof *kept);
    struct change *change = kept ? change_new(keeper, call, event, answered) : NULL;
    if (!change) {
        free(kept);
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    }
    *kept = job->record;
    change->context = kept;
    vlt_result result = job_add(job, change);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
    return vlt_ok();
}

static vlt_result order(struct keeper *keeper, struct ipc_call *call,
                        const struct ask_job_order *ask, struct job *job,
                        const struct audit_event *event) {
    bool is_under_way = record_rotation_is_under_way(&job->record);
    if (ask->mode == ROTATION_LOOK || (is_under_way && job->record.not_before <= clock_now_s())) {
        if (is_under_way)
            job_queue_add(keeper, job->tenant, ask->name);
        reply(call, &job->record);
        return vlt_ok();
    }
    if (is_under_way)
        job->record.not_before = 0; // what failed is tried again now
    else
        VLT_TRY(job_order(job));
    return change_begin(keeper, call, job, event);
}

void answer_job_order(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_job_order ask;
    struct audit_event event;
    struct job job;
    if (!vlt_is_ok(ask_job_order_decode(frame, &ask)) || ask.mode > ROTATION_LOOK ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_job_order");
        return;
    }
    event.credential = ask.name;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = job_read(keeper, ask.tenant, ask.name, &job);
        if (vlt_is_ok(result)) {
            result = order(keeper, call, &ask, &job, &event);
            job_done(&job);
        }
        store_snapshot_end(keeper->store);
    }
    if (!vlt_is_ok(result))
        audit_refuse(keeper, call, &event, result);
}
