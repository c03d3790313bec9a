// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_credential.h"

#include "libvault/store/record_json.h"

static const char *const status_names[] = {NULL, "active", "disabled", "deleted"};
#define STATUS_COUNT (sizeof status_names / sizeof *status_names)

bool record_host_is_valid(struct bytes host) {
    if (host.size == 0 || host.size > RECORD_HOST_MAX || host.at[0] == '.' || host.at[0] == ':')
        return false;
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                        c == ':' || c == '[' || c == ']' || c == '_';
        if (!is_plain)
            return false;
    }
    return true;
}

static void read_hosts(struct record_json *r, struct record_credential *credential) {
    const json_t *list = record_json_array(r, "hosts", RECORD_REQUIRED, RECORD_HOSTS_MAX);
    for (size_t i = 0; list && i < json_array_size(list); i++) {
        char *host = credential->hosts[i];
        record_json_item(r, "hosts", json_array_get(list, i), host, sizeof *credential->hosts);
        if (!record_json_failed(r) && !record_host_is_valid(bytes_of_text(host)))
            record_json_fail(r, "hosts", "lower-case host names with :port unless it is 443");
        credential->host_count = i + 1;
    }
}

static void read_parameters(struct record_json *r, struct record_credential *credential) {
    const json_t *object = record_json_object(r, "parameters", RECORD_OPTIONAL);
    const char *name;
    json_t *value;
    // The macro iterates without changing; jansson's signature has no const.
    json_object_foreach((json_t *)(uintptr_t)object, name, value) if (!json_is_string(value))
        record_json_fail(r, "parameters", "an object of texts");
    if (record_json_failed(r))
        return;
    credential->parameters = object ? json_deep_copy(object) : json_object();
    if (!credential->parameters)
        r->result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static void read_status(struct record_json *r, struct record_credential *credential) {
    char status[16] = "";
    record_json_text(r, "status", RECORD_REQUIRED, status, sizeof status);
    for (size_t i = 1; i < STATUS_COUNT; i++)
        if (strcmp(status, status_names[i]) == 0) {
            credential->status = (enum record_credential_status)i;
            return;
        }
    record_json_fail(r, "status", "\"active\", \"disabled\" or \"deleted\"");
}

static void read_staged(struct record_json *r, struct record_credential *credential) {
    int64_t staged = 0, newest = 0;
    record_json_number(r, "staged_version", RECORD_OPTIONAL, 0, UINT32_MAX, &staged);
    record_json_number(r, "staged_at", RECORD_OPTIONAL, 0, INT64_MAX, &credential->staged_at);
    record_json_number(r, "verified_at", RECORD_OPTIONAL, 0, INT64_MAX, &credential->verified_at);
    record_json_number(r, "newest_version", RECORD_OPTIONAL, 0, UINT32_MAX, &newest);
    credential->staged_version = (uint32_t)staged;
    credential->newest_version = (uint32_t)newest;
}

uint32_t record_credential_newest(const struct record_credential *credential) {
    return credential->newest_version > credential->version ? credential->newest_version
                                                            : credential->version;
}

static void read_credential(struct record_json *r, struct record_credential *credential) {
    int64_t version = 0, previous = 0;
    record_json_name(r, "name", RECORD_REQUIRED, credential->name, sizeof credential->name);
    record_json_name(r, "profile", RECORD_REQUIRED, credential->profile,
                     sizeof credential->profile);
    read_hosts(r, credential);
    read_parameters(r, credential);
    record_json_text(r, "description", RECORD_OPTIONAL, credential->description,
                     sizeof credential->description);
    read_status(r, credential);
    record_json_number(r, "version", RECORD_REQUIRED, 1, UINT32_MAX, &version);
    record_json_number(r, "previous_version", RECORD_OPTIONAL, 0, UINT32_MAX, &previous);
    record_json_number(r, "previous_until", RECORD_OPTIONAL, 0, INT64_MAX,
                       &credential->previous_until);
    record_json_number(r, "created_at", RECORD_REQUIRED, 1, INT64_MAX, &credential->created_at);
    record_json_number(r, "rotated_at", RECORD_OPTIONAL, 0, INT64_MAX, &credential->rotated_at);
    credential->version = (uint32_t)version;
    credential->previous_version = (uint32_t)previous;
    read_staged(r, credential);
}

vlt_result record_credential_parse(struct bytes json, struct fault *fault,
                                   struct record_credential *ret_credential) {
    static const char *const members[] = {
        "name",           "profile",    "hosts",       "parameters",     "description",
        "status",         "version",    "created_at",  "rotated_at",     "previous_version",
        "previous_until", "staged_at",  "verified_at", "staged_version", "newest_version",
        NULL};
    struct record_json r;
    json_t *root;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    struct record_credential credential = {0};
    read_credential(&r, &credential);
    json_decref(root);
    if (record_json_failed(&r)) {
        record_credential_done(&credential);
        return r.result;
    }
    *ret_credential = credential;
    return vlt_ok();
}

void record_credential_done(struct record_credential *credential) {
    json_decref(credential->parameters);
    *credential = (struct record_credential){0};
}

json_t *record_credential_json(const struct record_credential *credential) {
    json_t *object = json_object(), *hosts = json_array();
    for (size_t i = 0; i < credential->host_count; i++)
        json_array_append_new(hosts, json_string(credential->hosts[i]));
    record_json_put_text(&object, "name", credential->name);
    record_json_put_text(&object, "profile", credential->profile);
    record_json_put(&object, "hosts", hosts);
    if (credential->parameters && json_object_size(credential->parameters) > 0)
        record_json_put(&object, "parameters", json_deep_copy(credential->parameters));
    record_json_put_text(&object, "description", credential->description);
    record_json_put_text(&object, "status", status_names[credential->status]);
    record_json_put_number(&object, "version", credential->version);
    record_json_put_number(&object, "previous_version", credential->previous_version);
    record_json_put_number(&object, "previous_until", credential->previous_until);
    record_json_put_number(&object, "created_at", credential->created_at);
    record_json_put_number(&object, "rotated_at", credential->rotated_at);
    record_json_put_number(&object, "staged_version", credential->staged_version);
    record_json_put_number(&object, "staged_at", credential->staged_at);
    record_json_put_number(&object, "verified_at", credential->verified_at);
    record_json_put_number(&object, "newest_version", credential->newest_version);
    return object;
}
