// SPDX-License-Identifier: Apache-2.0
// Cedar language guide, "Entities and context syntax": values with the escapes
// __entity and __extn. An object is an escape only when the escape is its one
// member and has the right form; else it is a record.
#include "libvault/policy/policy_entity_json.h"

#include "libvault/policy/policy_ext.h"
#include "libvault/policy/policy_literal.h"

static vlt_result read_value(struct policy_request *request, const struct policy_json *json,
                             struct fault *fault, struct policy_value *ret_value);

struct policy_arena *policy_request_arena(struct policy_request *request) {
    return &request->arena;
}

static vlt_result no_memory(struct fault *fault) {
    return fault_set(fault, VLT_LIMIT, "request too large",
                     "the JSON needs more memory than a request may have");
}

static vlt_result read_uid(const struct policy_json *json, struct fault *fault,
                           struct policy_uid *ret_uid) {
    struct policy_uid uid;
    if (!policy_json_get_text(json, "type", &uid.type) ||
        !policy_json_get_text(json, "id", &uid.id))
        return policy_json_fail(json, fault, "expected {\"type\": …, \"id\": …}");
    if (!policy_path_is_valid(uid.type))
        return policy_json_fail(json, fault, "\"%.*s\" is not the name of a type",
                                (int)(uid.type.size < 80 ? uid.type.size : 80),
                                (const char *)uid.type.at);
    *ret_uid = uid;
    return vlt_ok();
}

vlt_result policy_entity_json_uid(const struct policy_json *json, struct fault *fault,
                                  struct policy_uid *ret_uid) {
    const struct policy_json *escape = policy_json_get(json, "__entity");
    return read_uid(escape ? escape : json, fault, ret_uid);
}

static vlt_result read_entity(struct policy_request *request, const struct policy_json *json,
                              struct fault *fault, struct policy_value *ret_value) {
    struct policy_uid uid;
    VLT_TRY(read_uid(json, fault, &uid));
    struct policy_key *key = policy_arena_take(&request->arena, sizeof *key);
    if (!key)
        return no_memory(fault);
    *key = policy_key_of(uid);
    *ret_value = policy_value_entity(key);
    return vlt_ok();
}

// {"fn": "ip", "arg": …} or {"fn": "offset", "args": […]}.
static vlt_result read_call(struct policy_request *request, const struct policy_json *json,
                            struct fault *fault, struct policy_value *ret_value) {
    struct policy_value arguments[POLICY_EXT_ARGUMENTS_MAX];
    const struct policy_json *one = policy_json_get(json, "arg");
    const struct policy_json *many = policy_json_get(json, "args");
    const struct policy_json *items = one ? one : many->items;
    size_t count = one ? 1 : many->count;
    struct bytes name = {0};
    (void)policy_json_get_text(json, "fn", &name);
    const struct policy_ext *function = policy_ext_find(name);
    if (!function)
        return policy_json_fail(json, fault, "there is no function %.*s",
                                (int)(name.size < 80 ? name.size : 80), (const char *)name.at);
    if (count != function->arguments)
        return policy_json_fail(json, fault, "wrong number of arguments for %s", function->name);
    for (size_t i = 0; i < count; i++)
        VLT_TRY(read_value(request, &items[i], fault, &arguments[i]));
    vlt_result result = function->call(arguments, &request->arena, ret_value);
    if (!vlt_is_ok(result))
        return policy_json_fail(json, fault, "%s: %s", function->name, result.reason);
    return vlt_ok();
}

static bool is_call(const struct policy_json *json) {
    struct bytes ignored;
    const struct policy_json *many = policy_json_get(json, "args");
    return json->count >= 2 && policy_json_get_text(json, "fn", &ignored) &&
           (policy_json_get(json, "arg") || (many && many->kind == POLICY_JSON_ARRAY));
}

static bool is_uid(const struct policy_json *json) {
    struct bytes ignored;
    return json->count >= 2 && policy_json_get_text(json, "type", &ignored) &&
           policy_json_get_text(json, "id", &ignored);
}

static vlt_result read_fields(struct policy_request *request, const struct policy_json *json,
                              struct fault *fault, struct policy_fields *ret_fields) {
    struct policy_field *items =
        policy_arena_take_array(&request->arena, json->count, sizeof *items);
    if (!items)
        return no_memory(fault);
    // The members come sorted and without duplicates.
    for (size_t i = 0; i < json->count; i++) {
        items[i].name = json->members[i].name;
        VLT_TRY(read_value(request, &json->members[i].value, fault, &items[i].value));
    }
    *ret_fields = (struct policy_fields){items, json->count};
    return vlt_ok();
}

static vlt_result read_object(struct policy_request *request, const struct policy_json *json,
                              struct fault *fault, struct policy_value *ret_value) {
    const struct policy_json_member *only = json->count == 1 ? &json->members[0] : NULL;
    if (only && only->value.kind == POLICY_JSON_OBJECT) {
        if (bytes_equal_text(only->name, "__extn") && is_call(&only->value))
            return read_call(request, &only->value, fault, ret_value);
        if (bytes_equal_text(only->name, "__entity") && is_uid(&only->value))
            return read_entity(request, &only->value, fault, ret_value);
    }
    if (only && bytes_equal_text(only->name, "__expr") && only->value.kind == POLICY_JSON_STRING)
        return policy_json_fail(json, fault, "__expr is not supported");
    struct policy_fields *fields = policy_arena_take(&request->arena, sizeof *fields);
    if (!fields)
        return no_memory(fault);
    VLT_TRY(read_fields(request, json, fault, fields));
    *ret_value = (struct policy_value){.kind = POLICY_RECORD, .record = fields};
    return vlt_ok();
}

static vlt_result read_array(struct policy_request *request, const struct policy_json *json,
                             struct fault *fault, struct policy_value *ret_value) {
    struct policy_value *items =
        policy_arena_take_array(&request->arena, json->count, sizeof *items);
    if (!items)
        return no_memory(fault);
    for (size_t i = 0; i < json->count; i++)
        VLT_TRY(read_value(request, &json->items[i], fault, &items[i]));
    *ret_value = policy_value_set(items, json->count);
    return vlt_ok();
}

// The reader bounds the depth of this recursion.
static vlt_result read_value(struct policy_request *request, const struct policy_json *json,
                             struct fault *fault, struct policy_value *ret_value) {
    switch (json->kind) {
    case POLICY_JSON_BOOL:
        *ret_value = policy_value_bool(json->boolean);
        return vlt_ok();
    case POLICY_JSON_INTEGER:
        *ret_value = policy_value_number(POLICY_LONG, json->integer);
        return vlt_ok();
    case POLICY_JSON_STRING:
        *ret_value = policy_value_string(json->text);
        return vlt_ok();
    case POLICY_JSON_ARRAY:
        return read_array(request, json, fault, ret_value);
    case POLICY_JSON_OBJECT:
        return read_object(request, json, fault, ret_value);
    case POLICY_JSON_NULL:
        break;
    }
    return policy_json_fail(json, fault, "Cedar has no null");
}

vlt_result policy_entity_json_record(struct policy_record *record, const struct policy_json *json,
                                     struct fault *fault) {
    if (json->kind != POLICY_JSON_OBJECT)
        return policy_json_fail(json, fault, "expected an object");
    if (record->fields.count == 0) {
        VLT_TRY(read_fields(record->request, json, fault, &record->fields));
        record->capacity = record->fields.count;
        return vlt_ok();
    }
    for (size_t i = 0; i < json->count; i++) {
        struct policy_value value = {0};
        VLT_TRY(read_value(record->request, &json->members[i].value, fault, &value));
        policy_record_put(record, json->members[i].name, value);
    }
    return record->request->failure;
}

static vlt_result read_parents(struct policy_entity *entity, const struct policy_json *json,
                               struct fault *fault) {
    if (json->kind != POLICY_JSON_ARRAY)
        return policy_json_fail(json, fault, "parents must be an array");
    for (size_t i = 0; i < json->count; i++) {
        struct policy_uid uid = {{0}, {0}};
        VLT_TRY(policy_entity_json_uid(&json->items[i], fault, &uid));
        policy_entity_add_parent(entity, policy_key_of(uid));
    }
    return vlt_ok();
}

static vlt_result read_one(struct policy_request *request, const struct policy_json *json,
                           struct fault *fault) {
    const struct policy_json *uid_json = policy_json_get(json, "uid");
    const struct policy_json *attributes = policy_json_get(json, "attrs");
    const struct policy_json *parents = policy_json_get(json, "parents");
    const struct policy_json *tags = policy_json_get(json, "tags");
    struct policy_uid uid = {{0}, {0}};
    if (!uid_json || !attributes || !parents)
        return policy_json_fail(json, fault, "an entity has uid, attrs and parents");
    VLT_TRY(policy_entity_json_uid(uid_json, fault, &uid));
    struct policy_entity *entity = policy_entity_add_key(request, policy_key_of(uid));
    VLT_TRY(policy_entity_json_record(&entity->attributes, attributes, fault));
    if (tags)
        VLT_TRY(policy_entity_json_record(&entity->tags, tags, fault));
    VLT_TRY(read_parents(entity, parents, fault));
    if (!vlt_is_ok(request->failure))
        return policy_json_fail(json, fault, "%s", request->failure.reason);
    return vlt_ok();
}

vlt_result policy_entity_json_all(struct policy_request *request, const struct policy_json *json,
                                  struct fault *fault) {
    if (json->kind != POLICY_JSON_ARRAY)
        return policy_json_fail(json, fault, "expected an array of entities");
    for (size_t i = 0; i < json->count; i++)
        VLT_TRY(read_one(request, &json->items[i], fault));
    return vlt_ok();
}

static vlt_result parse(struct policy_request *request, struct bytes text, struct fault *fault,
                        const struct policy_json **ret_json) {
    if (text.size > POLICY_REQUEST_JSON_MAX_BYTES)
        return fault_set(fault, VLT_LIMIT, "JSON too large", "more than %u bytes of JSON",
                         POLICY_REQUEST_JSON_MAX_BYTES);
    return policy_json_parse(&request->arena, text, fault, ret_json);
}

// What failed half way must not be evaluated.
static vlt_result finish(struct policy_request *request, vlt_result result) {
    if (!vlt_is_ok(result))
        policy_request_fail(request, result.class, result.reason);
    return result;
}

vlt_result policy_request_load_entities(struct policy_request *request, struct bytes json,
                                        struct fault *fault) {
    const struct policy_json *root = NULL;
    vlt_result result = parse(request, json, fault, &root);
    if (vlt_is_ok(result))
        result = policy_entity_json_all(request, root, fault);
    return finish(request, result);
}

vlt_result policy_request_load_context(struct policy_request *request, struct bytes json,
                                       struct fault *fault) {
    const struct policy_json *root = NULL;
    vlt_result result = parse(request, json, fault, &root);
    if (vlt_is_ok(result))
        result = policy_entity_json_record(&request->context, root, fault);
    return finish(request, result);
}
