// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/credential_there.h"

#include <stdlib.h>

#include "libvault/base/jsontext.h"

vlt_result credential_there_read_any(struct keeper *keeper, uint32_t tenant, struct bytes name,
                                     struct credential_there *ret_there) {
    struct bytes value;
    struct credential_there there = {.record_revision = 0};
    vlt_result result = store_get(keeper->store, tenant, STORE_CREDENTIAL, name, &value,
                                  &there.record_revision);
    if (result.class == VLT_NOT_FOUND)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    VLT_TRY(result);
    VLT_TRY(record_credential_parse(value, NULL, &there.record));
    result = store_get(keeper->store, tenant, STORE_CREDENTIAL_STATE, name, &value,
                       &there.state_revision);
    if (vlt_is_ok(result))
        result = record_credential_state_get(value, &there.state);
    if (!vlt_is_ok(result)) {
        credential_there_done(&there);
        return result;
    }
    *ret_there = there;
    return vlt_ok();
}

vlt_result credential_there_read(struct keeper *keeper, uint32_t tenant, struct bytes name,
                                 uint64_t expected_revision, struct credential_there *ret_there) {
    struct credential_there there;
    vlt_result result = vlt_ok();
    VLT_TRY(credential_there_read_any(keeper, tenant, name, &there));
    if (there.state.status == RECORD_CREDENTIAL_DELETED)
        result = vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    else if (expected_revision && expected_revision != there.record_revision)
        result = vlt_fail(VLT_CONFLICT, "the credential was changed by somebody else");
    if (!vlt_is_ok(result)) {
        credential_there_done(&there);
        return result;
    }
    *ret_there = there;
    return vlt_ok();
}

void credential_there_done(struct credential_there *there) {
    record_credential_done(&there->record);
}

vlt_result credential_there_take(struct credential_there *there,
                                 const struct record_credential_secret *secret) {
    struct record_credential *record = &there->record;
    struct wire_reader r;
    json_t *parameters = NULL;
    if (!bytes_to_text(secret->profile, record->profile, sizeof record->profile))
        return vlt_fail(VLT_MALFORMED, "that version of the credential is damaged");
    wire_reader_init(&r, secret->hosts);
    record->host_count = 0;
    while (r.next < r.size && !r.failed && record->host_count < RECORD_HOSTS_MAX)
        wire_get_text(&r, record->hosts[record->host_count++], sizeof *record->hosts);
    VLT_TRY(wire_reader_end(&r));
    VLT_TRY(jsontext_parse(secret->parameters, &jsontext_token_limits, NULL, &parameters));
    json_decref(record->parameters);
    record->parameters = parameters;
    return vlt_ok();
}

vlt_result credential_there_add(const struct credential_there *there, uint32_t tenant,
                                struct change *change) {
    const struct record_credential *record = &there->record;
    struct bytes name = bytes_of_text(record->name);
    struct record_credential_state state = {.status = (uint8_t)record->status,
                                            .version = record->version,
                                            .previous_version = record->previous_version,
                                            .previous_until = (uint64_t)record->previous_until,
                                            .created_at = (uint64_t)record->created_at};
    uint8_t room[32];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_credential_state_put(&w, &state);
    change_add(change, tenant, STORE_CREDENTIAL_STATE, name, bytes_of(room, w.size),
               there->state_revision);
    json_t *json = record_credential_json(record);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    change_add(change, tenant, STORE_CREDENTIAL, name, bytes_of_text(text),
               there->record_revision);
    free(text);
    return vlt_ok();
}
