// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_json.h"

#include "libvault/base/hex.h"
#include "libvault/store/record_tenant.h"

static const struct jsontext_limits record_limits = {.max_bytes = STORE_VALUE_MAX, .max_depth = 16};

vlt_result record_json_open(struct bytes json, const char *const *members, struct fault *fault,
                            json_t **ret_root, struct record_json *ret_reader) {
    json_t *root;
    VLT_TRY(jsontext_parse(json, &record_limits, fault, &root));
    vlt_result result =
        json_is_object(root)
            ? jsontext_only_members(root, members, fault)
            : fault_set(fault, VLT_MALFORMED, "a record is not an object", "expected an object");
    if (!vlt_is_ok(result)) {
        json_decref(root);
        return result;
    }
    *ret_root = root;
    *ret_reader = (struct record_json){.object = root, .fault = fault, .result = vlt_ok()};
    return vlt_ok();
}

bool record_json_failed(const struct record_json *r) {
    return !vlt_is_ok(r->result);
}

void record_json_fail(struct record_json *r, const char *member, const char *expected) {
    if (!record_json_failed(r))
        r->result = fault_set(r->fault, VLT_MALFORMED, "a member of the record is not valid",
                              "\"%s\" must be %s", member, expected);
}

// The member, or NULL with the failure noted when it must be there.
static const json_t *member_of(struct record_json *r, const char *member, enum record_need need) {
    if (record_json_failed(r))
        return NULL;
    const json_t *value = json_object_get(r->object, member);
    if (!value && need == RECORD_REQUIRED)
        record_json_fail(r, member, "present");
    return value;
}

static bool has_control(struct bytes text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < 0x20 || text.at[i] == 0x7f)
            return true;
    return false;
}

void record_json_item(struct record_json *r, const char *member, const json_t *item, char *text,
                      size_t capacity) {
    if (record_json_failed(r))
        return;
    if (!json_is_string(item)) {
        record_json_fail(r, member, "text");
        return;
    }
    struct bytes value = bytes_of(json_string_value(item), json_string_length(item));
    if (value.size >= capacity)
        record_json_fail(r, member, "shorter");
    else if (has_control(value))
        record_json_fail(r, member, "without control characters");
    else if (!bytes_to_text(value, text, capacity))
        record_json_fail(r, member, "without NUL characters");
}

void record_json_text(struct record_json *r, const char *member, enum record_need need, char *text,
                      size_t capacity) {
    const json_t *value = member_of(r, member, need);
    if (!value)
        return;
    record_json_item(r, member, value, text, capacity);
    if (!record_json_failed(r) && need == RECORD_REQUIRED && !text[0])
        record_json_fail(r, member, "not empty");
}

void record_json_name(struct record_json *r, const char *member, enum record_need need, char *text,
                      size_t capacity) {
    const json_t *value = member_of(r, member, need);
    if (!value)
        return;
    record_json_item(r, member, value, text, capacity);
    if (!record_json_failed(r) && !record_name_is_valid(bytes_of_text(text)))
        record_json_fail(r, member,
                         "a name of 1 to 64 of a-z 0-9 - _ . that begins with a letter or digit");
}

void record_json_number(struct record_json *r, const char *member, enum record_need need,
                        int64_t min, int64_t max, int64_t *ret_number) {
    const json_t *value = member_of(r, member, need);
    if (!value)
        return;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        record_json_fail(r, member, "a whole number in its range");
    else
        *ret_number = json_integer_value(value);
}

void record_json_bool(struct record_json *r, const char *member, bool *ret_is_set) {
    const json_t *value = member_of(r, member, RECORD_OPTIONAL);
    if (!value)
        return;
    if (!json_is_boolean(value))
        record_json_fail(r, member, "true or false");
    else
        *ret_is_set = json_is_true(value);
}

void record_json_hash(struct record_json *r, const char *member, enum record_need need,
                      uint8_t ret_hash[32], bool *ret_is_present) {
    const json_t *value = member_of(r, member, need);
    if (!value)
        return;
    struct bytes text = bytes_of(json_string_value(value), json_string_length(value));
    if (!json_is_string(value) || !vlt_is_ok(hex_decode(text, ret_hash, 32)))
        record_json_fail(r, member, "64 hexadecimal digits");
    else if (ret_is_present)
        *ret_is_present = true;
}

const json_t *record_json_array(struct record_json *r, const char *member, enum record_need need,
                                size_t max) {
    const json_t *value = member_of(r, member, need);
    if (!value)
        return NULL;
    if (!json_is_array(value))
        record_json_fail(r, member, "an array");
    else if (json_array_size(value) > max)
        record_json_fail(r, member, "an array with fewer entries");
    else if (json_array_size(value) == 0 && need == RECORD_REQUIRED)
        record_json_fail(r, member, "an array with at least one entry");
    return record_json_failed(r) ? NULL : value;
}

const json_t *record_json_object(struct record_json *r, const char *member, enum record_need need) {
    const json_t *value = member_of(r, member, need);
    if (!value)
        return NULL;
    if (!json_is_object(value))
        record_json_fail(r, member, "an object");
    return record_json_failed(r) ? NULL : value;
}

void record_json_put(json_t **object, const char *member, json_t *value) {
    if (*object && value && json_object_set_new(*object, member, value) == 0)
        return;
    // json_object_set_new released the value itself.
    if (!*object)
        json_decref(value);
    json_decref(*object);
    *object = NULL;
}

void record_json_put_text(json_t **object, const char *member, const char *text) {
    if (*object && text[0])
        record_json_put(object, member, json_string(text));
}

void record_json_put_number(json_t **object, const char *member, int64_t number) {
    if (*object && number != 0)
        record_json_put(object, member, json_integer(number));
}

void record_json_put_flag(json_t **object, const char *member, bool is_set) {
    if (*object && is_set)
        record_json_put(object, member, json_true());
}
