// SPDX-License-Identifier: Apache-2.0
// Credentials: what is shown, and their states. Values never pass here in a
// form that this process could read (see credential_put.c).
#include <stdio.h>

#include "libvault/store/record_credential.h"
#include "libvault/store/record_key.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

// What was deleted stays as a record, so that its versions are never used again.
static bool is_shown(json_t *record, uint64_t revision) {
    const char *status = json_string_value(json_object_get(record, "status"));
    return !status || strcmp(status, "deleted");
}

OP(op_credential_list) {
    struct store *store;
    struct record_tenant tenant;
    if (tenant_begin(ctx, x, parameters, &store, &tenant))
        list_answer(x, store, tenant.number, STORE_CREDENTIAL, is_shown);
}

OP(op_credential_show) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    if (name_take(x, parameters, "name", name) &&
        tenant_begin(ctx, x, parameters, &store, &tenant))
        record_answer(x, store, tenant.number, STORE_CREDENTIAL, name, "credential");
}

// ---- The intake key ----

struct intake {
    json_t *jwk; // owned; of the newest active key
    int64_t created_at;
};

static bool intake_look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct intake *intake = context;
    struct record_key key;
    if (!vlt_is_ok(record_key_parse(value, NULL, &key)))
        return true;
    if (key.state == RECORD_KEY_ACTIVE && (!intake->jwk || key.created_at > intake->created_at)) {
        json_decref(intake->jwk);
        intake->jwk = json_incref(key.jwk);
        intake->created_at = key.created_at;
    }
    record_key_done(&key);
    return true;
}

OP(op_intake_key) {
    struct store *store;
    struct intake intake = {0};
    if (!store_begin(ctx, x, &store))
        return;
    vlt_result result = store_each(store, STORE_SYSTEM_TENANT, STORE_INTAKE_KEY, bytes_of(NULL, 0),
                                   bytes_of(NULL, 0), intake_look, &intake);
    store_snapshot_end(store);
    if (vlt_is_ok(result) && intake.jwk) {
        answer_json(x, 200, intake.jwk, 0);
        return;
    }
    json_decref(intake.jwk);
    // No key: most often nobody has run init; the keeper knows.
    struct admin_work *work = work_new(ctx, x, "intake.read");
    if (work)
        work_fail(work, vlt_is_ok(result)
                            ? vlt_fail(VLT_UNAVAILABLE, "the vault has no intake key yet")
                            : result);
}

// ---- States ----

static void state_changed(vlt_result result, const struct answer_credential_state *answer,
                          void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        work_reply(work, answer->revision);
    else
        work_fail(work, result);
}

static void state_set(struct admin *admin, struct http_exchange *x,
                      const struct http_parameters *parameters,
                      enum record_credential_status status, const char *operation) {
    static const char *const none[] = {NULL};
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(admin, x, parameters, &store, &tenant))
        return;
    struct bytes value;
    struct record_credential credential = {0};
    uint64_t revision = 0;
    vlt_result result = store_get(store, tenant.number, STORE_CREDENTIAL, bytes_of_text(name),
                                  &value, &revision);
    if (vlt_is_ok(result))
        result = record_credential_parse(value, NULL, &credential);
    bool is_there = vlt_is_ok(result) && credential.status != RECORD_CREDENTIAL_DELETED;
    record_credential_done(&credential);
    store_snapshot_end(store);

    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, none, &body);
    uint64_t expected = if_match_read(&body, http_exchange_request(x));
    if (!is_there)
        body_refuse(&body, 404, "name", "there is no credential \"%s\"", name);
    else if (expected && expected != revision)
        body_refuse(&body, 412, "If-Match", "the credential has changed since it was read");
    struct admin_work *work = body_refused(&body, x) ? NULL : work_new(admin, x, operation);
    body_done(&body);
    if (!work)
        return;
    work_set_tenant(work, &tenant);
    work_set_subject(work, name);
    snprintf(work->credential, sizeof work->credential, "%s", name);
    work->reply = json_pack("{s:s,s:s}", "name", name, "operation", operation);
    const struct ask_credential_state ask = {.tenant = tenant.number,
                                             .name = bytes_of_text(name),
                                             .state = (uint8_t)status,
                                             .expected_revision = revision,
                                             .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_credential_state(admin->keeper, &ask, state_changed, work);
}

OP(op_credential_disable) {
    state_set(ctx, x, parameters, RECORD_CREDENTIAL_DISABLED, "credential.disable");
}
OP(op_credential_enable) {
    state_set(ctx, x, parameters, RECORD_CREDENTIAL_ACTIVE, "credential.enable");
}
OP(op_credential_delete) {
    state_set(ctx, x, parameters, RECORD_CREDENTIAL_DELETED, "credential.delete");
}
