// SPDX-License-Identifier: Apache-2.0
#include "vaultd/policy/policy_cache.h"

#include <stdlib.h>

#include "libvault/base/b64u.h"

#define TENANTS_MAX 4096 // compiled sets kept; beyond that the slot is taken over

struct entry {
    uint32_t tenant;
    uint64_t revision; // of the record "active"; 0: empty
    struct policy_set *set;
    uint64_t version;
    uint8_t hash[32];
};
struct policy_cache {
    struct entry entries[TENANTS_MAX];
};

struct policy_cache *policy_cache_new(void) { return calloc(1, sizeof(struct policy_cache)); }

void policy_cache_free(struct policy_cache *cache) {
    for (size_t i = 0; cache && i < TENANTS_MAX; i++)
        policy_set_free(cache->entries[i].set);
    free(cache);
}

// The texts of the set's documents, borrowed from the snapshot.
static vlt_result find_texts(struct store *store, uint32_t tenant,
                             const struct record_policy_set *record,
                             struct policy_document *documents) {
    for (size_t i = 0; i < record->document_count; i++) {
        const struct record_policy_document *document = &record->documents[i];
        documents[i].name = bytes_of_text(document->name);
        vlt_result result = store_get(store, tenant, STORE_POLICY_TEXT,
                                      bytes_of_text(document->sha256), &documents[i].text, NULL);
        if (!vlt_is_ok(result))
            return vlt_fail(VLT_UNAVAILABLE, "a text of the active policies is missing");
    }
    return vlt_ok();
}

static vlt_result compile(struct entry *entry, struct store *store, uint32_t tenant,
                          struct bytes json, uint64_t revision, struct fault *fault) {
    struct record_policy_set record;
    struct policy_document documents[RECORD_POLICY_DOCUMENTS];
    struct policy_set *set;
    VLT_TRY(record_policy_set_parse(json, fault, &record));
    VLT_TRY(find_texts(store, tenant, &record, documents));
    vlt_result result =
        policy_set_parse(documents, record.document_count, POLICY_IDS_NAMED, fault, &set);
    if (!vlt_is_ok(result))
        return vlt_fail(VLT_UNAVAILABLE, "the active policies do not compile");
    policy_set_free(entry->set);
    entry->tenant = tenant;
    entry->revision = revision;
    entry->set = set;
    entry->version = record.version;
    memcpy(entry->hash, record.hash, sizeof entry->hash);
    return vlt_ok();
}

vlt_result policy_cache_get(struct policy_cache *cache, struct store *store, uint32_t tenant,
                            struct fault *fault, struct policy_active *ret_active) {
    struct entry *entry = &cache->entries[tenant % TENANTS_MAX];
    struct bytes json;
    uint64_t revision = 0;
    VLT_TRY(store_get(store, tenant, STORE_POLICY_SET, BYTES_LITERAL("active"), &json, &revision));
    if (!entry->set || entry->tenant != tenant || entry->revision != revision)
        VLT_TRY(compile(entry, store, tenant, json, revision, fault));
    ret_active->set = entry->set;
    ret_active->version = entry->version;
    memcpy(ret_active->hash, entry->hash, sizeof ret_active->hash);
    b64u_encode_text(bytes_of(entry->hash, sizeof entry->hash), ret_active->hash_text);
    return vlt_ok();
}
