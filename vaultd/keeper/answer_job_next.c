// SPDX-License-Identifier: Apache-2.0
// The rotator asks what is to be done. It learns names, ids and how, no value.
#include <stdlib.h>

#include "libvault/store/record_key.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/job_queue.h"

// ---- The key to which the new value is sealed ----

struct finding {
    char *jwk; // owned; of the newest
    int64_t created_at;
};

static bool look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct finding *finding = context;
    struct record_key key;
    if (!vlt_is_ok(record_key_parse(value, NULL, &key)))
        return true;
    if (key.state == RECORD_KEY_ACTIVE && (!finding->jwk || key.created_at > finding->created_at)) {
        free(finding->jwk);
        finding->jwk = json_dumps(key.jwk, JSON_COMPACT);
        finding->created_at = key.created_at;
    }
    record_key_done(&key);
    return true;
}

static vlt_result find_intake(struct keeper *keeper, char **ret_jwk) {
    struct finding finding = {.jwk = NULL};
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_INTAKE_KEY,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), look, &finding);
    if (!vlt_is_ok(result)) {
        free(finding.jwk);
        return result;
    }
    *ret_jwk = finding.jwk;
    return finding.jwk ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "the vault has no intake key");
}

// ---- The answer ----

static void reply(struct ipc_call *call, const struct job *job, const char *intake) {
    const struct record_rotation_job *record = &job->record;
    uint8_t known[8192];
    struct wire_writer w;
    wire_writer_init(&w, known, sizeof known);
    for (size_t i = 0; i < record->known_count; i++)
        wire_put_text(&w, record->known[i]);
    char *parameters = json_dumps(job->plan.parameters, JSON_COMPACT);
    struct answer_job_next answer = {.state = (uint8_t)record->state,
                                     .tenant = job->tenant,
                                     .name = bytes_of_text(record->name),
                                     .revision = job->revision,
                                     .recipe = bytes_of_text(job->plan.recipe),
                                     .parameters = bytes_of_text(parameters),
                                     .mark = bytes_of_text(record->mark),
                                     .known = bytes_of(known, w.size),
                                     .key_id = bytes_of_text(record->old_id),
                                     .intake = bytes_of_text(intake)};
    reply_job_next(call, parameters ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory"),
                   parameters ? &answer : NULL);
    free(parameters);
}

void answer_job_next(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_job_next ask;
    const struct answer_job_next nothing = {.state = 0};
    struct job job;
    if (!vlt_is_ok(ask_job_next_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_job_next");
        return;
    }
    char *intake = NULL;
    bool is_found = false;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        is_found = !keeper->is_draining && job_queue_next(keeper, &job);
        if (is_found)
            result = find_intake(keeper, &intake);
        store_snapshot_end(keeper->store);
    }
    if (!vlt_is_ok(result))
        reply_failure(call, result);
    else if (is_found)
        reply(call, &job, intake);
    else
        reply_job_next(call, vlt_ok(), &nothing);
    if (is_found)
        job_done(&job);
    free(intake);
}
