// SPDX-License-Identifier: Apache-2.0
// What handlers read from the store: tenants, single records, pages of records.
#include <stdlib.h>

#include "vaultd/admin/work.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX 1000

bool store_begin(struct admin *admin, struct http_exchange *x, struct store **ret_store) {
    struct fault fault = {0};
    struct store *store = NULL;
    vlt_result result = admin_store(admin, &fault, &store);
    if (vlt_is_ok(result))
        result = store_snapshot_begin(store);
    if (vlt_is_ok(result)) {
        *ret_store = store;
        return true;
    }
    // No store yet, or not readable: the keeper knows which.
    struct admin_work *work = work_new(admin, x, "store.read");
    if (work)
        work_fail(work, vlt_fail(VLT_UNAVAILABLE, result.class == VLT_NOT_FOUND
                                                      ? "there is no store yet: run `vaultctl init`"
                                                      : result.reason));
    return false;
}

bool name_take(struct http_exchange *x, const struct http_parameters *parameters,
               const char *parameter, char name[RECORD_NAME_MAX + 1]) {
    struct bytes value = http_parameter(parameters, parameter);
    if (record_name_is_valid(value) && bytes_to_text(value, name, RECORD_NAME_MAX + 1))
        return true;
    answer_problem(x, 400, parameter,
                   "\"%s\" must be 1 to %d characters of a-z, 0-9, '-', '_', '.', the first one a "
                   "letter or digit",
                   parameter, RECORD_NAME_MAX);
    return false;
}

bool tenant_begin(struct admin *admin, struct http_exchange *x,
                  const struct http_parameters *parameters, struct store **ret_store,
                  struct record_tenant *ret_tenant) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    if (!name_take(x, parameters, "tenant", name) || !store_begin(admin, x, &store))
        return false;
    vlt_result result = record_tenant_find(store, bytes_of_text(name), ret_tenant);
    if (vlt_is_ok(result)) {
        *ret_store = store;
        return true;
    }
    store_snapshot_end(store);
    if (result.class == VLT_NOT_FOUND)
        answer_problem(x, 404, "tenant",
                       "there is no tenant \"%s\": `vaultctl tenant list` shows those there are",
                       name);
    else
        answer_failure(x, result, NULL, "tenant");
    return false;
}

void record_answer(struct http_exchange *x, struct store *store, uint32_t tenant,
                   enum store_class class, const char *name, const char *what) {
    struct bytes value;
    uint64_t revision = 0;
    json_t *root = NULL;
    vlt_result result = store_get(store, tenant, class, bytes_of_text(name), &value, &revision);
    if (vlt_is_ok(result))
        result = jsontext_parse(value, &jsontext_document_limits, NULL, &root);
    store_snapshot_end(store);
    if (vlt_is_ok(result))
        answer_json(x, 200, root, revision);
    else if (result.class == VLT_NOT_FOUND)
        answer_problem(x, 404, "name", "there is no %s \"%s\"", what, name);
    else
        answer_failure(x, result, NULL, NULL);
}

struct page {
    json_t *items;
    size_t limit;
    char last[STORE_NAME_MAX + 1];
    bool has_more;
    list_keep *keep;
};

static bool page_take(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct page *page = context;
    json_t *record = NULL;
    if (!vlt_is_ok(jsontext_parse(value, &jsontext_document_limits, NULL, &record)))
        return true; // shown as a failure by GET of that one record
    if (page->keep && !page->keep(record, revision)) {
        json_decref(record);
        return true;
    }
    if (json_array_size(page->items) == page->limit) {
        page->has_more = true;
        json_decref(record);
        return false;
    }
    json_object_set_new(record, "revision", json_integer((json_int_t)revision));
    json_array_append_new(page->items, record);
    return bytes_to_text(name, page->last, sizeof page->last);
}

void list_answer(struct http_exchange *x, struct store *store, uint32_t tenant,
                 enum store_class class, list_keep *keep) {
    static const char *const names[] = {"after", "limit", NULL};
    char texts[2][QUERY_TEXT_SIZE];
    struct body query = {0};
    query_read(&query, http_exchange_request(x), names, texts);
    struct page page = {.keep = keep};
    page.limit = query_number(&query, "limit", texts[1], PAGE_MAX, PAGE_DEFAULT);
    if (!query.status && page.limit == 0)
        body_refuse(&query, 400, "limit", "\"limit\" must be from 1 to %d", PAGE_MAX);
    if (strlen(texts[0]) > STORE_NAME_MAX)
        body_refuse(&query, 400, "after", "\"after\" is too long");
    if (body_refused(&query, x)) {
        store_snapshot_end(store);
        return;
    }
    page.items = json_array();
    vlt_result result = page.items ? store_each(store, tenant, class, bytes_of(NULL, 0),
                                                bytes_of_text(texts[0]), page_take, &page)
                                   : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    store_snapshot_end(store);
    if (!vlt_is_ok(result)) {
        json_decref(page.items);
        answer_failure(x, result, NULL, NULL);
        return;
    }
    json_t *body = json_pack("{s:o}", "items", page.items);
    if (body && page.has_more)
        json_object_set_new(body, "next", json_string(page.last));
    answer_json(x, 200, body, 0);
}
