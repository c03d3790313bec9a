// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "libvault/identity/issuer.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

OP(op_issuer_list) {
    struct store *store;
    struct record_tenant tenant;
    if (tenant_begin(ctx, x, parameters, &store, &tenant))
        list_answer(x, store, tenant.number, STORE_ISSUER, NULL);
}

OP(op_issuer_show) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    if (name_take(x, parameters, "name", name) &&
        tenant_begin(ctx, x, parameters, &store, &tenant))
        record_answer(x, store, tenant.number, STORE_ISSUER, name, "issuer");
}

// The record that the body describes, as the text to store. Refuses into body.
static char *issuer_text(struct body *body, const char *name) {
    struct record_issuer issuer;
    const char *given = json_string_value(json_object_get(body->root, "name"));
    if (given && strcmp(given, name)) {
        body_refuse(body, 400, "name", "\"name\" is \"%.64s\" but the path says \"%s\"", given,
                    name);
        return NULL;
    }
    json_object_set_new(body->root, "name", json_string(name));
    char *text = json_dumps(body->root, JSON_COMPACT);
    if (!text)
        return NULL;
    struct fault fault = {0};
    vlt_result result = record_issuer_parse(bytes_of_text(text), &fault, &issuer);
    free(text);
    if (!vlt_is_ok(result)) {
        body_refuse_fault(body, result, &fault);
        return NULL;
    }
    text = NULL;
    struct jwk_set *keys = NULL;
    if (issuer.jwks)
        result = issuer_keys_parse(issuer.jwks, issuer_is_spiffe(issuer.issuer), &fault, &keys);
    jwk_set_free(keys);
    json_t *record = vlt_is_ok(result) ? record_issuer_json(&issuer) : NULL;
    if (!vlt_is_ok(result))
        body_refuse(body, 400, "jwks", "the key set is not usable: %s",
                    fault_or_reason(&fault, result));
    else if (record)
        text = json_dumps(record, JSON_COMPACT);
    json_decref(record);
    record_issuer_done(&issuer);
    return text;
}

// A token names its issuer and no more: of two records for one, only the first would
// ever be asked.
struct twin {
    const char *name, *issuer;
    char found[RECORD_NAME_MAX + 1];
};

static bool twin_look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct twin *twin = context;
    struct record_issuer issuer;
    if (bytes_equal_text(name, twin->name) || !vlt_is_ok(record_issuer_parse(value, NULL, &issuer)))
        return true;
    if (!issuer.disabled && !strcmp(issuer.issuer, twin->issuer))
        memcpy(twin->found, issuer.name, sizeof twin->found);
    record_issuer_done(&issuer);
    return !twin->found[0];
}

static void twin_refuse(struct body *body, struct store *store, uint32_t tenant,
                        const char *name) {
    struct twin twin = {name, json_string_value(json_object_get(body->root, "issuer")), ""};
    if (json_is_true(json_object_get(body->root, "disabled")))
        return;
    vlt_result result = store_each(store, tenant, STORE_ISSUER, bytes_of(NULL, 0),
                                   bytes_of(NULL, 0), twin_look, &twin);
    if (!vlt_is_ok(result))
        body_refuse(body, 503, NULL, "%s", result.reason);
    if (twin.found[0])
        body_refuse(body, 409, "issuer",
                    "issuer \"%s\" trusts the tokens of this \"issuer\" already: change it, or "
                    "remove it first", twin.found);
}

// What is there now: its revision, 0 when absent.
static uint64_t revision_of(struct store *store, uint32_t tenant, const char *name) {
    struct bytes value;
    uint64_t revision = 0;
    vlt_result result =
        store_get(store, tenant, STORE_ISSUER, bytes_of_text(name), &value, &revision);
    return vlt_is_ok(result) ? revision : 0;
}

static void issuer_commit(struct admin *admin, struct http_exchange *x,
                          const struct record_tenant *tenant, const char *name, const char *text,
                          uint64_t revision) {
    struct admin_work *work = work_new(admin, x, text ? "issuer.put" : "issuer.remove");
    if (!work)
        return;
    work_set_tenant(work, tenant);
    work_set_subject(work, name);
    work->status = text && !revision ? 201 : 200;
    if (text)
        work->reply = json_loads(text, 0, NULL);
    const struct store_change change = {.tenant = tenant->number,
                                        .class = STORE_ISSUER,
                                        .name = bytes_of_text(name),
                                        .remove = !text,
                                        .value = bytes_of_text(text),
                                        .expected_revision = revision};
    work_commit(work, &change, 1);
}

static void issuer_change(struct admin *admin, struct http_exchange *x,
                          const struct http_parameters *parameters, bool removes) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(admin, x, parameters, &store, &tenant))
        return;
    uint64_t revision = revision_of(store, tenant.number, name);
    static const char *const none[] = {NULL};
    struct body body;
    body_open(http_exchange_request(x), &jsontext_document_limits, removes ? none : NULL, &body);
    char *text = removes || body.status ? NULL : issuer_text(&body, name);
    if (!removes && !text)
        body_refuse(&body, 503, NULL, "the admin role is out of memory: try again");
    if (text)
        twin_refuse(&body, store, tenant.number, name);
    store_snapshot_end(store);
    uint64_t expected = if_match_read(&body, http_exchange_request(x));
    if (expected && expected != revision)
        body_refuse(&body, 412, "If-Match",
                    "the issuer has changed since it was read: revision %llu",
                    (unsigned long long)revision);
    if (removes && !revision)
        body_refuse(&body, 404, "name", "there is no issuer \"%s\"", name);
    if (!body_refused(&body, x))
        issuer_commit(admin, x, &tenant, name, text, revision);
    free(text);
    body_done(&body);
}

OP(op_issuer_put) { issuer_change(ctx, x, parameters, false); }
OP(op_issuer_remove) { issuer_change(ctx, x, parameters, true); }
