// SPDX-License-Identifier: Apache-2.0
// Rotation of a credential at its provider: how (the plan, which is written here),
// how far (the keeper's job), and the order to begin.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/recipe/recipe.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_rotation.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"
#include "vaultd/ipc/credential_change.h"

#define GRACE_DEFAULT_S 3600

static const char *const no_members[] = {NULL};

// ---- The plan ----

static bool is_program(const struct admin *admin, const char *name) {
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(admin->programs, admin->programs_bytes));
    while (r.next < r.size && !r.failed)
        if (bytes_equal_text(wire_get_bytes(&r, RECORD_NAME_MAX), name))
            return true;
    return false;
}

static void manager_check(struct body *body, const struct recipe *recipe,
                          const struct record_rotation_plan *plan) {
    if (recipe && recipe_needs_manager(recipe) && !plan->manager[0])
        body_refuse(body, 400, "manager",
                    "recipe \"%s\" needs \"manager\": the credential that may make keys",
                    plan->recipe);
    if (recipe && !recipe_needs_manager(recipe) && plan->manager[0])
        body_refuse(
            body, 400, "manager",
            "with recipe \"%s\" the credential makes its own successor: leave \"manager\" out",
            plan->recipe);
    if (!strcmp(plan->manager, plan->name))
        body_refuse(body, 400, "manager", "\"manager\" must be another credential");
}

static void recipe_check(const struct admin *admin, struct body *body,
                         const struct record_rotation_plan *plan) {
    struct fault fault = {0};
    if (!strncmp(plan->recipe, "exec:", 5)) {
        if (!is_program(admin, plan->recipe + 5))
            body_refuse(body, 400, "recipe", "rotator.programs in the configuration has no \"%s\"",
                        plan->recipe + 5);
        manager_check(body, NULL, plan);
        return;
    }
    const struct recipe *recipe = recipe_find(admin->recipes, plan->recipe);
    if (!recipe) {
        body_refuse(body, 400, "recipe", "there is no recipe \"%s\" in the recipes of this vault",
                    plan->recipe);
        return;
    }
    vlt_result result = recipe_check_parameters(recipe, plan->parameters, &fault);
    if (!vlt_is_ok(result))
        body_refuse(body, 400, "parameters", "%s", fault_or_reason(&fault, result));
    manager_check(body, recipe, plan);
}

static void text_take(struct body *body, const char *member, enum body_need need, char *text,
                      size_t capacity) {
    const char *given = body_text(body, member, need, capacity - 1);
    snprintf(text, capacity, "%s", given ? given : "");
}

static void plan_read(const struct admin *admin, struct body *body,
                      struct record_rotation_plan *plan) {
    const json_t *parameters = body_object(body, "parameters");
    text_take(body, "recipe", BODY_REQUIRED, plan->recipe, sizeof plan->recipe);
    text_take(body, "manager", BODY_OPTIONAL, plan->manager, sizeof plan->manager);
    text_take(body, "key_id", BODY_OPTIONAL, plan->key_id, sizeof plan->key_id);
    plan->parameters = parameters ? json_deep_copy(parameters) : json_object();
    plan->days = (uint32_t)body_number(body, "days", 1, 3650, 0);
    plan->grace_s =
        (uint32_t)body_number(body, "grace_s", 0, CREDENTIAL_GRACE_MAX_S, GRACE_DEFAULT_S);
    if (plan->manager[0] && !record_name_is_valid(bytes_of_text(plan->manager)))
        body_refuse(body, 400, "manager", "\"manager\" is not the name of a credential");
    if (!body->status)
        recipe_check(admin, body, plan);
}

// The credential, and the manager when there is one; 404 into the body.
static uint32_t version_of(struct body *body, struct store *store, uint32_t tenant,
                           const char *name, const char *member) {
    struct bytes value;
    struct record_credential credential = {.parameters = NULL};
    vlt_result result =
        store_get(store, tenant, STORE_CREDENTIAL, bytes_of_text(name), &value, NULL);
    if (vlt_is_ok(result))
        result = record_credential_parse(value, NULL, &credential);
    if (!vlt_is_ok(result) || credential.status == RECORD_CREDENTIAL_DELETED)
        body_refuse(body, 404, member, "there is no credential \"%s\"", name);
    if (!vlt_is_ok(result))
        return 0;
    uint32_t version = credential.version;
    record_credential_done(&credential);
    return version;
}

static uint64_t plan_revision(struct store *store, uint32_t tenant, const char *name) {
    struct bytes value;
    uint64_t revision = 0;
    vlt_result result =
        store_get(store, tenant, STORE_ROTATION_PLAN, bytes_of_text(name), &value, &revision);
    return vlt_is_ok(result) ? revision : 0;
}

// json NULL: the plan goes.
static void plan_commit(struct admin *admin, struct http_exchange *x,
                        const struct record_tenant *tenant, const char *name, json_t *json,
                        uint64_t revision) {
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    struct admin_work *work =
        work_new(admin, x, json ? "credential.automate" : "credential.automate.end");
    if (work && (text || !json)) {
        work_set_tenant(work, tenant);
        work_set_subject(work, name);
        snprintf(work->credential, sizeof work->credential, "%s", name);
        work->status = json && !revision ? 201 : 200;
        work->reply = json ? json_incref(json) : json_pack("{s:s}", "name", name);
        const struct store_change change = {.tenant = tenant->number,
                                            .class = STORE_ROTATION_PLAN,
                                            .name = bytes_of_text(name),
                                            .remove = !json,
                                            .value = bytes_of_text(text),
                                            .expected_revision = revision};
        work_commit(work, &change, 1);
    } else if (work) {
        work_fail(work, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
    }
    free(text);
    json_decref(json);
}

OP(op_rotation_put) {
    static const char *const members[] = {"recipe",  "manager", "key_id", "parameters", "days",
                                          "grace_s", NULL};
    struct admin *admin = ctx;
    struct store *store;
    struct record_tenant tenant;
    struct body body;
    struct record_rotation_plan plan = {.created_at = clock_now_s()};
    if (!name_take(x, parameters, "name", plan.name) ||
        !tenant_begin(admin, x, parameters, &store, &tenant))
        return;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    plan_read(admin, &body, &plan);
    if (!body.status) {
        plan.key_version = version_of(&body, store, tenant.number, plan.name, "name");
        if (plan.manager[0])
            (void)version_of(&body, store, tenant.number, plan.manager, "manager");
    }
    uint64_t revision = plan_revision(store, tenant.number, plan.name);
    store_snapshot_end(store);
    if (!body_refused(&body, x))
        plan_commit(admin, x, &tenant, plan.name, record_rotation_plan_json(&plan), revision);
    body_done(&body);
    record_rotation_plan_done(&plan);
}

OP(op_rotation_remove) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    uint64_t revision = plan_revision(store, tenant.number, name);
    store_snapshot_end(store);
    if (revision)
        plan_commit(ctx, x, &tenant, name, NULL, revision);
    else
        answer_problem(x, 404, "name", "nothing rotates credential \"%s\" at its provider", name);
}

OP(op_rotation_list) {
    struct store *store;
    struct record_tenant tenant;
    if (tenant_begin(ctx, x, parameters, &store, &tenant))
        list_answer(x, store, tenant.number, STORE_ROTATION_PLAN, NULL);
}

// ---- How far it is ----

static void known(vlt_result result, const struct answer_job_order *answer, void *context) {
    struct admin_work *work = context;
    json_t *job = NULL;
    if (vlt_is_ok(result))
        result = jsontext_parse(answer->description, &jsontext_document_limits, NULL, &job);
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    if (work->reply) { // the plan
        json_object_set_new(work->reply, "job", job);
    } else {
        work->reply = job;
    }
    work_reply(work, 0);
}

static void job_ask(struct admin *admin, struct http_exchange *x,
                    const struct record_tenant *tenant, const char *name, json_t *plan,
                    enum rotation_mode mode) {
    struct admin_work *work =
        work_new(admin, x, mode == ROTATION_LOOK ? "rotation.read" : "rotate.credential");
    if (!work) {
        json_decref(plan);
        return;
    }
    work_set_tenant(work, tenant);
    work_set_subject(work, name);
    snprintf(work->credential, sizeof work->credential, "%s", name);
    work->reply = plan;
    const struct ask_job_order ask = {.tenant = tenant->number,
                                      .name = bytes_of_text(name),
                                      .mode = (uint8_t)mode,
                                      .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_job_order(admin->keeper, &ask, known, work);
}

static json_t *plan_json(struct store *store, uint32_t tenant, const char *name) {
    struct bytes value;
    struct record_rotation_plan plan;
    if (!vlt_is_ok(
            store_get(store, tenant, STORE_ROTATION_PLAN, bytes_of_text(name), &value, NULL)) ||
        !vlt_is_ok(record_rotation_plan_parse(value, NULL, &plan)))
        return NULL;
    json_t *json = record_rotation_plan_json(&plan);
    record_rotation_plan_done(&plan);
    return json;
}

OP(op_rotation_show) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    json_t *plan = plan_json(store, tenant.number, name);
    store_snapshot_end(store);
    if (plan)
        job_ask(ctx, x, &tenant, name, plan, ROTATION_LOOK);
    else
        answer_problem(x, 404, "name", "nothing rotates credential \"%s\" at its provider", name);
}

OP(op_rotation_order) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    struct body body;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    body_open(http_exchange_request(x), &jsontext_token_limits, no_members, &body);
    if (!body_refused(&body, x))
        job_ask(ctx, x, &tenant, name, NULL, ROTATION_RUN);
    body_done(&body);
}
