// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/credential_versions.h"

#include <inttypes.h>
#include <stdio.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_credential.h"

struct looking {
    const char *tenant;
    json_t *items;
    size_t looks;
    int64_t now_s;
};

static void version_add(struct looking *looking, const struct record_credential *record,
                        uint32_t version, const char *state, int64_t since, const char *needed_by) {
    char key[RECORD_NAME_MAX + 16];
    snprintf(key, sizeof key, "%s/%" PRIu32, record->name, version);
    json_array_append_new(
        looking->items,
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "kind", "credential", "tenant",
                  looking->tenant, "key", key, "state", state, "generation", (json_int_t)version,
                  "created_at", (json_int_t)since, "age_s", (json_int_t)(looking->now_s - since),
                  "needed_by", needed_by));
}

static void versions_add(struct looking *looking, const struct record_credential *record) {
    bool has_previous = record->previous_version && record->previous_until > looking->now_s;
    int64_t used_since = record->rotated_at ? record->rotated_at : record->created_at;
    if (!has_previous && !record->staged_version)
        return;
    if (record->staged_version)
        version_add(looking, record, record->staged_version,
                    record->verified_at ? "verified" : "staged", record->staged_at,
                    record->verified_at ? "nothing yet: promote it" : "nothing yet: verify it");
    version_add(looking, record, record->version, "active", used_since, "requests");
    if (has_previous)
        version_add(looking, record, record->previous_version, "retired", used_since,
                    "requests in flight, and rollback, until its grace is over");
}

static bool look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct looking *looking = context;
    struct record_credential record;
    if (vlt_is_ok(record_credential_parse(value, NULL, &record))) {
        if (record.status != RECORD_CREDENTIAL_DELETED)
            versions_add(looking, &record);
        record_credential_done(&record);
    }
    return ++looking->looks < CREDENTIAL_VERSIONS_LOOKS_MAX;
}

void credential_versions_add(struct store *store, uint32_t tenant, const char *tenant_name,
                             json_t *items) {
    struct looking looking = {.tenant = tenant_name, .items = items, .now_s = clock_now_s()};
    // What can not be read is not listed: `credential show` says what is wrong with it.
    (void)vlt_is_ok(store_each(store, tenant, STORE_CREDENTIAL, bytes_of(NULL, 0),
                               bytes_of(NULL, 0), look, &looking));
}
