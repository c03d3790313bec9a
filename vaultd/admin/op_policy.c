// SPDX-License-Identifier: Apache-2.0
// Policies of a tenant: what is in force, and the check before a new set is.
// The commits are in policy_upload.c.
#include "vaultd/admin/policy_upload.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/policy/policy_vocabulary.h"
#include "vaultd/admin/ops.h"

#define BODY_MAX (8u << 20)
static const struct jsontext_limits policies_limits = {.max_bytes = BODY_MAX, .max_depth = 8};

// ---- Showing ----

static void texts_add(struct store *store, uint32_t tenant, json_t *set) {
    size_t i;
    json_t *document;
    json_array_foreach(json_object_get(set, "documents"), i, document) {
        const char *hash = json_string_value(json_object_get(document, "sha256"));
        struct bytes text;
        if (hash && vlt_is_ok(store_get(store, tenant, STORE_POLICY_TEXT, bytes_of_text(hash),
                                        &text, NULL)))
            json_object_set_new(document, "text", json_stringn((const char *)text.at, text.size));
    }
}

OP(op_policy_show) {
    static const char *const names[] = {"text", NULL};
    char texts[1][QUERY_TEXT_SIZE];
    struct store *store;
    struct record_tenant tenant;
    struct body query = {0};
    query_read(&query, http_exchange_request(x), names, texts);
    uint64_t with_texts = query_number(&query, "text", texts[0], 1, 0);
    if (body_refused(&query, x) || !tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    struct bytes value;
    uint64_t revision = 0;
    json_t *set = NULL;
    vlt_result result = store_get(store, tenant.number, STORE_POLICY_SET,
                                  bytes_of_text(POLICY_ACTIVE), &value, &revision);
    if (vlt_is_ok(result))
        result = jsontext_parse(value, &jsontext_document_limits, NULL, &set);
    else if (result.class == VLT_NOT_FOUND) // nothing was put yet: everything is denied
        set = json_pack("{s:i,s:[]}", "version", 0, "documents");
    if (set && with_texts)
        texts_add(store, tenant.number, set);
    store_snapshot_end(store);
    if (set)
        answer_json(x, 200, set, revision);
    else
        answer_failure(x, result, NULL, NULL);
}

// ---- Checking a new set ----

static void document_read(struct body *body, const json_t *item, struct policy_upload *upload) {
    struct record_policy_set *set = &upload->set;
    const json_t *name = json_object_get(item, "name"), *text = json_object_get(item, "text");
    if (!json_is_object(item) || json_object_size(item) != 2 || !json_is_string(name) ||
        !json_is_string(text)) {
        body_refuse(body, 400, "documents",
                    "each of \"documents\" must be {\"name\":…,\"text\":…} and nothing else");
        return;
    }
    struct bytes name_bytes = bytes_of(json_string_value(name), json_string_length(name));
    struct record_policy_document *document = &set->documents[set->document_count];
    if (!record_name_is_valid(name_bytes) ||
        !bytes_to_text(name_bytes, document->name, sizeof document->name)) {
        body_refuse(body, 400, "name",
                    "the name of a document must be 1 to %d characters of a-z, 0-9, '-', '_', '.': "
                    "\"%.64s\" is not", RECORD_NAME_MAX, json_string_value(name));
        return;
    }
    if (json_string_length(text) > POLICY_DOCUMENT_MAX_BYTES) {
        body_refuse(body, 413, "text",
                    "document \"%s\" has %zu bytes; one document may have %d: split it",
                    document->name, json_string_length(text), POLICY_DOCUMENT_MAX_BYTES);
        return;
    }
    for (size_t i = 0; i < set->document_count; i++)
        if (!strcmp(set->documents[i].name, document->name))
            body_refuse(body, 400, "name", "two documents are named \"%s\"", document->name);
    upload->texts[set->document_count++] =
        bytes_of(json_string_value(text), json_string_length(text));
}

static void fault_add(json_t *faults, const char *document, const struct fault *fault,
                      vlt_result result) {
    json_array_append_new(faults, json_pack("{s:s,s:i,s:i,s:s}", "document", document, "line",
                                            (int)fault->line, "column", (int)fault->column,
                                            "detail", fault_or_reason(fault, result)));
}

// Parses and checks these documents as one set; at most one fault is added.
static bool documents_check(const struct policy_upload *upload, size_t first, size_t count,
                            const char *name, json_t *faults) {
    struct policy_document documents[RECORD_POLICY_DOCUMENTS];
    struct policy_set *set = NULL;
    struct fault fault = {0};
    for (size_t i = 0; i < count; i++)
        documents[i] = (struct policy_document){
            bytes_of_text(upload->set.documents[first + i].name), upload->texts[first + i]};
    vlt_result result = policy_set_parse(documents, count, POLICY_IDS_NAMED, &fault, &set);
    if (vlt_is_ok(result))
        result = policy_vocabulary_check(set, &fault);
    policy_set_free(set);
    if (!vlt_is_ok(result))
        fault_add(faults, name, &fault, result);
    return vlt_is_ok(result);
}

// One fault for each document, so that a person can mend them all at once; then
// what only shows when they stand together (two policies of one id).
static json_t *faults_of(const struct policy_upload *upload) {
    json_t *faults = json_array();
    for (size_t i = 0; faults && i < upload->set.document_count; i++)
        documents_check(upload, i, 1, upload->set.documents[i].name, faults);
    if (faults && json_array_size(faults) == 0 && upload->set.document_count > 1)
        documents_check(upload, 0, upload->set.document_count, "", faults);
    return faults;
}

static void upload_read(struct body *body, struct policy_upload *upload) {
    const json_t *documents =
        body_array(body, "documents", BODY_REQUIRED, RECORD_POLICY_DOCUMENTS);
    for (size_t i = 0; documents && i < json_array_size(documents); i++)
        if (!body->status)
            document_read(body, json_array_get(documents, i), upload);
    upload->expected_version = body_number(body, "expected_version", 0, INT64_MAX, -1);
    upload->body = json_incref(body->root); // the texts live in it
}

// Replies when a document is at fault.
static bool faults_refused(struct http_exchange *x, const struct policy_upload *upload) {
    json_t *faults = faults_of(upload);
    if (faults && json_array_size(faults) == 0) {
        json_decref(faults);
        return false;
    }
    const char *first =
        json_string_value(json_object_get(json_array_get(faults, 0), "detail"));
    char detail[600];
    snprintf(detail, sizeof detail, "nothing was changed: %s",
             first ? first : "the admin role is out of memory");
    answer_faults(x, 400, "documents", detail, faults);
    return true;
}

OP(op_policy_put) {
    static const char *const members[] = {"documents", "expected_version", NULL};
    struct store *store;
    struct record_tenant tenant;
    struct policy_upload *upload = policy_upload_new();
    if (!upload) {
        answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
        return;
    }
    struct body body;
    body_open(http_exchange_request(x), &policies_limits, members, &body);
    if (!body.status)
        upload_read(&body, upload);
    uint64_t if_match = if_match_read(&body, http_exchange_request(x));
    bool refused = body_refused(&body, x) || faults_refused(x, upload) ||
                   !tenant_begin(ctx, x, parameters, &store, &tenant);
    body_done(&body);
    if (refused)
        policy_upload_free(upload);
    else
        policy_upload_start(ctx, x, store, &tenant, upload, if_match);
}
