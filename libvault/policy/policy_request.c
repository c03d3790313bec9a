// SPDX-License-Identifier: Apache-2.0
// Building a request from C. Every function looks for an earlier failure first,
// so that callers need not.
#include "libvault/policy/policy_entity.h"
#include "libvault/policy/policy_ext.h"

#include <stdlib.h>

#define REQUEST_FIRST_BYTES (16u * 1024)

struct policy_request *policy_request_new(size_t max_bytes) {
    struct policy_request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    policy_arena_init(&request->arena,
                      max_bytes < REQUEST_FIRST_BYTES ? max_bytes : REQUEST_FIRST_BYTES, max_bytes);
    policy_request_reset(request);
    return request;
}

void policy_request_free(struct policy_request *request) {
    if (!request)
        return;
    policy_arena_done(&request->arena);
    free(request);
}

void policy_request_reset(struct policy_request *request) {
    policy_arena_reset(&request->arena);
    struct policy_arena arena = request->arena;
    *request = (struct policy_request){.arena = arena, .failure = vlt_ok()};
    request->last = &request->first;
    request->context.request = request;
    request->lost.attributes.request = request;
    request->lost.tags.request = request;
}

void policy_request_fail(struct policy_request *request, enum vlt_class class, const char *reason) {
    if (vlt_is_ok(request->failure))
        request->failure = vlt_fail(class, reason);
}

static bool has_failed(const struct policy_request *request) {
    return !vlt_is_ok(request->failure);
}

static void fail_memory(struct policy_request *request) {
    policy_request_fail(request, VLT_LIMIT, "request too large");
}

void policy_request_ask(struct policy_request *request, struct policy_uid principal,
                        struct policy_uid action, struct policy_uid resource) {
    request->party[0] = policy_key_of(principal);
    request->party[1] = policy_key_of(action);
    request->party[2] = policy_key_of(resource);
    request->is_ready = false;
}

struct policy_entity *policy_entity_add_key(struct policy_request *request, struct policy_key key) {
    struct policy_entity *entity =
        has_failed(request) ? NULL : policy_arena_take(&request->arena, sizeof *entity);
    if (!entity) {
        fail_memory(request);
        return &request->lost;
    }
    *entity = (struct policy_entity){.key = key};
    entity->attributes.request = request;
    entity->tags.request = request;
    *request->last = entity;
    request->last = &entity->next;
    request->entity_count++;
    request->is_ready = false;
    return entity;
}

struct policy_entity *policy_entity_add(struct policy_request *request, const char *type,
                                        struct bytes id) {
    return policy_entity_add_key(request, policy_key_of(policy_uid_of(type, id)));
}

void policy_entity_add_parent(struct policy_entity *entity, struct policy_key key) {
    struct policy_request *request = entity->attributes.request;
    if (has_failed(request))
        return;
    struct policy_parent *parents =
        policy_arena_grow(&request->arena, entity->parents, entity->parent_count,
                          &entity->parent_capacity, sizeof *parents);
    if (!parents) {
        fail_memory(request);
        return;
    }
    entity->parents = parents;
    entity->parents[entity->parent_count++] = (struct policy_parent){.key = key};
    request->is_ready = false;
}

void policy_entity_parent(struct policy_entity *entity, const char *type, struct bytes id) {
    policy_entity_add_parent(entity, policy_key_of(policy_uid_of(type, id)));
}

struct policy_record *policy_entity_attributes(struct policy_entity *entity) {
    return &entity->attributes;
}

struct policy_record *policy_entity_tags(struct policy_entity *entity) {
    return &entity->tags;
}

struct policy_record *policy_request_context(struct policy_request *request) {
    return &request->context;
}

void policy_request_context_clear(struct policy_request *request) {
    request->context.fields.count = 0;
}

// Keeps the fields sorted: records of a request are small.
void policy_record_put(struct policy_record *record, struct bytes name, struct policy_value value) {
    struct policy_request *request = record->request;
    if (has_failed(request))
        return;
    struct policy_field *items =
        policy_arena_grow(&request->arena, record->fields.items, record->fields.count,
                          &record->capacity, sizeof *items);
    if (!items) {
        fail_memory(request);
        return;
    }
    record->fields.items = items;
    size_t at = record->fields.count;
    int order = 1;
    while (at > 0 && (order = policy_name_compare(items[at - 1].name, name)) > 0)
        at--;
    if (order == 0) {
        policy_request_fail(request, VLT_MALFORMED, "one name twice in a record");
        return;
    }
    memmove(&items[at + 1], &items[at], (record->fields.count - at) * sizeof *items);
    items[at] = (struct policy_field){name, value};
    record->fields.count++;
}

void policy_put_bool(struct policy_record *record, const char *name, bool value) {
    policy_record_put(record, bytes_of_text(name), policy_value_bool(value));
}

void policy_put_long(struct policy_record *record, const char *name, int64_t value) {
    policy_record_put(record, bytes_of_text(name), policy_value_number(POLICY_LONG, value));
}

void policy_put_string_named(struct policy_record *record, struct bytes name, struct bytes value) {
    policy_record_put(record, name, policy_value_string(value));
}

void policy_put_string(struct policy_record *record, const char *name, struct bytes value) {
    policy_put_string_named(record, bytes_of_text(name), value);
}

void policy_put_strings(struct policy_record *record, const char *name, const struct bytes *values,
                        size_t count) {
    struct policy_request *request = record->request;
    struct policy_value *items = policy_arena_take_array(&request->arena, count, sizeof *items);
    if (!items) {
        fail_memory(request);
        return;
    }
    for (size_t i = 0; i < count; i++)
        items[i] = policy_value_string(values[i]);
    policy_record_put(record, bytes_of_text(name), policy_value_set(items, count));
}

void policy_put_entity(struct policy_record *record, const char *name, struct policy_uid uid) {
    struct policy_request *request = record->request;
    struct policy_key *key = policy_arena_take(&request->arena, sizeof *key);
    if (!key) {
        fail_memory(request);
        return;
    }
    *key = policy_key_of(uid);
    policy_record_put(record, bytes_of_text(name), policy_value_entity(key));
}

void policy_put_ip(struct policy_record *record, const char *name, struct bytes text) {
    struct policy_request *request = record->request;
    struct policy_ip *ip = policy_arena_take(&request->arena, sizeof *ip);
    if (!ip) {
        fail_memory(request);
        return;
    }
    vlt_result result = policy_ip_parse(text, ip);
    if (!vlt_is_ok(result)) {
        policy_request_fail(request, result.class, result.reason);
        return;
    }
    policy_record_put(record, bytes_of_text(name),
                      (struct policy_value){.kind = POLICY_IP, .ip = ip});
}

void policy_put_datetime(struct policy_record *record, const char *name, int64_t epoch_ms) {
    policy_record_put(record, bytes_of_text(name), policy_value_number(POLICY_DATETIME, epoch_ms));
}

void policy_put_duration(struct policy_record *record, const char *name, int64_t value_ms) {
    policy_record_put(record, bytes_of_text(name), policy_value_number(POLICY_DURATION, value_ms));
}

struct policy_record *policy_put_record(struct policy_record *record, const char *name) {
    struct policy_request *request = record->request;
    struct policy_record *inner = policy_arena_take(&request->arena, sizeof *inner);
    if (!inner) {
        fail_memory(request);
        return &request->lost.attributes;
    }
    *inner = (struct policy_record){.request = request};
    policy_record_put(record, bytes_of_text(name),
                      (struct policy_value){.kind = POLICY_RECORD, .record = &inner->fields});
    return inner;
}
