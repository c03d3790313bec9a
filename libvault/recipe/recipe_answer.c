// SPDX-License-Identifier: Apache-2.0
// What a provider answered. Its bytes are foreign, and some of them are a secret:
// the trees are built by jansson, whose memory is the caller's secret heap.
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/recipe/recipe_members.h"
#include "libvault/recipe/xmltext.h"

static const struct jsontext_limits answer_limits = {.max_bytes = RECIPE_ANSWER_MAX,
                                                     .max_depth = 32};

enum recipe_verdict recipe_judge(const struct recipe *recipe, enum recipe_step step,
                                 unsigned status) {
    const json_t *gone = json_object_get(recipe_step_object(recipe, step), "gone");
    if (status >= 200 && status <= 299)
        return RECIPE_DONE;
    for (size_t i = 0; i < json_array_size(gone); i++)
        if (json_integer_value(json_array_get(gone, i)) == (json_int_t)status)
            return RECIPE_DONE;
    return status == 401 || status == 403 ? RECIPE_REFUSED : RECIPE_UNCLEAR;
}

// ---- Pointers (RFC 6901), without escapes and numbers ----

static const json_t *find(const json_t *root, const char *pointer) {
    while (root && *pointer == '/') {
        char name[128];
        size_t size = strcspn(pointer + 1, "/");
        if (!bytes_to_text(bytes_of(pointer + 1, size), name, sizeof name))
            return NULL;
        root = json_object_get(root, name);
        pointer += size + 1;
    }
    return root;
}

// A text that is not empty and has no control characters: it goes into headers,
// records and logs.
static const char *text_at(const json_t *root, const char *pointer, size_t max_bytes) {
    const json_t *value = pointer[0] ? find(root, pointer) : NULL;
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    if (!text || size == 0 || size > max_bytes)
        return NULL;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return NULL;
    return text;
}

static vlt_result parse(const struct recipe *recipe, enum recipe_step step, struct bytes answer,
                        json_t **ret_root) {
    bool is_xml = strcmp(recipe_text(recipe_step_object(recipe, step), "answer"), "xml") == 0;
    if (answer.size > RECIPE_ANSWER_MAX)
        return vlt_fail(VLT_LIMIT, "the provider's answer is too long");
    vlt_result result = is_xml ? xmltext_parse(answer, ret_root)
                               : jsontext_parse(answer, &answer_limits, NULL, ret_root);
    return vlt_is_ok(result) ? result
                             : vlt_fail(VLT_MALFORMED, "the provider's answer can not be read");
}

// ---- Keys ----

static vlt_result add_key(const json_t *step, const json_t *item, struct recipe_keys *keys) {
    const char *id = text_at(item, recipe_text(step, "id"), RECIPE_ID_MAX);
    const char *name = text_at(item, recipe_text(step, "name"), RECIPE_ID_MAX);
    if (!id)
        return vlt_fail(VLT_MALFORMED, "the provider listed a key without id");
    if (keys->count == RECIPE_IDS_MAX)
        return vlt_fail(VLT_LIMIT, "the provider listed more keys than can be told apart");
    memcpy(keys->ids[keys->count], id, strlen(id) + 1);
    if (name)
        memcpy(keys->names[keys->count], name, strlen(name) + 1);
    keys->count++;
    return vlt_ok();
}

static vlt_result read_items(const json_t *step, const json_t *root, struct recipe_keys *keys) {
    const json_t *items = find(root, recipe_text(step, "items"));
    const char *more = recipe_text(step, "more");
    if (more[0] && json_is_true(find(root, more)))
        return vlt_fail(VLT_LIMIT, "the provider has more keys than one page");
    if (json_is_object(items)) // of one XML element no reader can say that it is a list
        return add_key(step, items, keys);
    if (items && !json_is_array(items))
        return vlt_fail(VLT_MALFORMED, "the provider's list of keys is not a list");
    if (!items && strcmp(recipe_text(step, "answer"), "xml") != 0)
        return vlt_fail(VLT_MALFORMED, "the provider's list of keys is missing");
    for (size_t i = 0; i < json_array_size(items); i++)
        VLT_TRY(add_key(step, json_array_get(items, i), keys));
    return vlt_ok();
}

vlt_result recipe_read_keys(const struct recipe *recipe, struct bytes answer,
                            struct recipe_keys *ret_keys) {
    json_t *root = NULL;
    struct recipe_keys *keys = calloc(1, sizeof *keys);
    vlt_result result = keys ? parse(recipe, RECIPE_LIST, answer, &root)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = read_items(recipe_step_object(recipe, RECIPE_LIST), root, keys);
    if (vlt_is_ok(result))
        *ret_keys = *keys;
    json_decref(root);
    free(keys);
    return result;
}

// ---- The new key ----

static vlt_result set_object(const json_t *parts, const json_t *root, struct secret *value) {
    const char *name;
    json_t *pointer, *object = json_object();
    vlt_result result = vlt_ok();
    json_object_foreach((json_t *)(uintptr_t)parts, name, pointer) {
        const char *text = text_at(root, json_string_value(pointer), RECIPE_VALUE_MAX);
        if (!text)
            result = vlt_fail(VLT_MALFORMED, "the provider's answer lacks a part of the new key");
        else
            json_object_set_new(object, name, json_string(text));
    }
    size_t size = vlt_is_ok(result) ? json_dumpb(object, NULL, 0, JSON_COMPACT) : 0;
    if (vlt_is_ok(result) && (size == 0 || size > secret_capacity(value)))
        result = vlt_fail(VLT_LIMIT, "the new key is too long");
    if (vlt_is_ok(result)) {
        char *room = (char *)secret_borrow_room(value);
        secret_release_sized(value, json_dumpb(object, room, size, JSON_COMPACT));
    }
    json_decref(object);
    return result;
}

static vlt_result set_value(const json_t *step, const json_t *root, struct secret *value) {
    const json_t *where = json_object_get(step, "value");
    if (json_is_object(where))
        return set_object(where, root, value);
    const char *text = text_at(root, json_string_value(where), RECIPE_VALUE_MAX);
    return text ? secret_set(value, text, strlen(text))
                : vlt_fail(VLT_MALFORMED, "the provider's answer has no new key");
}

vlt_result recipe_read_minted(const struct recipe *recipe, struct bytes answer,
                              struct secret *value, char ret_id[RECIPE_ID_MAX + 1]) {
    json_t *root = NULL;
    const json_t *step = recipe_step_object(recipe, RECIPE_MINT);
    vlt_result result = parse(recipe, RECIPE_MINT, answer, &root);
    const char *id =
        vlt_is_ok(result) ? text_at(root, recipe_text(step, "id"), RECIPE_ID_MAX) : NULL;
    if (vlt_is_ok(result) && !id)
        result = vlt_fail(VLT_MALFORMED, "the provider's answer has no id of the new key");
    if (vlt_is_ok(result))
        result = set_value(step, root, value);
    if (vlt_is_ok(result))
        memcpy(ret_id, id, strlen(id) + 1);
    else
        secret_wipe(value);
    json_decref(root);
    return result;
}

vlt_result recipe_read_id(const struct recipe *recipe, struct bytes value,
                          char ret_id[RECIPE_ID_MAX + 1]) {
    const char *pointer = recipe_text(recipe->root, "current_id");
    json_t *root = NULL;
    if (!pointer[0]) {
        ret_id[0] = 0;
        return vlt_ok();
    }
    VLT_TRY(jsontext_parse(value, &answer_limits, NULL, &root));
    const char *id = text_at(root, pointer, RECIPE_ID_MAX);
    if (id)
        memcpy(ret_id, id, strlen(id) + 1);
    json_decref(root);
    return id ? vlt_ok() : vlt_fail(VLT_MALFORMED, "the credential has no id in its value");
}
