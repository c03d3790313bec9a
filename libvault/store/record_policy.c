// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_policy.h"

#include "libvault/base/hex.h"
#include "libvault/crypto/digest.h"
#include "libvault/store/record_json.h"

vlt_result record_policy_set_seal(struct record_policy_set *set) {
    struct bytes parts[3 * RECORD_POLICY_DOCUMENTS];
    size_t count = 0;
    for (size_t i = 0; i < set->document_count; i++) {
        parts[count++] = bytes_of_text(set->documents[i].name);
        parts[count++] = bytes_of("", 1); // NUL: where the name ends
        parts[count++] = bytes_of_text(set->documents[i].sha256);
    }
    return digest_sha256_parts(parts, count, set->hash);
}

static bool is_lower_hash(const char *text) {
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static void read_document(struct record_json *r, const json_t *item,
                          struct record_policy_document *document) {
    static const char *const members[] = {"name", "sha256", NULL};
    if (!json_is_object(item)) {
        record_json_fail(r, "documents", "an array of objects");
        return;
    }
    struct record_json inner = {.object = item, .fault = r->fault, .result = vlt_ok()};
    inner.result = jsontext_only_members(item, members, r->fault);
    record_json_name(&inner, "name", RECORD_REQUIRED, document->name, sizeof document->name);
    record_json_text(&inner, "sha256", RECORD_REQUIRED, document->sha256, sizeof document->sha256);
    if (!record_json_failed(&inner) && !is_lower_hash(document->sha256))
        record_json_fail(&inner, "sha256", "64 lower-case hexadecimal digits");
    r->result = inner.result;
}

static void read_documents(struct record_json *r, struct record_policy_set *set) {
    const json_t *list =
        record_json_array(r, "documents", RECORD_OPTIONAL, RECORD_POLICY_DOCUMENTS);
    for (size_t i = 0; list && i < json_array_size(list) && !record_json_failed(r); i++) {
        read_document(r, json_array_get(list, i), &set->documents[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(set->documents[j].name, set->documents[i].name) == 0)
                record_json_fail(r, "documents", "documents of different names");
        set->document_count = i + 1;
    }
}

vlt_result record_policy_set_parse(struct bytes json, struct fault *fault,
                                   struct record_policy_set *ret_set) {
    static const char *const members[] = {"version",      "hash",         "documents",
                                          "activated_at", "activated_by", NULL};
    struct record_policy_set set = {0};
    struct record_json r;
    json_t *root;
    int64_t version = 0;
    uint8_t claimed[32] = {0};
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    record_json_number(&r, "version", RECORD_REQUIRED, 1, INT64_MAX, &version);
    record_json_hash(&r, "hash", RECORD_REQUIRED, claimed, NULL);
    read_documents(&r, &set);
    record_json_number(&r, "activated_at", RECORD_OPTIONAL, 0, INT64_MAX, &set.activated_at);
    record_json_text(&r, "activated_by", RECORD_OPTIONAL, set.activated_by,
                     sizeof set.activated_by);
    set.version = (uint64_t)version;
    json_decref(root);
    VLT_TRY(r.result);
    VLT_TRY(record_policy_set_seal(&set));
    if (!bytes_equal(bytes_of(claimed, 32), bytes_of(set.hash, 32)))
        return fault_set(fault, VLT_MALFORMED, "the hash of a policy set does not fit",
                         "\"hash\" is not the hash of \"documents\"");
    *ret_set = set;
    return vlt_ok();
}

static json_t *documents_json(const struct record_policy_set *set) {
    json_t *list = json_array();
    for (size_t i = 0; i < set->document_count; i++) {
        json_t *document = json_object();
        record_json_put_text(&document, "name", set->documents[i].name);
        record_json_put_text(&document, "sha256", set->documents[i].sha256);
        if (json_array_append_new(list, document) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *record_policy_set_json(const struct record_policy_set *set) {
    char hash[65];
    hex_encode(bytes_of(set->hash, 32), hash);
    json_t *object = json_object();
    record_json_put_number(&object, "version", (int64_t)set->version);
    record_json_put_text(&object, "hash", hash);
    record_json_put(&object, "documents", documents_json(set));
    record_json_put_number(&object, "activated_at", set->activated_at);
    record_json_put_text(&object, "activated_by", set->activated_by);
    return object;
}
