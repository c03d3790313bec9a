// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/token_details.h"

#include "libvault/base/jsontext.h"
#include "libvault/token/token_scope.h"

// ---- The form of each text ----

static bool name_is_valid(struct bytes name) {
    if (!name.size || name.size > TOKEN_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.at[i];
        bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_alphanumeric && (i == 0 || (c != '-' && c != '_' && c != '.')))
            return false;
    }
    return true;
}

static bool method_is_valid(struct bytes method) {
    if (!method.size || method.size > 16)
        return false;
    for (size_t i = 0; i < method.size; i++) {
        if (method.at[i] < 'A' || method.at[i] > 'Z')
            return false;
    }
    return true;
}

static bool pattern_is_valid(struct bytes pattern) {
    if (!pattern.size || pattern.size > TOKEN_PATTERN_MAX || !bytes_is_utf8(pattern, NULL))
        return false;
    for (size_t i = 0; i < pattern.size; i++) {
        uint8_t c = pattern.at[i];
        if (c < 0x20 || c == 0x7F || (c == '*' && i + 1 != pattern.size))
            return false;
    }
    return true;
}

static bool path_pattern_is_valid(struct bytes pattern) {
    if (!pattern_is_valid(pattern))
        return false;
    struct bytes text = pattern;
    if (text.at[text.size - 1] == '*')
        text.size--;
    return token_path_is_normal(text);
}

typedef bool form_fn(struct bytes text);

static bool list_has_form(const struct token_list *list, form_fn *has_form) {
    if (list->count > TOKEN_LIST_MAX)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        if (!has_form(list->items[i]))
            return false;
    }
    return true;
}

vlt_result token_detail_check(const struct token_detail *detail) {
    if (!name_is_valid(detail->credential))
        return vlt_fail(VLT_MALFORMED, "credential: not a name");
    if (!list_has_form(&detail->methods, method_is_valid))
        return vlt_fail(VLT_MALFORMED, "methods: not capital letters");
    if (!list_has_form(&detail->paths, path_pattern_is_valid))
        return vlt_fail(VLT_MALFORMED, "paths: not a normal path, '*' only at its end");
    if (!list_has_form(&detail->models, pattern_is_valid))
        return vlt_fail(VLT_MALFORMED, "models: not a pattern, '*' only at its end");
    if (!list_has_form(&detail->tools, pattern_is_valid))
        return vlt_fail(VLT_MALFORMED, "tools: not a pattern, '*' only at its end");
    if (detail->max_tokens > (UINT64_C(1) << 53))
        return vlt_fail(VLT_MALFORMED, "max_tokens: out of range");
    return vlt_ok();
}

// ---- JSON ----

static struct bytes text_of(const json_t *text) {
    return bytes_of(json_string_value(text), json_string_length(text));
}

static vlt_result read_list(const json_t *object, const char *name, struct fault *fault,
                            struct token_list *list) {
    const json_t *array = json_object_get(object, name);
    if (!array)
        return vlt_ok();
    size_t count = json_array_size(array);
    if (!json_is_array(array) || !count)
        return fault_set(fault, VLT_MALFORMED, "a limit is not a list", "%s is not a list of texts",
                         name);
    if (count > TOKEN_LIST_MAX)
        return fault_set(fault, VLT_LIMIT, "too many values in a limit",
                         "%s has more than %d values", name, TOKEN_LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_string(item))
            return fault_set(fault, VLT_MALFORMED, "a limit is not a list",
                             "%s holds something that is not a text", name);
        list->items[i] = text_of(item);
    }
    list->count = count;
    return vlt_ok();
}

static vlt_result read_max_tokens(const json_t *object, struct fault *fault, uint64_t *number) {
    const json_t *value = json_object_get(object, "max_tokens");
    if (!value)
        return vlt_ok();
    if (!json_is_integer(value) || json_integer_value(value) < 1)
        return fault_set(fault, VLT_MALFORMED, "max_tokens is not a number",
                         "max_tokens is not a whole number above 0");
    *number = (uint64_t)json_integer_value(value);
    return vlt_ok();
}

static vlt_result read_detail(const json_t *object, struct fault *fault,
                              struct token_detail *ret_detail) {
    static const char *const members[] = {"type",   "credential", "methods",    "paths",
                                          "models", "tools",      "max_tokens", NULL};
    struct token_detail detail = {0};
    if (!json_is_object(object))
        return fault_set(fault, VLT_MALFORMED, "a detail is not an object",
                         "authorization_details holds something that is not an object");
    const json_t *type = json_object_get(object, "type");
    if (!json_is_string(type) || !bytes_equal_text(text_of(type), TOKEN_DETAIL_TYPE))
        return fault_set(fault, VLT_MALFORMED, "unknown type of detail",
                         "type is not " TOKEN_DETAIL_TYPE);
    VLT_TRY(jsontext_only_members(object, members, fault));
    const json_t *credential = json_object_get(object, "credential");
    if (!json_is_string(credential))
        return fault_set(fault, VLT_MALFORMED, "no credential", "credential is not a text");
    detail.credential = text_of(credential);
    VLT_TRY(read_list(object, "methods", fault, &detail.methods));
    VLT_TRY(read_list(object, "paths", fault, &detail.paths));
    VLT_TRY(read_list(object, "models", fault, &detail.models));
    VLT_TRY(read_list(object, "tools", fault, &detail.tools));
    VLT_TRY(read_max_tokens(object, fault, &detail.max_tokens));
    vlt_result result = token_detail_check(&detail);
    if (!vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason, "%s", result.reason);
    *ret_detail = detail;
    return vlt_ok();
}

vlt_result token_details_of_json(const json_t *array, struct fault *fault,
                                 struct token_detail ret_items[TOKEN_DETAILS_MAX],
                                 size_t *ret_count) {
    size_t count = json_array_size(array);
    struct token_detail items[TOKEN_DETAILS_MAX];
    if (!json_is_array(array) || !count)
        return fault_set(fault, VLT_MALFORMED, "no authorization_details",
                         "authorization_details is not a list of objects");
    if (count > TOKEN_DETAILS_MAX)
        return fault_set(fault, VLT_LIMIT, "too many authorization_details",
                         "authorization_details has more than %d objects", TOKEN_DETAILS_MAX);
    for (size_t i = 0; i < count; i++)
        VLT_TRY(read_detail(json_array_get(array, i), fault, &items[i]));
    memcpy(ret_items, items, count * sizeof items[0]);
    *ret_count = count;
    return vlt_ok();
}

vlt_result token_details_parse(struct bytes json, struct fault *fault,
                               struct token_details *ret_details) {
    static const struct jsontext_limits limits = {.max_bytes = TOKEN_DETAILS_TEXT_MAX,
                                                  .max_depth = 4};
    json_t *root = NULL;
    VLT_TRY(jsontext_parse(json, &limits, fault, &root));
    vlt_result result =
        token_details_of_json(root, fault, ret_details->items, &ret_details->count);
    if (vlt_is_ok(result))
        ret_details->root = root;
    else
        json_decref(root);
    return result;
}

void token_details_done(struct token_details *details) {
    json_decref(details->root);
    details->root = NULL;
    details->count = 0;
}
