// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

#define DESCRIPTION_MAX 255

OP(op_tenant_list) {
    struct store *store;
    if (store_begin(ctx, x, &store))
        list_answer(x, store, STORE_SYSTEM_TENANT, STORE_TENANT, NULL);
}

OP(op_tenant_show) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    if (name_take(x, parameters, "tenant", name) && store_begin(ctx, x, &store))
        record_answer(x, store, STORE_SYSTEM_TENANT, STORE_TENANT, name, "tenant");
}

// ---- Create ----

static void created(vlt_result result, const struct answer_tenant_create *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result)) {
        json_object_set_new(work->reply, "number", json_integer(answer->tenant));
        work_reply(work, answer->revision);
    } else if (result.class == VLT_CONFLICT) {
        answer_problem(work->x, 409, "name", "there is a tenant \"%s\" already",
                       work->tenant_name);
        work_free(work);
    } else {
        work_fail(work, result);
    }
}

static void create(struct admin *admin, struct http_exchange *x,
                   const struct record_tenant *tenant) {
    struct admin_work *work = work_new(admin, x, "tenant.create");
    if (!work)
        return;
    work_set_tenant(work, tenant);
    work_set_subject(work, tenant->name);
    work->status = 201;
    work->reply = record_tenant_json(tenant);
    char *text = work->reply ? json_dumps(work->reply, JSON_COMPACT) : NULL;
    const struct ask_tenant_create ask = {.name = bytes_of_text(tenant->name),
                                          .description = bytes_of_text(text),
                                          .event = work_event(work, AUDIT_ALLOW, NULL)};
    if (text)
        ask_tenant_create(admin->keeper, &ask, created, work);
    else
        work_fail(work, vlt_fail(VLT_LIMIT, "out of memory"));
    free(text);
}

OP(op_tenant_create) {
    static const char *const members[] = {"name", "description", NULL};
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    const char *name = body_text(&body, "name", BODY_REQUIRED, RECORD_NAME_MAX);
    const char *description = body_text(&body, "description", BODY_OPTIONAL, DESCRIPTION_MAX);
    if (name && !record_name_is_valid(bytes_of_text(name)))
        body_refuse(&body, 400, "name",
                    "\"name\" must be 1 to %d characters of a-z, 0-9, '-', '_', '.', the first one "
                    "a letter or digit", RECORD_NAME_MAX);
    if (!body_refused(&body, x)) {
        struct record_tenant tenant = {.created_at = clock_now_s()};
        snprintf(tenant.name, sizeof tenant.name, "%s", name);
        snprintf(tenant.description, sizeof tenant.description, "%s",
                 description ? description : "");
        create(ctx, x, &tenant);
    }
    body_done(&body);
}

// ---- Change ----

static void tenant_commit(struct admin *admin, struct http_exchange *x,
                          const struct record_tenant *tenant, uint64_t revision,
                          const char *operation) {
    struct admin_work *work = work_new(admin, x, operation);
    if (!work)
        return;
    work_set_tenant(work, tenant);
    work_set_subject(work, tenant->name);
    work->reply = record_tenant_json(tenant);
    char *text = work->reply ? json_dumps(work->reply, JSON_COMPACT) : NULL;
    const struct store_change change = {.tenant = STORE_SYSTEM_TENANT,
                                        .class = STORE_TENANT,
                                        .name = bytes_of_text(tenant->name),
                                        .value = bytes_of_text(text),
                                        .expected_revision = revision};
    if (text)
        work_commit(work, &change, 1);
    else
        work_fail(work, vlt_fail(VLT_LIMIT, "out of memory"));
    free(text);
}

static const char *change_name(const struct body *body, bool disabled) {
    if (!body_has(body, "disabled"))
        return "tenant.describe";
    return disabled ? "tenant.disable" : "tenant.enable";
}

OP(op_tenant_change) {
    static const char *const members[] = {"disabled", "description", NULL};
    struct store *store;
    struct record_tenant tenant;
    if (!tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    struct bytes value;
    uint64_t revision = 0;
    vlt_result result = store_get(store, STORE_SYSTEM_TENANT, STORE_TENANT,
                                  bytes_of_text(tenant.name), &value, &revision);
    store_snapshot_end(store);
    if (!vlt_is_ok(result)) {
        answer_failure(x, result, NULL, "tenant");
        return;
    }
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    const char *description = body_text(&body, "description", BODY_OPTIONAL, DESCRIPTION_MAX);
    tenant.disabled = body_flag(&body, "disabled", tenant.disabled);
    if (description)
        snprintf(tenant.description, sizeof tenant.description, "%s", description);
    uint64_t expected = if_match_read(&body, http_exchange_request(x));
    if (expected && expected != revision)
        body_refuse(&body, 412, "If-Match",
                    "the tenant has changed since it was read: revision %llu",
                    (unsigned long long)revision);
    if (!body.status && !description && !body_has(&body, "disabled"))
        body_refuse(&body, 400, NULL, "give \"disabled\" or \"description\"");
    if (!body_refused(&body, x))
        tenant_commit(ctx, x, &tenant, revision, change_name(&body, tenant.disabled));
    body_done(&body);
}
