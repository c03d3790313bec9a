// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_rotation.h"

#include "libvault/store/record_json.h"

#define GRACE_MAX_S (30 * 86400)

// ---- Plan ----

static void read_parameters(struct record_json *r, struct record_rotation_plan *plan) {
    const json_t *object = record_json_object(r, "parameters", RECORD_OPTIONAL);
    const char *name;
    json_t *value;
    // The macro iterates without changing; jansson's signature has no const.
    json_object_foreach((json_t *)(uintptr_t)object, name, value) if (!json_is_string(value))
        record_json_fail(r, "parameters", "an object of texts");
    if (record_json_failed(r))
        return;
    plan->parameters = object ? json_deep_copy(object) : json_object();
    if (!plan->parameters)
        r->result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

vlt_result record_rotation_plan_parse(struct bytes json, struct fault *fault,
                                      struct record_rotation_plan *ret_plan) {
    static const char *const members[] = {"name",   "recipe",      "parameters", "manager",
                                          "days",   "grace_s",     "key_id",     "key_version",
                                          "created_at", NULL};
    struct record_json r;
    json_t *root;
    int64_t days = 0, grace_s = 0, version = 0;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    struct record_rotation_plan plan = {.parameters = NULL};
    record_json_name(&r, "name", RECORD_REQUIRED, plan.name, sizeof plan.name);
    record_json_text(&r, "recipe", RECORD_REQUIRED, plan.recipe, sizeof plan.recipe);
    read_parameters(&r, &plan);
    record_json_name(&r, "manager", RECORD_OPTIONAL, plan.manager, sizeof plan.manager);
    record_json_number(&r, "days", RECORD_OPTIONAL, 0, 3650, &days);
    record_json_number(&r, "grace_s", RECORD_OPTIONAL, 0, GRACE_MAX_S, &grace_s);
    record_json_text(&r, "key_id", RECORD_OPTIONAL, plan.key_id, sizeof plan.key_id);
    record_json_number(&r, "key_version", RECORD_OPTIONAL, 0, UINT32_MAX, &version);
    record_json_number(&r, "created_at", RECORD_REQUIRED, 1, INT64_MAX, &plan.created_at);
    json_decref(root);
    if (record_json_failed(&r)) {
        record_rotation_plan_done(&plan);
        return r.result;
    }
    plan.days = (uint32_t)days;
    plan.grace_s = (uint32_t)grace_s;
    plan.key_version = (uint32_t)version;
    *ret_plan = plan;
    return vlt_ok();
}

void record_rotation_plan_done(struct record_rotation_plan *plan) {
    json_decref(plan->parameters);
    *plan = (struct record_rotation_plan){.parameters = NULL};
}

json_t *record_rotation_plan_json(const struct record_rotation_plan *plan) {
    json_t *object = json_object();
    record_json_put_text(&object, "name", plan->name);
    record_json_put_text(&object, "recipe", plan->recipe);
    if (plan->parameters && json_object_size(plan->parameters) > 0)
        record_json_put(&object, "parameters", json_deep_copy(plan->parameters));
    record_json_put_text(&object, "manager", plan->manager);
    record_json_put_number(&object, "days", plan->days);
    record_json_put_number(&object, "grace_s", plan->grace_s);
    record_json_put_text(&object, "key_id", plan->key_id);
    record_json_put_number(&object, "key_version", plan->key_version);
    record_json_put_number(&object, "created_at", plan->created_at);
    return object;
}

// ---- Job ----

static const char *const state_names[RECORD_ROTATION_STATE_COUNT] = {
    "", "idle", "ordered", "minting", "staged", "revoking", "cleaning", "failed"};

const char *record_rotation_state_name(enum record_rotation_state state) {
    return state < RECORD_ROTATION_STATE_COUNT ? state_names[state] : "";
}

static void read_state(struct record_json *r, struct record_rotation_job *job) {
    char state[16] = "";
    record_json_text(r, "state", RECORD_REQUIRED, state, sizeof state);
    for (unsigned i = 1; i < RECORD_ROTATION_STATE_COUNT; i++)
        if (strcmp(state, state_names[i]) == 0)
            job->state = (enum record_rotation_state)i;
    if (!job->state)
        record_json_fail(r, "state", "a state of a rotation");
}

static void read_known(struct record_json *r, struct record_rotation_job *job) {
    const json_t *list = record_json_array(r, "known", RECORD_OPTIONAL, RECORD_KNOWN_MAX);
    for (size_t i = 0; list && i < json_array_size(list); i++) {
        record_json_item(r, "known", json_array_get(list, i), job->known[i], sizeof *job->known);
        job->known_count = i + 1;
    }
}

static void read_times(struct record_json *r, struct record_rotation_job *job) {
    int64_t attempts = 0, version = 0;
    record_json_number(r, "current_version", RECORD_OPTIONAL, 0, UINT32_MAX, &version);
    record_json_number(r, "revoke_at", RECORD_OPTIONAL, 0, INT64_MAX, &job->revoke_at);
    record_json_number(r, "not_before", RECORD_OPTIONAL, 0, INT64_MAX, &job->not_before);
    record_json_number(r, "began_at", RECORD_OPTIONAL, 0, INT64_MAX, &job->began_at);
    record_json_number(r, "ended_at", RECORD_OPTIONAL, 0, INT64_MAX, &job->ended_at);
    record_json_number(r, "attempts", RECORD_OPTIONAL, 0, UINT32_MAX, &attempts);
    job->current_version = (uint32_t)version;
    job->attempts = (uint32_t)attempts;
}

vlt_result record_rotation_job_parse(struct bytes json, struct fault *fault,
                                     struct record_rotation_job *ret_job) {
    static const char *const members[] = {
        "name",       "state",           "mark",      "known",      "new_id",   "old_id",
        "current_id", "current_version", "revoke_at", "not_before", "began_at", "ended_at",
        "attempts",   "error",           NULL};
    struct record_json r;
    json_t *root;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    struct record_rotation_job job = {.known_count = 0};
    record_json_name(&r, "name", RECORD_REQUIRED, job.name, sizeof job.name);
    read_state(&r, &job);
    record_json_text(&r, "mark", RECORD_OPTIONAL, job.mark, sizeof job.mark);
    read_known(&r, &job);
    record_json_text(&r, "new_id", RECORD_OPTIONAL, job.new_id, sizeof job.new_id);
    record_json_text(&r, "old_id", RECORD_OPTIONAL, job.old_id, sizeof job.old_id);
    record_json_text(&r, "current_id", RECORD_OPTIONAL, job.current_id, sizeof job.current_id);
    read_times(&r, &job);
    record_json_text(&r, "error", RECORD_OPTIONAL, job.error, sizeof job.error);
    json_decref(root);
    if (record_json_failed(&r))
        return r.result;
    *ret_job = job;
    return vlt_ok();
}

json_t *record_rotation_job_json(const struct record_rotation_job *job) {
    json_t *object = json_object(), *known = json_array();
    for (size_t i = 0; i < job->known_count; i++)
        json_array_append_new(known, json_string(job->known[i]));
    record_json_put_text(&object, "name", job->name);
    record_json_put_text(&object, "state", record_rotation_state_name(job->state));
    record_json_put_text(&object, "mark", job->mark);
    if (job->known_count)
        record_json_put(&object, "known", known);
    else
        json_decref(known);
    record_json_put_text(&object, "new_id", job->new_id);
    record_json_put_text(&object, "old_id", job->old_id);
    record_json_put_text(&object, "current_id", job->current_id);
    record_json_put_number(&object, "current_version", job->current_version);
    record_json_put_number(&object, "revoke_at", job->revoke_at);
    record_json_put_number(&object, "not_before", job->not_before);
    record_json_put_number(&object, "began_at", job->began_at);
    record_json_put_number(&object, "ended_at", job->ended_at);
    record_json_put_number(&object, "attempts", job->attempts);
    record_json_put_text(&object, "error", job->error);
    return object;
}

bool record_rotation_is_under_way(const struct record_rotation_job *job) {
    return job->state != RECORD_ROTATION_IDLE && job->state != RECORD_ROTATION_FAILED;
}
