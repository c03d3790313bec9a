// SPDX-License-Identifier: Apache-2.0
// A profile that loads can be rendered without surprises: every template,
// name and placeholder is checked here, once.
#include "forward/core/profile_members.h"

#include <stdlib.h>

#include "libvault/base/jsontext.h"

static const char malformed[] = "not a provider profile";

static vlt_result wrong(struct fault *fault, const char *what) {
    return fault_set(fault, VLT_MALFORMED, malformed, "%s", what);
}

static bool is_text(const json_t *value) {
    return json_is_string(value) && json_string_length(value) > 0;
}

// Every placeholder of a template is "secret" (where the caller allows it) or
// a declared parameter.
static bool template_is_sound(const struct profile *profile, const char *template,
                              bool may_secret) {
    struct profile_piece piece = {0};
    do {
        if (!profile_piece_next(&template, &piece))
            return false;
        struct bytes name = piece.placeholder;
        if (!name.at || (may_secret && bytes_equal_text(name, "secret")))
            continue;
        if (may_secret && bytes_begin_with(name, BYTES_LITERAL(PROFILE_BASIC)))
            name = bytes_from(name, sizeof PROFILE_BASIC - 1);
        char key[PROFILE_NAME_MAX + 1];
        if (!bytes_to_text(name, key, sizeof key) || !json_object_get(profile->parameters, key))
            return false;
    } while (piece.placeholder.at);
    return true;
}

static bool place_is(const json_t *item, const char *place) {
    const char *in = json_string_value(json_object_get(item, "in"));
    return in && !strcmp(in, place);
}

static vlt_result take_inject(struct profile *profile, struct fault *fault) {
    static const char *const members[] = {"in", "name", "format", "optional", NULL};
    size_t index;
    const json_t *item;
    if (json_array_size(profile->inject) == 0 ||
        json_array_size(profile->inject) > PROFILE_INJECT_MAX)
        return wrong(fault, "\"inject\" needs one to eight items");
    json_array_foreach(profile->inject, index, item) {
        VLT_TRY(jsontext_only_members(item, members, fault));
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *format = json_string_value(json_object_get(item, "format"));
        bool in_query = place_is(item, "query");
        if (!in_query && !place_is(item, "header"))
            return wrong(fault, "\"in\" of an injected item is \"header\" or \"query\"");
        if (!name || !format || !template_is_sound(profile, name, false) ||
            !template_is_sound(profile, format, true))
            return wrong(fault, "an injected item needs a name and a format of known placeholders");
        bool is_named = !strchr(name, '{');
        if (is_named && !(in_query ? profile_is_query_name(name) : profile_is_header_name(name)))
            return wrong(fault,
                         "a credential may not be put into a header or parameter of this name");
        profile->items[profile->item_count++] = (struct profile_item){
            name, format, in_query, json_is_true(json_object_get(item, "optional")), is_named};
    }
    return vlt_ok();
}

static vlt_result check_parameters(const struct profile *profile, struct fault *fault) {
    static const char *const members[] = {"description", "required", "default", "kind", NULL};
    static const char *const kinds[] = {"text", "header", "query", NULL};
    const char *key;
    json_t *declared;
    json_object_foreach(profile->parameters, key, declared) {
        if (!json_is_object(declared) || strlen(key) > PROFILE_NAME_MAX || !strcmp(key, "secret"))
            return wrong(fault, "a parameter is an object, and not called \"secret\"");
        VLT_TRY(jsontext_only_members(declared, members, fault));
        const json_t *kind = json_object_get(declared, "kind");
        bool known = kind == NULL;
        for (size_t i = 0; kind && kinds[i]; i++)
            known = known || !strcmp(kinds[i], json_is_string(kind) ? json_string_value(kind) : "");
        if (!known)
            return wrong(fault, "\"kind\" of a parameter is \"text\", \"header\" or \"query\"");
    }
    return vlt_ok();
}

static vlt_result take_carriers(struct profile *profile, struct fault *fault) {
    static const char *const members[] = {"in", "name", NULL};
    size_t index;
    const json_t *item;
    json_array_foreach(profile->token_in, index, item) {
        VLT_TRY(jsontext_only_members(item, members, fault));
        const char *name = json_string_value(json_object_get(item, "name"));
        bool sound = name && (place_is(item, "header")  ? profile_is_header_name(name)
                              : place_is(item, "query") ? profile_is_query_name(name)
                                                        : place_is(item, "subprotocol") && *name);
        if (!sound || profile->carrier_count == PROFILE_PLACES_MAX)
            return wrong(fault, "\"token_in\" takes up to eight items, each a place and a name");
        profile->carriers[profile->carrier_count++] = (struct profile_carrier){
            .in = place_is(item, "header")  ? PROFILE_HEADER
                  : place_is(item, "query") ? PROFILE_QUERY
                                            : PROFILE_SUBPROTOCOL,
            .name = name,
        };
    }
    return vlt_ok();
}

static vlt_result take_models(struct profile *profile, struct fault *fault) {
    static const char *const members[] = {"in", "pattern", "member", NULL};
    size_t index;
    const json_t *place;
    json_array_foreach(profile->model, index, place) {
        VLT_TRY(jsontext_only_members(place, members, fault));
        const char *pattern = json_string_value(json_object_get(place, "pattern"));
        bool in_path =
            place_is(place, "path") && pattern && *pattern == '/' && strstr(pattern, "{model}");
        bool in_body =
            place_is(place, "body") && is_text(json_object_get(place, "member")) && !pattern;
        if ((!in_path && !in_body) || profile->model_count == PROFILE_PLACES_MAX)
            return wrong(fault, "\"model\" takes up to eight places, each a path with a pattern "
                                "or a body with a member");
        profile->models[profile->model_count++] = (struct profile_model_place){
            .in_path = in_path,
            .text = in_path ? pattern : json_string_value(json_object_get(place, "member")),
        };
    }
    return vlt_ok();
}

static vlt_result check_environment(const struct profile *profile, struct fault *fault) {
    const char *key;
    json_t *value;
    json_object_foreach(profile->environment, key, value) {
        const char *template = json_string_value(value);
        struct profile_piece piece = {0};
        do {
            if (!template || !profile_piece_next(&template, &piece) ||
                (piece.placeholder.at && !bytes_equal_text(piece.placeholder, "token") &&
                 !bytes_equal_text(piece.placeholder, "forwarder")))
                return wrong(fault, "an environment value takes {forwarder} and {token} only");
        } while (piece.placeholder.at);
    }
    return vlt_ok();
}

static vlt_result check_names(const struct profile *profile, struct fault *fault) {
    static const char *const members[] = {
        "$schema", "name",     "title", "description", "upstream", "hosts",       "parameters",
        "inject",  "token_in", "model", "tool",        "max_tokens", "usage",       "errors",
        "environment", NULL};
    const json_t *root = profile->root, *host;
    VLT_TRY(jsontext_only_members(root, members, fault));
    if (!is_text(json_object_get(root, "name")) || !is_text(json_object_get(root, "title")) ||
        strlen(profile_name(profile)) > PROFILE_NAME_MAX)
        return wrong(fault, "a profile needs a name and a title");
    const json_t *upstream = json_object_get(root, "upstream");
    if (upstream && (!is_text(upstream) || strncmp(json_string_value(upstream), "https://", 8)))
        return wrong(fault, "\"upstream\" begins with https://");
    size_t index;
    json_array_foreach(json_object_get(root, "hosts"), index,
                       host) if (!is_text(host)) return wrong(fault,
                                                              "\"hosts\" is a list of host names");
    const json_t *tool = json_object_get(root, "tool");
    if (tool && (!json_is_string(tool) || strcmp(json_string_value(tool), "mcp")))
        return wrong(fault, "\"tool\" is \"mcp\"");
    const json_t *errors = json_object_get(root, "errors");
    const char *shape = json_string_value(errors);
    if (errors && (!shape || (strcmp(shape, "openai") && strcmp(shape, "google"))))
        return wrong(fault, "\"errors\" is \"openai\" or \"google\"");
    return vlt_ok();
}

static json_t *part(const json_t *root, const char *member, bool is_list, bool *sound) {
    json_t *value = json_object_get(root, member);
    if (!value)
        return is_list ? json_array() : json_object();
    if (is_list ? !json_is_array(value) : !json_is_object(value))
        *sound = false;
    return json_incref(value);
}

static vlt_result profile_check_parts(struct profile *profile, struct fault *fault) {
    bool sound = json_is_object(profile->root);
    const json_t *hosts = json_object_get(profile->root, "hosts");
    sound = sound && (!hosts || json_is_array(hosts));
    profile->parameters = part(profile->root, "parameters", false, &sound);
    profile->inject = part(profile->root, "inject", true, &sound);
    profile->token_in = part(profile->root, "token_in", true, &sound);
    profile->model = part(profile->root, "model", true, &sound);
    profile->environment = part(profile->root, "environment", false, &sound);
    if (!sound)
        return wrong(fault, "a member of the profile is of the wrong type");
    VLT_TRY(check_names(profile, fault));
    VLT_TRY(check_parameters(profile, fault));
    VLT_TRY(take_inject(profile, fault));
    VLT_TRY(take_carriers(profile, fault));
    VLT_TRY(take_models(profile, fault));
    VLT_TRY(profile_take_limits(profile, fault));
    VLT_TRY(profile_take_usage(profile, fault));
    VLT_TRY(check_environment(profile, fault));
    const char *errors = json_string_value(json_object_get(profile->root, "errors"));
    profile->errors =
        errors && !strcmp(errors, "google") ? PROFILE_ERRORS_GOOGLE : PROFILE_ERRORS_OPENAI;
    profile->has_tool = json_object_get(profile->root, "tool") != NULL;
    return vlt_ok();
}

vlt_result profile_parse(struct bytes text, struct fault *fault, struct profile **ret_profile) {
    struct profile *profile = calloc(1, sizeof *profile);
    if (!profile)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = jsontext_parse(text, &jsontext_document_limits, fault, &profile->root);
    if (vlt_is_ok(result))
        result = profile_check_parts(profile, fault);
    if (!vlt_is_ok(result)) {
        profile_free(profile);
        return result;
    }
    *ret_profile = profile;
    return vlt_ok();
}

// RFC 7617 section 2: a colon in the user would move the border to the password.
static bool is_basic_user(const struct profile *profile, const char *key) {
    for (size_t i = 0; i < profile->item_count; i++) {
        const char *template = profile->items[i].format;
        struct profile_piece piece = {0};
        while (profile_piece_next(&template, &piece) && piece.placeholder.at)
            if (bytes_begin_with(piece.placeholder, BYTES_LITERAL(PROFILE_BASIC)) &&
                bytes_equal_text(bytes_from(piece.placeholder, sizeof PROFILE_BASIC - 1), key))
                return true;
    }
    return false;
}

static vlt_result check_value(const char *key, const json_t *declared, const json_t *value,
                              struct fault *fault) {
    static const char reason[] = "wrong parameter of the credential";
    if (!value) {
        if (json_is_true(json_object_get(declared, "required")))
            return fault_set(fault, VLT_MALFORMED, reason, "the profile needs the parameter \"%s\"",
                             key);
        return vlt_ok();
    }
    const char *text = json_string_value(value),
               *kind = json_string_value(json_object_get(declared, "kind"));
    if (!text || strlen(text) > 512)
        return fault_set(fault, VLT_MALFORMED, reason,
                         "parameter \"%s\" is a text of at most 512 bytes", key);
    for (const char *c = text; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            return fault_set(fault, VLT_MALFORMED, reason,
                             "parameter \"%s\" takes visible ASCII only", key);
    if (kind && !strcmp(kind, "header") && !profile_is_header_name(text))
        return fault_set(
            fault, VLT_MALFORMED, reason,
            "parameter \"%s\": no credential may go into this header (write it in lower case)",
            key);
    if (kind && !strcmp(kind, "query") && !profile_is_query_name(text))
        return fault_set(fault, VLT_MALFORMED, reason,
                         "parameter \"%s\" is not a query parameter's name", key);
    return vlt_ok();
}

vlt_result profile_check(const struct profile *profile, const json_t *parameters,
                         struct fault *fault) {
    const char *key;
    json_t *value, *declared;
    if (parameters && !json_is_object(parameters))
        return fault_set(fault, VLT_MALFORMED, "wrong parameters",
                         "parameters are an object of texts");
    // jansson's iterator wants a mutable object although it changes nothing.
    json_object_foreach(
        (json_t *)(uintptr_t)parameters, key,
        value) if (!json_object_get(profile->parameters,
                                    key)) return fault_set(fault, VLT_MALFORMED,
                                                           "unknown parameter",
                                                           "profile %s has no parameter \"%s\"",
                                                           profile_name(profile), key);
    json_object_foreach(profile->parameters, key, declared) {
        value = json_object_get(parameters, key);
        VLT_TRY(check_value(key, declared, value, fault));
        if (value && strchr(json_string_value(value), ':') && is_basic_user(profile, key))
            return fault_set(fault, VLT_MALFORMED, "wrong parameter of the credential",
                             "parameter \"%s\": a user name holds no colon", key);
    }
    return vlt_ok();
}
