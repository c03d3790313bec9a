// SPDX-License-Identifier: Apache-2.0
#include "forward/core/profile_members.h"

#include <assert.h>
#include <stdlib.h>

#include "forward/core/carrier.h"

bool profile_piece_next(const char **template_left, struct profile_piece *ret_piece) {
    const char *begin = *template_left, *open = strchr(begin, '{');
    if (!open) {
        *ret_piece = (struct profile_piece){.literal = bytes_of_text(begin)};
        *template_left = begin + strlen(begin);
        return true;
    }
    const char *close = strchr(open, '}');
    if (!close || close == open + 1)
        return false;
    *ret_piece = (struct profile_piece){
        .literal = bytes_of(begin, (size_t)(open - begin)),
        .placeholder = bytes_of(open + 1, (size_t)(close - open - 1)),
    };
    *template_left = close + 1;
    return true;
}

const char *profile_parameter(const struct profile *profile, const json_t *parameters,
                              struct bytes name) {
    char key[PROFILE_NAME_MAX + 1];
    if (!bytes_to_text(name, key, sizeof key))
        return NULL;
    const json_t *declared = json_object_get(profile->parameters, key);
    if (!declared)
        return NULL;
    const char *value = json_string_value(json_object_get(parameters, key));
    return value ? value : json_string_value(json_object_get(declared, "default"));
}

// Headers that say where a request goes or where it ends are never a place for
// a credential, whatever a parameter says.
bool profile_is_header_name(const char *name) {
    static const char *const framing[] = {"host",
                                          "content-length",
                                          "transfer-encoding",
                                          "connection",
                                          "keep-alive",
                                          "te",
                                          "trailer",
                                          "upgrade",
                                          "expect",
                                          "proxy-connection",
                                          "content-type",
                                          "content-encoding",
                                          "date",
                                          "via",
                                          "forwarded",
                                          "cookie",
                                          "range",
                                          NULL};
    size_t size = strlen(name);
    if (size == 0 || size > PROFILE_NAME_MAX)
        return false;
    for (const char *c = name; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '-' && *c != '_')
            return false;
    for (size_t i = 0; framing[i]; i++)
        if (!strcmp(name, framing[i]))
            return false;
    return true;
}

bool profile_is_query_name(const char *name) {
    size_t size = strlen(name);
    if (size == 0 || size > PROFILE_NAME_MAX)
        return false;
    for (const char *c = name; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') &&
            *c != '-' && *c != '_' && *c != '.')
            return false;
    return true;
}

const char *profile_name(const struct profile *profile) {
    return json_string_value(json_object_get(profile->root, "name"));
}

const char *profile_title(const struct profile *profile) {
    return json_string_value(json_object_get(profile->root, "title"));
}

const char *profile_upstream(const struct profile *profile) {
    return json_string_value(json_object_get(profile->root, "upstream"));
}

static bool host_fits(const char *pattern, const char *host) {
    if (strncmp(pattern, "*.", 2))
        return !strcmp(pattern, host);
    const char *dot = strchr(host, '.');
    return dot && dot != host && !strcmp(dot, pattern + 1);
}

bool profile_permits_host(const struct profile *profile, const char *host) {
    const json_t *hosts = json_object_get(profile->root, "hosts"), *pattern;
    size_t index;
    if (json_array_size(hosts) == 0)
        return *host != '\0';
    json_array_foreach(hosts, index,
                       pattern) if (host_fits(json_string_value(pattern), host)) return true;
    return false;
}

size_t profile_carrier_count(const struct profile *profile) {
    return profile->carrier_count;
}

struct profile_carrier profile_carrier_at(const struct profile *profile, size_t index) {
    assert(index < profile->carrier_count);
    return profile->carriers[index];
}

// Names of headers need no escapes. Without printf: this is written at each redeem.
static void put_quoted(struct buf *out, struct bytes name) {
    buf_put_byte(out, '"');
    buf_put(out, name);
    buf_put_byte(out, '"');
}

void profile_put_remove(const struct profile *profile, struct buf *out) {
    buf_put_byte(out, '[');
    for (size_t i = 0; i < CARRIER_WELL_KNOWN_COUNT; i++) {
        if (i)
            buf_put_byte(out, ',');
        put_quoted(out, carrier_well_known[i]);
    }
    for (size_t i = 0; i < profile_carrier_count(profile); i++) {
        struct profile_carrier carrier = profile_carrier_at(profile, i);
        if (carrier.in != PROFILE_HEADER)
            continue;
        buf_put_byte(out, ',');
        put_quoted(out, bytes_of_text(carrier.name));
    }
    buf_put_byte(out, ']');
}

size_t profile_model_count(const struct profile *profile) {
    return profile->model_count;
}

struct profile_model_place profile_model_at(const struct profile *profile, size_t index) {
    assert(index < profile->model_count);
    return profile->models[index];
}

bool profile_has_tool(const struct profile *profile) {
    return profile->has_tool;
}

enum profile_errors profile_errors(const struct profile *profile) {
    return profile->errors;
}

size_t profile_environment_count(const struct profile *profile) {
    return json_object_size(profile->environment);
}

static void *environment_at(const struct profile *profile, size_t index) {
    void *at = json_object_iter(profile->environment);
    while (at && index--)
        at = json_object_iter_next(profile->environment, at);
    return at;
}

const char *profile_environment_name(const struct profile *profile, size_t index) {
    void *at = environment_at(profile, index);
    return at ? json_object_iter_key(at) : NULL;
}

vlt_result profile_environment_value(const struct profile *profile, size_t index,
                                     const char *forwarder, const char *token, struct buf *out) {
    void *at = environment_at(profile, index);
    if (!at)
        return vlt_fail(VLT_NOT_FOUND, "no such environment variable");
    const char *template = json_string_value(json_object_iter_value(at));
    struct profile_piece piece = {0};
    do {
        if (!profile_piece_next(&template, &piece))
            return vlt_fail(VLT_BUG, "a placeholder is not closed");
        buf_put(out, piece.literal);
        if (piece.placeholder.at)
            buf_put_text(out, bytes_equal_text(piece.placeholder, "token") ? token : forwarder);
    } while (piece.placeholder.at);
    return buf_failed(out) ? vlt_fail(VLT_LIMIT, "the environment value is too long") : vlt_ok();
}

void profile_free(struct profile *profile) {
    if (!profile)
        return;
    json_decref(profile->root);
    json_decref(profile->parameters);
    json_decref(profile->inject);
    json_decref(profile->token_in);
    json_decref(profile->model);
    json_decref(profile->environment);
    free(profile);
}
