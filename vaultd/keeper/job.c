// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/job.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/tenant_name.h"

static vlt_result read_record(struct keeper *keeper, uint32_t tenant, struct bytes name,
                              struct record_rotation_job *record, uint64_t *ret_revision) {
    struct bytes value;
    vlt_result result =
        store_get(keeper->store, tenant, STORE_ROTATION_JOB, name, &value, ret_revision);
    if (result.class == VLT_NOT_FOUND) {
        *record = (struct record_rotation_job){.state = RECORD_ROTATION_IDLE};
        *ret_revision = 0;
        return bytes_to_text(name, record->name, sizeof record->name)
                   ? vlt_ok()
                   : vlt_fail(VLT_MALFORMED, "the name of a credential is not one");
    }
    VLT_TRY(result);
    return record_rotation_job_parse(value, NULL, record);
}

vlt_result job_read(struct keeper *keeper, uint32_t tenant, struct bytes name,
                    struct job *ret_job) {
    struct job job = {.tenant = tenant};
    struct bytes value;
    VLT_TRY(credential_there_read(keeper, tenant, name, 0, &job.there));
    vlt_result result = store_get(keeper->store, tenant, STORE_ROTATION_PLAN, name, &value, NULL);
    if (result.class == VLT_NOT_FOUND)
        result = vlt_fail(VLT_NOT_FOUND, "nothing says how this credential is rotated at its "
                                         "provider: vaultctl credential automate");
    if (vlt_is_ok(result))
        result = record_rotation_plan_parse(value, NULL, &job.plan);
    if (vlt_is_ok(result))
        result = read_record(keeper, tenant, name, &job.record, &job.revision);
    if (!vlt_is_ok(result)) {
        job_done(&job);
        return result;
    }
    *ret_job = job;
    return vlt_ok();
}

vlt_result job_read_as(struct keeper *keeper, uint32_t tenant, struct bytes name,
                       uint64_t revision, struct job *ret_job) {
    struct job job;
    VLT_TRY(job_read(keeper, tenant, name, &job));
    if (job.revision == revision && job_is_ready(&job, clock_now_s())) {
        *ret_job = job;
        return vlt_ok();
    }
    job_done(&job);
    return vlt_fail(VLT_CONFLICT, "the rotation went on without this step");
}

void job_done(struct job *job) {
    record_rotation_plan_done(&job->plan);
    credential_there_done(&job->there);
}

bool job_is_ready(const struct job *job, int64_t now_s) {
    const struct record_rotation_job *record = &job->record;
    bool is_waiting = record->not_before > now_s ||
                      (record->state == RECORD_ROTATION_REVOKING && record->revoke_at > now_s);
    return job->revision && record_rotation_is_under_way(record) && !is_waiting &&
           job->there.state.status == RECORD_CREDENTIAL_ACTIVE;
}

// ---- Writing ----

vlt_result job_add(const struct job *job, struct change *change) {
    json_t *json = record_rotation_job_json(&job->record);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    change_add(change, job->tenant, STORE_ROTATION_JOB, bytes_of_text(job->record.name),
               bytes_of_text(text), job->revision);
    free(text);
    return vlt_ok();
}

static void event_of(struct keeper *keeper, const struct job *job, const char *operation,
                     const char *subject, char tenant[RECORD_NAME_MAX + 1],
                     struct audit_event *event) {
    tenant_name_find(keeper->store, job->tenant, tenant);
    rotation_event(event, operation, subject);
    event->tenant = bytes_of_text(tenant);
    event->credential = bytes_of_text(job->record.name);
    event->version = job->there.record.version;
}

struct change *
job_change_new(struct keeper *keeper, struct ipc_call *call, const struct job *job,
               const char *operation, const char *subject,
               void (*answer)(struct change *change, vlt_result result, uint64_t revision)) {
    struct audit_event event;
    char tenant[RECORD_NAME_MAX + 1];
    event_of(keeper, job, operation, subject, tenant, &event);
    return change_new(keeper, call, &event, answer);
}

void job_note(struct keeper *keeper, const struct job *job, const char *operation,
              const char *subject, const char *error) {
    struct audit_event event;
    char tenant[RECORD_NAME_MAX + 1];
    event_of(keeper, job, operation, subject, tenant, &event);
    if (error) {
        event.outcome = AUDIT_ERROR;
        event.reason = bytes_of_text(error);
    }
    audit_later(keeper, &event);
}

static void set_text(char *text, size_t capacity, const char *from) {
    size_t size = strlen(from) < capacity ? strlen(from) : capacity - 1;
    memcpy(text, from, size);
    text[size] = 0;
}
#define SET(text, from) set_text(text, sizeof(text), from)

// ---- Edges ----

static void enter(struct record_rotation_job *record, enum record_rotation_state state) {
    record->state = state;
    record->attempts = 0;
    record->not_before = 0;
    if (!record_rotation_is_under_way(record))
        record->ended_at = clock_now_s();
}

vlt_result job_order(struct job *job) {
    struct record_rotation_job *record = &job->record;
    if (job->there.state.status != RECORD_CREDENTIAL_ACTIVE)
        return vlt_fail(VLT_CONFLICT, "the credential is disabled: enable it first");
    if (job->there.record.staged_version)
        return vlt_fail(VLT_CONFLICT, "a version is staged: promote or abandon it first");
    enter(record, RECORD_ROTATION_ORDERED);
    record->began_at = clock_now_s();
    record->ended_at = record->revoke_at = 0;
    record->known_count = 0;
    record->mark[0] = record->new_id[0] = record->old_id[0] = record->error[0] = 0;
    return vlt_ok();
}

#define DEFER_MAX_S 3600
#define DEFER_DOUBLINGS_MAX 10

void job_defer(struct keeper *keeper, struct job *job, const char *error) {
    struct record_rotation_job *record = &job->record;
    unsigned doublings =
        record->attempts < DEFER_DOUBLINGS_MAX ? record->attempts : DEFER_DOUBLINGS_MAX;
    uint64_t delay_s = (uint64_t)keeper->settings.retry_s << doublings;
    if (record->state == RECORD_ROTATION_STAGED) // tried again soon, and not for ever
        delay_s = keeper->settings.retry_s;
    record->attempts++;
    record->not_before = clock_now_s() + (int64_t)(delay_s < DEFER_MAX_S ? delay_s : DEFER_MAX_S);
    SET(record->error, error);
}

// Of the version in use, as far as somebody knows it.
static const char *id_in_use(const struct job *job, uint32_t version) {
    if (job->record.current_version == version && job->record.current_id[0])
        return job->record.current_id;
    return job->plan.key_version == version ? job->plan.key_id : "";
}

void job_promoted(struct job *job) {
    struct record_rotation_job *record = &job->record;
    const struct record_credential *credential = &job->there.record;
    SET(record->old_id, id_in_use(job, credential->previous_version));
    SET(record->current_id, record->new_id);
    record->current_version = credential->version;
    record->new_id[0] = record->error[0] = 0;
    record->revoke_at = credential->previous_until;
    enter(record, record->old_id[0] ? RECORD_ROTATION_REVOKING : RECORD_ROTATION_IDLE);
}

void job_abandoned(struct job *job, const char *error) {
    struct record_rotation_job *record = &job->record;
    SET(record->old_id, record->new_id);
    SET(record->error, error);
    record->new_id[0] = 0;
    enter(record, RECORD_ROTATION_CLEANING);
}

// ---- What an administrator does meanwhile ----

vlt_result job_rolled_back(struct keeper *keeper, uint32_t tenant,
                           const struct record_credential *credential, struct change *change) {
    struct job job = {.tenant = tenant};
    struct record_rotation_job *record = &job.record;
    char id[RECORD_PROVIDER_ID_MAX + 1];
    VLT_TRY(read_record(keeper, tenant, bytes_of_text(credential->name), record, &job.revision));
    if (!job.revision || record->state != RECORD_ROTATION_REVOKING ||
        record->current_version != credential->previous_version)
        return vlt_ok();
    SET(id, record->old_id);
    SET(record->old_id, record->current_id);
    SET(record->current_id, id);
    record->current_version = credential->version;
    enter(record, RECORD_ROTATION_REVOKING);
    record->revoke_at = credential->previous_until;
    return job_add(&job, change);
}

vlt_result job_stepped(struct keeper *keeper, uint32_t tenant, struct bytes name, unsigned step,
                       struct change *change) {
    struct job job = {.tenant = tenant};
    VLT_TRY(read_record(keeper, tenant, name, &job.record, &job.revision));
    if (!job.revision || job.record.state != RECORD_ROTATION_STAGED)
        return vlt_ok();
    if (step != CREDENTIAL_ABANDON)
        return vlt_fail(VLT_CONFLICT, "the driver verifies and promotes this version: wait for it, "
                                      "or abandon the version");
    job_abandoned(&job, "given up by an administrator");
    return job_add(&job, change);
}
