// SPDX-License-Identifier: Apache-2.0
// The keys that there are, and the end of those that nothing needs.
#include <stdio.h>
#include <stdlib.h>

#include "vaultd/admin/credential_versions.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"
#include "vaultd/ipc/rotation_kind.h"

#define KEY_TEXT_MAX 64

// ---- The list ----

struct naming {
    json_t *items;
    size_t left; // without a name yet
};

static bool name_items(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct naming *naming = context;
    struct record_tenant tenant;
    char text[RECORD_NAME_MAX + 1];
    if (!vlt_is_ok(record_tenant_parse(value, NULL, &tenant)) ||
        !bytes_to_text(name, text, sizeof text))
        return true;
    for (size_t i = 0; i < json_array_size(naming->items); i++) {
        json_t *item = json_array_get(naming->items, i);
        const json_t *number = json_object_get(item, "tenant_number");
        if (number && (uint64_t)json_integer_value(number) == tenant.number) {
            json_object_set_new(item, "tenant", json_string(text));
            naming->left--;
        }
    }
    return naming->left > 0;
}

// Numbers of tenants are the keeper's; people know names.
static void add_names(struct admin *admin, json_t *items) {
    struct naming naming = {.items = items};
    struct store *store;
    for (size_t i = 0; i < json_array_size(items); i++)
        naming.left += json_object_get(json_array_get(items, i), "tenant_number") != NULL;
    if (naming.left == 0 || !vlt_is_ok(admin_store(admin, NULL, &store)) ||
        !vlt_is_ok(store_snapshot_begin(store)))
        return;
    // A key whose tenant can not be read is listed with its number alone.
    (void)vlt_is_ok(store_each(store, STORE_SYSTEM_TENANT, STORE_TENANT, bytes_of(NULL, 0),
                               bytes_of(NULL, 0), name_items, &naming));
    store_snapshot_end(store);
}

static void add_credentials(const struct admin_work *work, json_t *items) {
    struct store *store;
    if (!vlt_is_ok(admin_store(work->admin, NULL, &store)) ||
        !vlt_is_ok(store_snapshot_begin(store)))
        return;
    credential_versions_add(store, work->tenant, work->tenant_name, items);
    store_snapshot_end(store);
}

static void listed(vlt_result result, const struct answer_key_list *answer, void *context) {
    struct admin_work *work = context;
    json_t *items = NULL;
    if (vlt_is_ok(result))
        result = jsontext_parse(answer->keys, &jsontext_document_limits, NULL, &items);
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    add_names(work->admin, items);
    if (work->tenant)
        add_credentials(work, items);
    json_t *body = json_pack("{s:o}", "items", items);
    if (body && answer->next_tenant) {
        char next[16];
        snprintf(next, sizeof next, "%u", answer->next_tenant);
        json_object_set_new(body, "next", json_string(next));
    }
    answer_json(work->x, 200, body, 0);
    work_free(work);
}

// tenant NULL: of the whole vault.
static void list(struct admin *admin, struct http_exchange *x, const struct record_tenant *tenant,
                 const struct ask_key_list *ask) {
    struct admin_work *work = work_new(admin, x, "key.list");
    if (work && tenant)
        work_set_tenant(work, tenant);
    if (work)
        ask_key_list(admin->keeper, ask, listed, work);
}

OP(op_key_list) {
    static const char *const names[] = {"after", "limit", NULL};
    char texts[2][QUERY_TEXT_SIZE];
    struct body query = {0};
    query_read(&query, http_exchange_request(x), names, texts);
    // Pages are as long as the keeper makes them; a limit is accepted as elsewhere.
    struct ask_key_list ask = {
        .tenant = (uint32_t)query_number(&query, "after", texts[0], UINT32_MAX, 0)};
    (void)query_number(&query, "limit", texts[1], 1000, 0);
    if (!body_refused(&query, x))
        list(ctx, x, NULL, &ask);
}

OP(op_tenant_key_list) {
    struct store *store;
    struct record_tenant tenant;
    if (!tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    const struct ask_key_list ask = {.tenant = tenant.number, .only = 1};
    list(ctx, x, &tenant, &ask);
}

// ---- The end of one ----

static void destroyed(vlt_result result, const struct answer_key_destroy *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        work_reply(work, answer->revision);
    else
        work_fail(work, result);
}

static void destroy(struct admin *admin, struct http_exchange *x,
                    const struct http_parameters *parameters, enum rotation_kind kind,
                    const struct record_tenant *tenant) {
    char key[KEY_TEXT_MAX + 1];
    if (!bytes_to_text(http_parameter(parameters, "key"), key, sizeof key)) {
        answer_problem(x, 404, "key", "there is no such key: `vaultctl key list` shows them");
        return;
    }
    struct admin_work *work = work_new(admin, x, "key.destroy");
    if (!work)
        return;
    if (tenant)
        work_set_tenant(work, tenant);
    char subject[sizeof work->subject];
    snprintf(subject, sizeof subject, "%s %s", rotation_kind_name(kind), key);
    work_set_subject(work, subject);
    work->reply = json_pack("{s:s, s:s}", "kind", rotation_kind_name(kind), "key", key);
    const struct ask_key_destroy ask = {.kind = (uint8_t)kind,
                                        .tenant = work->tenant,
                                        .key = bytes_of_text(key),
                                        .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_key_destroy(admin->keeper, &ask, destroyed, work);
}

OP(op_key_destroy) {
    enum rotation_kind kind;
    if (rotation_kind_take(x, parameters, &kind))
        destroy(ctx, x, parameters, kind, NULL);
}

OP(op_tenant_key_destroy) {
    struct store *store;
    struct record_tenant tenant;
    if (!tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    destroy(ctx, x, parameters, ROTATION_TENANT, &tenant);
}
