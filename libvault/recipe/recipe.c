// SPDX-License-Identifier: Apache-2.0
// Reading a recipe: everything that can be wrong with one is found here, so that
// the other files take its members as they are.
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/recipe/recipe_members.h"
#include "libvault/store/record_tenant.h"

#define PARAMETERS_MAX 32
#define TEMPLATE_MAX 1024

#define MEMBERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static vlt_result refuse(struct fault *fault, const char *where, const char *expected) {
    return fault_set(fault, VLT_MALFORMED, "a recipe is not valid", "\"%s\" must be %s", where,
                     expected);
}

static vlt_result check_text(const json_t *object, const char *member, bool is_needed,
                             size_t max_bytes, struct fault *fault) {
    const json_t *value = json_object_get(object, member);
    if (!value)
        return is_needed ? refuse(fault, member, "there") : vlt_ok();
    size_t size = json_string_length(value);
    if (!json_is_string(value) || size == 0 || size > max_bytes)
        return refuse(fault, member, "a text that is not empty and not longer than a recipe needs");
    return vlt_ok();
}

// ---- Templates: braces only around a name that there is ----

static bool is_known(const json_t *root, struct bytes name) {
    char text[RECIPE_NAME_MAX + 1];
    return bytes_equal_text(name, "id") || bytes_equal_text(name, "mark") ||
           (bytes_to_text(name, text, sizeof text) &&
            json_object_get(json_object_get(root, "parameters"), text));
}

static vlt_result check_template(const json_t *root, const char *where, const json_t *value,
                                 struct fault *fault) {
    const char *text = json_string_value(value);
    if (!text || strlen(text) > TEMPLATE_MAX)
        return refuse(fault, where, "a text");
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '}')
            return refuse(fault, where, "without control characters and stray braces");
        if (*at != '{')
            continue;
        const char *end = strchr(at, '}');
        if (!end || !is_known(root, bytes_of(at + 1, (size_t)(end - at - 1))))
            return refuse(fault, where, "a template of {id}, {mark} and parameters of the recipe");
        at = end;
    }
    return vlt_ok();
}

static vlt_result check_template_at(const json_t *root, const json_t *object, const char *member,
                                    bool is_needed, struct fault *fault) {
    VLT_TRY(check_text(object, member, is_needed, TEMPLATE_MAX, fault));
    const json_t *value = json_object_get(object, member);
    return value ? check_template(root, member, value, fault) : vlt_ok();
}

static vlt_result check_templates(const json_t *root, const char *where, const json_t *object,
                                  struct fault *fault) {
    const char *name;
    json_t *value;
    if (object && !json_is_object(object))
        return refuse(fault, where, "an object of texts");
    json_object_foreach((json_t *)(uintptr_t)object, name, value) // it changes nothing
        VLT_TRY(check_template(root, name, value, fault));
    return vlt_ok();
}

// ---- Parameters ----

static vlt_result check_parameters(const json_t *root, struct fault *fault) {
    const json_t *parameters = json_object_get(root, "parameters");
    const char *name;
    json_t *value;
    if (!json_is_object(parameters) || json_object_size(parameters) > PARAMETERS_MAX)
        return refuse(fault, "parameters", "an object of at most 32 parameters");
    json_object_foreach((json_t *)(uintptr_t)parameters, name, value) {
        if (!record_name_is_valid(bytes_of_text(name)) || !strcmp(name, "id") ||
            !strcmp(name, "mark"))
            return refuse(fault, name, "a name, and neither id nor mark");
        VLT_TRY(jsontext_only_members(value, MEMBERS("description", "default"), fault));
        VLT_TRY(check_text(value, "description", true, TEMPLATE_MAX, fault));
        VLT_TRY(check_text(value, "default", false, TEMPLATE_MAX, fault));
    }
    return vlt_ok();
}

// ---- Steps ----

static vlt_result check_auth(const json_t *root, const json_t *auth, struct fault *fault) {
    if (!json_is_object(auth))
        return refuse(fault, "auth", "an object");
    VLT_TRY(jsontext_only_members(auth, MEMBERS("kind", "name", "prefix", "service", "region"),
                                  fault));
    const char *kind = recipe_text(auth, "kind");
    if (!strcmp(kind, "header")) {
        VLT_TRY(check_text(auth, "prefix", false, 31, fault));
        return check_text(auth, "name", true, 63, fault);
    }
    if (strcmp(kind, "sigv4") != 0)
        return refuse(fault, "kind", "\"header\" or \"sigv4\"");
    VLT_TRY(check_text(auth, "service", true, 31, fault));
    return check_template_at(root, auth, "region", true, fault);
}

static bool is_pointer(const json_t *value) {
    const char *text = json_string_value(value);
    return text && text[0] == '/' && strlen(text) <= TEMPLATE_MAX;
}

static vlt_result check_pointer(const json_t *object, const char *member, bool is_needed,
                                struct fault *fault) {
    const json_t *value = json_object_get(object, member);
    if (!value)
        return is_needed ? refuse(fault, member, "there") : vlt_ok();
    return is_pointer(value) ? vlt_ok() : refuse(fault, member, "a JSON pointer (RFC 6901)");
}

static vlt_result check_value(const json_t *step, struct fault *fault) {
    const json_t *value = json_object_get(step, "value");
    const char *name;
    json_t *part;
    if (!json_is_object(value))
        return check_pointer(step, "value", true, fault);
    json_object_foreach((json_t *)(uintptr_t)value, name, part)
        if (!is_pointer(part))
            return refuse(fault, name, "a JSON pointer (RFC 6901)");
    return json_object_size(value) ? vlt_ok() : refuse(fault, "value", "an object of pointers");
}

static vlt_result check_request(const json_t *root, const json_t *step, struct fault *fault) {
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    const char *method = recipe_text(step, "method"), *path = recipe_text(step, "path");
    bool is_known_method = false;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        is_known_method |= !strcmp(method, methods[i]);
    if (!is_known_method)
        return refuse(fault, "method", "GET, POST, PUT, PATCH or DELETE");
    VLT_TRY(check_template_at(root, step, "host", true, fault));
    VLT_TRY(check_template_at(root, step, "path", true, fault));
    if (path[0] != '/' && path[0] != '{')
        return refuse(fault, "path", "a path that begins with a slash");
    VLT_TRY(check_templates(root, "query", json_object_get(step, "query"), fault));
    VLT_TRY(check_templates(root, "form", json_object_get(step, "form"), fault));
    VLT_TRY(check_templates(root, "json", json_object_get(step, "json"), fault));
    if (json_object_get(step, "form") && json_object_get(step, "json"))
        return refuse(fault, "json", "absent where there is a form");
    const char *answer = recipe_text(step, "answer");
    if (answer[0] && strcmp(answer, "json") != 0 && strcmp(answer, "xml") != 0)
        return refuse(fault, "answer", "\"json\" or \"xml\"");
    const json_t *auth = json_object_get(step, "auth");
    return auth ? check_auth(root, auth, fault) : vlt_ok();
}

static vlt_result check_gone(const json_t *step, struct fault *fault) {
    const json_t *gone = json_object_get(step, "gone");
    for (size_t i = 0; i < json_array_size(gone); i++) {
        json_int_t status = json_integer_value(json_array_get(gone, i));
        if (status < 400 || status > 499)
            return refuse(fault, "gone", "a list of statuses 400 to 499");
    }
    return !gone || json_is_array(gone) ? vlt_ok() : refuse(fault, "gone", "a list");
}

static vlt_result check_step(const json_t *root, const json_t *step, enum recipe_step which,
                             struct fault *fault) {
    static const char *const members[] = {"method", "host", "path",  "query", "form", "json",
                                          "answer", "auth", "items", "id",    "name", "more",
                                          "value",  "gone", NULL};
    if (!json_is_object(step))
        return refuse(fault, "a step", "an object");
    VLT_TRY(jsontext_only_members(step, members, fault));
    VLT_TRY(check_request(root, step, fault));
    if (which == RECIPE_LIST) {
        VLT_TRY(check_pointer(step, "items", true, fault));
        VLT_TRY(check_pointer(step, "name", false, fault));
        VLT_TRY(check_pointer(step, "more", false, fault));
    }
    if (which == RECIPE_MINT)
        VLT_TRY(check_value(step, fault));
    if (which == RECIPE_LIST || which == RECIPE_MINT)
        return check_pointer(step, "id", true, fault);
    return check_gone(step, fault);
}

// ---- All of it ----

static vlt_result check(const struct recipe *recipe, struct fault *fault) {
    const json_t *root = recipe->root;
    static const char *const members[] = {"$schema", "$comment", "name", "title", "manager",
                                          "parameters", "auth", "current_id", "list", "mint",
                                          "verify", "revoke", NULL};
    VLT_TRY(jsontext_only_members(root, members, fault));
    if (!record_name_is_valid(bytes_of_text(recipe_text(root, "name"))))
        return refuse(fault, "name", "a name");
    VLT_TRY(check_text(root, "title", true, TEMPLATE_MAX, fault));
    const char *manager = recipe_text(root, "manager");
    if (strcmp(manager, "self") != 0 && strcmp(manager, "other") != 0)
        return refuse(fault, "manager", "\"self\" or \"other\"");
    VLT_TRY(check_parameters(root, fault));
    VLT_TRY(check_auth(root, json_object_get(root, "auth"), fault));
    VLT_TRY(check_pointer(root, "current_id", false, fault));
    for (unsigned step = 0; step < RECIPE_STEP_COUNT; step++) {
        const json_t *object = recipe_step_object(recipe, (enum recipe_step)step);
        if (!object && step != RECIPE_LIST)
            return refuse(fault, "mint, verify and revoke", "there");
        if (object)
            VLT_TRY(check_step(root, object, (enum recipe_step)step, fault));
    }
    return vlt_ok();
}

vlt_result recipe_parse(struct bytes json, struct fault *fault, struct recipe **ret_recipe) {
    struct recipe *recipe = calloc(1, sizeof *recipe);
    if (!recipe)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result =
        jsontext_parse(json, &jsontext_document_limits, fault, &recipe->root);
    if (vlt_is_ok(result) && !json_is_object(recipe->root))
        result = refuse(fault, "a recipe", "an object");
    if (vlt_is_ok(result))
        result = check(recipe, fault);
    if (!vlt_is_ok(result)) {
        recipe_free(recipe);
        return result;
    }
    bytes_to_text(bytes_of_text(recipe_text(recipe->root, "name")), recipe->name,
                  sizeof recipe->name);
    *ret_recipe = recipe;
    return vlt_ok();
}

// Hosts and paths are not used: nothing of it leaves this machine by HTTP.
static const char program_text[] =
    "{\"name\":\"exec\",\"title\":\"a program of this machine\",\"manager\":\"self\","
    "\"parameters\":{},\"auth\":{\"kind\":\"header\",\"name\":\"none\"},\"list\":{\"method\":"
    "\"GET\",\"host\":\"exec\",\"path\":\"/\",\"items\":\"/keys\",\"id\":\"/id\",\"name\":"
    "\"/name\"},\"mint\":{\"method\":\"POST\",\"host\":\"exec\",\"path\":\"/\",\"value\":"
    "\"/value\",\"id\":\"/id\"},\"verify\":{\"method\":\"GET\",\"host\":\"exec\",\"path\":\"/\"},"
    "\"revoke\":{\"method\":\"DELETE\",\"host\":\"exec\",\"path\":\"/\"}}";

vlt_result recipe_of_program(const char *name, struct recipe **ret_recipe) {
    struct recipe *recipe;
    if (!record_name_is_valid(bytes_of_text(name)))
        return vlt_fail(VLT_MALFORMED, "the name of a driver program is not a name");
    VLT_TRY(recipe_parse(bytes_of_text(program_text), NULL, &recipe));
    memcpy(recipe->name, "exec:", 6);
    memcpy(recipe->name + 5, name, strlen(name) + 1);
    recipe->is_program = true;
    *ret_recipe = recipe;
    return vlt_ok();
}

void recipe_free(struct recipe *recipe) {
    if (recipe)
        json_decref(recipe->root);
    free(recipe);
}

const char *recipe_name(const struct recipe *recipe) {
    return recipe->name;
}

bool recipe_has_step(const struct recipe *recipe, enum recipe_step step) {
    return recipe_step_object(recipe, step) != NULL;
}

bool recipe_names_keys(const struct recipe *recipe) {
    return recipe_text(recipe_step_object(recipe, RECIPE_LIST), "name")[0] != 0;
}

bool recipe_needs_manager(const struct recipe *recipe) {
    return strcmp(recipe_text(recipe->root, "manager"), "other") == 0;
}

vlt_result recipe_check_parameters(const struct recipe *recipe, const json_t *parameters,
                                   struct fault *fault) {
    const json_t *taken = json_object_get(recipe->root, "parameters");
    const char *name;
    json_t *value;
    if (recipe->is_program) // what a program takes is its own affair
        return vlt_ok();
    json_object_foreach((json_t *)(uintptr_t)parameters, name, value) {
        if (!json_object_get(taken, name))
            return fault_set(fault, VLT_MALFORMED, "an unknown parameter",
                             "recipe \"%s\" has no parameter \"%s\"", recipe->name, name);
        if (!json_is_string(value) || !json_string_length(value))
            return fault_set(fault, VLT_MALFORMED, "a parameter is no text",
                             "parameter \"%s\" must be a text", name);
    }
    json_object_foreach((json_t *)(uintptr_t)taken, name, value)
        if (!json_object_get(value, "default") && !json_object_get(parameters, name))
            return fault_set(fault, VLT_MALFORMED, "a parameter is missing",
                             "recipe \"%s\" needs parameter \"%s\": %s", recipe->name, name,
                             recipe_text(value, "description"));
    return vlt_ok();
}
