// SPDX-License-Identifier: Apache-2.0
// A step of a recipe and its values become one request. What is filled in is
// encoded for its place: it can not add a header, a path segment or a field.
#include "libvault/base/jsontext.h"
#include "libvault/recipe/recipe_members.h"
#include "libvault/store/record_credential.h"

#define TARGET_MAX 4096
#define BODY_MAX 8192

enum place { PLACE_PLAIN, PLACE_ESCAPED };

struct rendering {
    const struct recipe *recipe;
    const struct recipe_values *values;
};

static const char *value_of(const struct rendering *r, struct bytes name) {
    char text[RECIPE_NAME_MAX + 1];
    if (bytes_equal_text(name, "id"))
        return r->values->id;
    if (bytes_equal_text(name, "mark"))
        return r->values->mark;
    if (!bytes_to_text(name, text, sizeof text))
        return NULL;
    const char *given = json_string_value(json_object_get(r->values->parameters, text));
    const json_t *parameter =
        json_object_get(json_object_get(r->recipe->root, "parameters"), text);
    return given ? given : json_string_value(json_object_get(parameter, "default"));
}

// RFC 3986: all but the unreserved characters.
static void put_escaped(struct buf *out, struct bytes text) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~') {
            buf_put_byte(out, c);
        } else {
            buf_put_byte(out, '%');
            buf_put_byte(out, (uint8_t)digits[c >> 4]);
            buf_put_byte(out, (uint8_t)digits[c & 15]);
        }
    }
}

// Only what is filled in is escaped, or with `whole` the fixed part, too.
static vlt_result fill(const struct rendering *r, const char *template, enum place place,
                       bool whole, struct buf *out) {
    while (*template) {
        size_t plain = strcspn(template, "{");
        if (whole)
            put_escaped(out, bytes_of(template, plain));
        else
            buf_put(out, bytes_of(template, plain));
        template += plain;
        if (!*template)
            break;
        const char *end = strchr(template, '}'); // recipe_parse saw it
        const char *value = value_of(r, bytes_of(template + 1, (size_t)(end - template - 1)));
        if (!value)
            return vlt_fail(VLT_MALFORMED, "a value that the recipe needs is not there");
        if (place == PLACE_ESCAPED)
            put_escaped(out, bytes_of_text(value));
        else
            buf_put_text(out, value);
        template = end + 1;
    }
    return vlt_ok();
}

static vlt_result fill_text(const struct rendering *r, const char *template, char *text,
                            size_t capacity) {
    struct buf out;
    buf_init(&out, capacity - 1);
    vlt_result result = fill(r, template, PLACE_PLAIN, false, &out);
    if (vlt_is_ok(result) && (buf_failed(&out) || !bytes_to_text(buf_bytes(&out), text, capacity)))
        result = vlt_fail(VLT_LIMIT, "a value that is filled in is too long");
    buf_done(&out);
    return result;
}

// name=value&name=value, as in a query and in a form.
static vlt_result fill_fields(const struct rendering *r, const json_t *fields, struct buf *out) {
    const char *name;
    json_t *value;
    bool is_first = true;
    json_object_foreach((json_t *)(uintptr_t)fields, name, value) {
        if (!is_first)
            buf_put_byte(out, '&');
        is_first = false;
        put_escaped(out, bytes_of_text(name));
        buf_put_byte(out, '=');
        VLT_TRY(fill(r, json_string_value(value), PLACE_ESCAPED, true, out));
    }
    return vlt_ok();
}

static vlt_result fill_json(const struct rendering *r, const json_t *members, struct buf *out) {
    struct buf text;
    const char *name;
    json_t *value;
    bool is_first = true;
    vlt_result result = vlt_ok();
    buf_init(&text, BODY_MAX);
    buf_put_byte(out, '{');
    json_object_foreach((json_t *)(uintptr_t)members, name, value) {
        buf_clear(&text);
        result = fill(r, json_string_value(value), PLACE_PLAIN, false, &text);
        if (!vlt_is_ok(result))
            break;
        if (!is_first)
            buf_put_byte(out, ',');
        is_first = false;
        jsontext_put_string(out, bytes_of_text(name));
        buf_put_byte(out, ':');
        jsontext_put_string(out, buf_bytes(&text));
    }
    buf_put_byte(out, '}');
    buf_done(&text);
    return result;
}

static vlt_result render_body(const struct rendering *r, const json_t *step,
                              struct recipe_request *request) {
    const json_t *form = json_object_get(step, "form"), *json = json_object_get(step, "json");
    if (form) {
        bytes_to_text(BYTES_LITERAL("application/x-www-form-urlencoded"), request->content_type,
                      sizeof request->content_type);
        return fill_fields(r, form, &request->body);
    }
    if (!json)
        return vlt_ok();
    bytes_to_text(BYTES_LITERAL("application/json"), request->content_type,
                  sizeof request->content_type);
    return fill_json(r, json, &request->body);
}

static vlt_result render_auth(const struct rendering *r, const json_t *step,
                              struct recipe_request *request) {
    const json_t *auth = json_object_get(step, "auth");
    if (!auth)
        auth = json_object_get(r->recipe->root, "auth");
    request->auth = strcmp(recipe_text(auth, "kind"), "sigv4") == 0 ? RECIPE_AUTH_SIGV4
                                                                     : RECIPE_AUTH_HEADER;
    bytes_to_text(bytes_of_text(recipe_text(auth, "name")), request->header,
                  sizeof request->header);
    bytes_to_text(bytes_of_text(recipe_text(auth, "prefix")), request->prefix,
                  sizeof request->prefix);
    bytes_to_text(bytes_of_text(recipe_text(auth, "service")), request->service,
                  sizeof request->service);
    return fill_text(r, recipe_text(auth, "region"), request->region, sizeof request->region);
}

// A path may itself be a parameter (a generic API); then it must be one.
static bool is_path(struct bytes path) {
    if (path.size == 0 || path.at[0] != '/')
        return false;
    for (size_t i = 0; i < path.size; i++)
        if (path.at[i] <= ' ' || path.at[i] >= 0x7f || path.at[i] == '#' || path.at[i] == '\\')
            return false;
    return true;
}

static vlt_result render_target(const struct rendering *r, const json_t *step,
                                struct recipe_request *request) {
    const char *path = recipe_text(step, "path");
    const json_t *query = json_object_get(step, "query");
    if (path[0] == '{') { // the first parameter is a path, the rest are parts of it
        const char *end = strchr(path, '}');
        const char *begin = value_of(r, bytes_of(path + 1, (size_t)(end - path - 1)));
        if (!begin || !is_path(bytes_of_text(begin)))
            return vlt_fail(VLT_MALFORMED, "a parameter that is a path must begin with a slash");
        buf_put_text(&request->target, begin);
        path = end + 1;
    }
    VLT_TRY(fill(r, path, PLACE_ESCAPED, false, &request->target));
    if (query && json_object_size(query)) {
        buf_put_byte(&request->target, '?');
        VLT_TRY(fill_fields(r, query, &request->target));
    }
    return is_path(buf_bytes(&request->target))
               ? vlt_ok()
               : vlt_fail(VLT_MALFORMED, "the path of a request is not one");
}

static vlt_result render(const struct rendering *r, const json_t *step,
                         struct recipe_request *request) {
    bytes_to_text(bytes_of_text(recipe_text(step, "method")), request->method,
                  sizeof request->method);
    VLT_TRY(fill_text(r, recipe_text(step, "host"), request->host, sizeof request->host));
    if (!record_host_is_valid(bytes_of_text(request->host)))
        return vlt_fail(VLT_MALFORMED, "the host is not a lower-case host name");
    VLT_TRY(render_target(r, step, request));
    VLT_TRY(render_body(r, step, request));
    VLT_TRY(render_auth(r, step, request));
    return buf_failed(&request->target) || buf_failed(&request->body)
               ? vlt_fail(VLT_LIMIT, "a request is too long")
               : vlt_ok();
}

vlt_result recipe_render(const struct recipe *recipe, enum recipe_step step,
                         const struct recipe_values *values, struct fault *fault,
                         struct recipe_request *ret_request) {
    const struct rendering rendering = {recipe, values};
    struct recipe_request request = {.auth = RECIPE_AUTH_HEADER};
    buf_init(&request.target, TARGET_MAX);
    buf_init(&request.body, BODY_MAX);
    vlt_result result = render(&rendering, recipe_step_object(recipe, step), &request);
    if (!vlt_is_ok(result)) {
        recipe_request_done(&request);
        return fault_set(fault, result.class, result.reason, "recipe \"%s\": %s", recipe->name,
                         result.reason);
    }
    *ret_request = request;
    return vlt_ok();
}

void recipe_request_done(struct recipe_request *request) {
    buf_done(&request->target);
    buf_done(&request->body);
}
