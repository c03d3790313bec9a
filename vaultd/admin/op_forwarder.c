// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_forwarder.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

OP(op_forwarder_list) {
    struct store *store;
    if (store_begin(ctx, x, &store))
        list_answer(x, store, STORE_SYSTEM_TENANT, STORE_FORWARDER, NULL);
}

OP(op_forwarder_show) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    if (name_take(x, parameters, "name", name) && store_begin(ctx, x, &store))
        record_answer(x, store, STORE_SYSTEM_TENANT, STORE_FORWARDER, name, "forwarder");
}

// ---- Enrol ----

// One identity, one forwarder: else a request could be charged to either.
struct clash {
    const struct record_forwarder *wanted;
    char name[RECORD_NAME_MAX + 1];
};

static bool clash_look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct clash *clash = context;
    struct record_forwarder other;
    if (!vlt_is_ok(record_forwarder_parse(value, NULL, &other)) ||
        !strcmp(other.name, clash->wanted->name))
        return true;
    bool same_uid = other.has_uid && clash->wanted->has_uid && other.uid == clash->wanted->uid;
    bool same_certificate =
        other.has_certificate && clash->wanted->has_certificate &&
        bytes_equal(bytes_of(other.certificate, 32), bytes_of(clash->wanted->certificate, 32));
    if (!same_uid && !same_certificate)
        return true;
    snprintf(clash->name, sizeof clash->name, "%s", other.name);
    return false;
}

static void tenants_check(struct body *body, struct store *store,
                          const struct record_forwarder *forwarder) {
    for (size_t i = 0; i < forwarder->tenant_count; i++) {
        struct record_tenant tenant;
        if (!vlt_is_ok(
                record_tenant_find(store, bytes_of_text(forwarder->tenants[i]), &tenant)))
            body_refuse(body, 400, "tenants", "there is no tenant \"%s\"", forwarder->tenants[i]);
    }
}

// Reads the store; refuses into body.
static void enrolment_check(struct body *body, struct store *store,
                            const struct record_forwarder *forwarder) {
    struct clash clash = {.wanted = forwarder};
    struct bytes value;
    if (vlt_is_ok(store_get(store, STORE_SYSTEM_TENANT, STORE_FORWARDER,
                            bytes_of_text(forwarder->name), &value, NULL)))
        body_refuse(body, 409, "name",
                    "there is a forwarder \"%s\" already: remove it first, or choose another name",
                    forwarder->name);
    tenants_check(body, store, forwarder);
    vlt_result result = store_each(store, STORE_SYSTEM_TENANT, STORE_FORWARDER, bytes_of(NULL, 0),
                                   bytes_of(NULL, 0), clash_look, &clash);
    if (!vlt_is_ok(result))
        body_refuse(body, answer_status(result.class), NULL, "%s", result.reason);
    if (clash.name[0])
        body_refuse(body, 409, forwarder->has_uid ? "uid" : "certificate_sha256",
                    "forwarder \"%s\" has this identity already", clash.name);
}

static bool forwarder_read(struct body *body, struct record_forwarder *ret_forwarder) {
    if (body->status)
        return false;
    json_object_set_new(body->root, "created_at", json_integer((json_int_t)clock_now_s()));
    char *text = json_dumps(body->root, JSON_COMPACT);
    struct fault fault = {0};
    vlt_result result = text ? record_forwarder_parse(bytes_of_text(text), &fault, ret_forwarder)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    free(text);
    if (!vlt_is_ok(result))
        body_refuse_fault(body, result, &fault);
    return vlt_is_ok(result);
}

static void forwarder_commit(struct admin *admin, struct http_exchange *x, const char *name,
                             json_t *record, uint64_t revision) {
    struct admin_work *work = work_new(admin, x, record ? "forwarder.enrol" : "forwarder.remove");
    if (!work) {
        json_decref(record);
        return;
    }
    work_set_subject(work, name);
    work->status = record ? 201 : 200;
    work->reply = record;
    char *text = record ? json_dumps(record, JSON_COMPACT) : NULL;
    const struct store_change change = {.tenant = STORE_SYSTEM_TENANT,
                                        .class = STORE_FORWARDER,
                                        .name = bytes_of_text(name),
                                        .remove = !record,
                                        .value = bytes_of_text(text),
                                        .expected_revision = revision};
    work_commit(work, &change, 1);
    free(text);
}

OP(op_forwarder_enrol) {
    static const char *const members[] = {"name", "uid", "certificate_sha256", "tenants", NULL};
    struct body body;
    struct record_forwarder forwarder;
    struct store *store;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    if (forwarder_read(&body, &forwarder)) {
        if (!store_begin(ctx, x, &store)) {
            body_done(&body);
            return;
        }
        enrolment_check(&body, store, &forwarder);
        store_snapshot_end(store);
    }
    if (!body_refused(&body, x)) {
        json_t *record = record_forwarder_json(&forwarder);
        if (record)
            forwarder_commit(ctx, x, forwarder.name, record, 0);
        else
            answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
    }
    body_done(&body);
}

OP(op_forwarder_remove) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    if (!name_take(x, parameters, "name", name) || !store_begin(ctx, x, &store))
        return;
    struct bytes value;
    uint64_t revision = 0;
    vlt_result result = store_get(store, STORE_SYSTEM_TENANT, STORE_FORWARDER, bytes_of_text(name),
                                  &value, &revision);
    store_snapshot_end(store);
    if (vlt_is_ok(result))
        forwarder_commit(ctx, x, name, NULL, revision);
    else if (result.class == VLT_NOT_FOUND)
        answer_problem(x, 404, "name", "there is no forwarder \"%s\"", name);
    else
        answer_failure(x, result, NULL, NULL);
}
