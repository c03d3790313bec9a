// SPDX-License-Identifier: Apache-2.0
// Rotation of keys: begin, go on, look; and back to the previous value of a
// credential. The keeper says what is under way as JSON for people.
#include <stdio.h>

#include "libvault/store/record_credential.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"
#include "vaultd/ipc/rotation_kind.h"

static const char *const operations[ROTATION_KIND_COUNT] = {NULL, "rotate.signing", "rotate.intake",
                                                            "rotate.tenant", "rotate.wrapping",
                                                            "rotate.checkpoint", "rotate.system"};

bool rotation_kind_take(struct http_exchange *x, const struct http_parameters *parameters,
                        enum rotation_kind *ret_kind) {
    struct bytes text = http_parameter(parameters, "kind");
    for (unsigned kind = 1; kind < ROTATION_KIND_COUNT; kind++)
        if (kind != ROTATION_TENANT && bytes_equal_text(text, rotation_kind_name(kind))) {
            *ret_kind = (enum rotation_kind)kind;
            return true;
        }
    answer_problem(x, 404, "kind",
                   "there are \"signing\", \"intake\", \"checkpoint\", \"system\" and \"wrapping\" "
                   "keys; those of a tenant are at /v1/tenants/{tenant}/rotate");
    return false;
}

static void known(vlt_result result, const struct answer_rotate *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        result = jsontext_parse(answer->description, &jsontext_document_limits, NULL, &work->reply);
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    if (work->tenant_name[0])
        json_object_set_new(work->reply, "tenant", json_string(work->tenant_name));
    work_reply(work, 0);
}

static void rotate(struct admin *admin, struct http_exchange *x, enum rotation_kind kind,
                   const struct record_tenant *tenant, struct ask_rotate *ask) {
    struct admin_work *work =
        work_new(admin, x, ask->mode == ROTATION_LOOK ? "rotation.read" : operations[kind]);
    if (!work)
        return;
    if (tenant)
        work_set_tenant(work, tenant);
    work_set_subject(work, ask->mode == ROTATION_EMERGENCY ? "emergency" : "");
    ask->kind = (uint8_t)kind;
    ask->tenant = work->tenant;
    ask->event = work_event(work, AUDIT_ALLOW, NULL);
    ask_rotate(admin->keeper, ask, known, work);
}

// The body: {emergency, records_per_s}; If-Match: revision of the key in use.
static void rotate_with_body(struct admin *admin, struct http_exchange *x, enum rotation_kind kind,
                             const struct record_tenant *tenant) {
    static const char *const members[] = {"emergency", "records_per_s", NULL};
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    struct ask_rotate ask = {.mode = ROTATION_RUN};
    if (body_flag(&body, "emergency", false))
        ask.mode = ROTATION_EMERGENCY;
    ask.records_per_s = (uint32_t)body_number(&body, "records_per_s", 1, ROTATION_RATE_UNLIMITED,
                                              ROTATION_RATE_DEFAULT);
    ask.expected_revision = if_match_read(&body, http_exchange_request(x));
    if (!body_refused(&body, x))
        rotate(admin, x, kind, tenant, &ask);
    body_done(&body);
}

OP(op_rotate) {
    enum rotation_kind kind;
    if (rotation_kind_take(x, parameters, &kind))
        rotate_with_body(ctx, x, kind, NULL);
}

OP(op_rotate_show) {
    enum rotation_kind kind;
    struct ask_rotate ask = {.mode = ROTATION_LOOK};
    if (rotation_kind_take(x, parameters, &kind))
        rotate(ctx, x, kind, NULL, &ask);
}

OP(op_tenant_rotate) {
    struct store *store;
    struct record_tenant tenant;
    if (!tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    rotate_with_body(ctx, x, ROTATION_TENANT, &tenant);
}

OP(op_tenant_rotate_show) {
    struct store *store;
    struct record_tenant tenant;
    struct ask_rotate ask = {.mode = ROTATION_LOOK};
    if (!tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    rotate(ctx, x, ROTATION_TENANT, &tenant, &ask);
}

// ---- Rollback ----

#define GRACE_MAX_S (30 * 86400)
#define GRACE_DEFAULT_S 300

static void rolled_back(vlt_result result, const struct answer_credential_rollback *answer,
                        void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    json_object_set_new(work->reply, "version", json_integer(answer->version));
    work_reply(work, answer->revision);
}

OP(op_credential_rollback) {
    static const char *const members[] = {"grace_s", NULL};
    struct admin *admin = ctx;
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(admin, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    struct ask_credential_rollback ask = {.tenant = tenant.number, .name = bytes_of_text(name)};
    ask.grace_s = (uint32_t)body_number(&body, "grace_s", 0, GRACE_MAX_S, GRACE_DEFAULT_S);
    ask.expected_revision = if_match_read(&body, http_exchange_request(x));
    struct admin_work *work =
        body_refused(&body, x) ? NULL : work_new(admin, x, "credential.rollback");
    body_done(&body);
    if (!work)
        return;
    work_set_tenant(work, &tenant);
    work_set_subject(work, name);
    snprintf(work->credential, sizeof work->credential, "%s", name);
    work->reply = json_pack("{s:s}", "name", name);
    ask.event = work_event(work, AUDIT_ALLOW, NULL);
    ask_credential_rollback(admin->keeper, &ask, rolled_back, work);
}
