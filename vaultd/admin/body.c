// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/body.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/http/http_media.h"
#include "libvault/http/http_path.h"
#include "vaultd/admin/answer.h"

void body_refuse(struct body *body, unsigned status, const char *field, const char *format, ...) {
    if (body->status)
        return; // the first mistake is the one to name
    body->status = status;
    snprintf(body->field, sizeof body->field, "%s", field ? field : "");
    va_list args;
    va_start(args, format);
    vsnprintf(body->fault.text, sizeof body->fault.text, format, args);
    va_end(args);
}

void body_refuse_fault(struct body *body, vlt_result result, const struct fault *fault) {
    char field[sizeof body->field] = "";
    const char *open = strchr(fault->text, '"'), *close = open ? strchr(open + 1, '"') : NULL;
    if (close && (size_t)(close - open) < sizeof field)
        snprintf(field, sizeof field, "%.*s", (int)(close - open - 1), open + 1);
    body_refuse(body, answer_status(result.class), field[0] ? field : NULL, "%s",
                fault_or_reason(fault, result));
}

static bool names_include(const char *const *names, const char *name) {
    for (size_t i = 0; names[i]; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static bool media_is_json(const struct http_request *request) {
    struct bytes media;
    return http_header_find(&request->fields, "content-type", &media) == 1 &&
           http_media_is(media, "application/json");
}

// Is `text` in a form that can stand in a sentence? Cuts what is too long.
static const char *shown(const char *text, char room[48]) {
    snprintf(room, 48, "%s", text);
    for (char *c = room; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return room;
}

void body_open(const struct http_request *request, const struct jsontext_limits *limits,
               const char *const *members, struct body *ret_body) {
    *ret_body = (struct body){0};
    if (!request->body.size) {
        ret_body->root = json_object();
        if (!ret_body->root)
            body_refuse(ret_body, 503, NULL, "the admin role is out of memory: try again");
        return;
    }
    if (!media_is_json(request)) {
        body_refuse(ret_body, 415, "Content-Type", "Content-Type must be application/json");
        return;
    }
    vlt_result result = jsontext_parse(request->body, limits, &ret_body->fault, &ret_body->root);
    if (!vlt_is_ok(result)) {
        ret_body->status = result.class == VLT_LIMIT ? 413 : 400;
        if (!ret_body->fault.text[0])
            snprintf(ret_body->fault.text, sizeof ret_body->fault.text, "%s", result.reason);
        return;
    }
    if (!json_is_object(ret_body->root)) {
        body_refuse(ret_body, 400, NULL, "the body must be a JSON object");
        return;
    }
    const char *name;
    json_t *value;
    char room[48];
    json_object_foreach(ret_body->root, name, value)
        if (members && !names_include(members, name))
            body_refuse(ret_body, 400, shown(name, room), "unknown member \"%s\"",
                        shown(name, room));
}

void body_done(struct body *body) { json_decref(body->root); }

bool body_refused(const struct body *body, struct http_exchange *x) {
    if (!body->status)
        return false;
    const struct http_problem problem = {.status = body->status,
                                         .detail = body->fault.text,
                                         .field = body->field[0] ? body->field : NULL,
                                         .line = body->fault.line};
    http_exchange_reply_problem(x, &problem);
    return true;
}

bool body_has(const struct body *body, const char *member) {
    return json_object_get(body->root, member) != NULL;
}

// The member, or NULL; notes when a required one is missing.
static const json_t *member_of(struct body *body, const char *member, enum body_need need) {
    const json_t *value = json_object_get(body->root, member);
    if (!value && need == BODY_REQUIRED)
        body_refuse(body, 400, member, "member \"%s\" is missing", member);
    return value;
}

const char *body_text(struct body *body, const char *member, enum body_need need,
                      size_t max_bytes) {
    const json_t *value = member_of(body, member, need);
    if (!value)
        return NULL;
    const char *text = json_string_value(value);
    if (!text || (need == BODY_REQUIRED && !text[0])) {
        body_refuse(body, 400, member, "\"%s\" must be a text%s", member,
                    need == BODY_REQUIRED ? " that is not empty" : "");
        return NULL;
    }
    if (json_string_length(value) > max_bytes) {
        body_refuse(body, 413, member, "\"%s\" may have %zu bytes, not %zu", member, max_bytes,
                    json_string_length(value));
        return NULL;
    }
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f) {
            body_refuse(body, 400, member, "\"%s\" holds a control character", member);
            return NULL;
        }
    }
    return text;
}

bool body_flag(struct body *body, const char *member, bool otherwise) {
    const json_t *value = member_of(body, member, BODY_OPTIONAL);
    if (!value)
        return otherwise;
    if (!json_is_boolean(value))
        body_refuse(body, 400, member, "\"%s\" must be true or false", member);
    return json_is_true(value);
}

int64_t body_number(struct body *body, const char *member, int64_t min, int64_t max,
                    int64_t otherwise) {
    const json_t *value = member_of(body, member, BODY_OPTIONAL);
    if (!value)
        return otherwise;
    int64_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < min || number > max) {
        body_refuse(body, 400, member, "\"%s\" must be an integer from %lld to %lld", member,
                    (long long)min, (long long)max);
        return otherwise;
    }
    return number;
}

const json_t *body_array(struct body *body, const char *member, enum body_need need, size_t max) {
    const json_t *value = member_of(body, member, need);
    if (!value)
        return NULL;
    if (!json_is_array(value) || json_array_size(value) > max) {
        body_refuse(body, 400, member, "\"%s\" must be an array of at most %zu entries", member,
                    max);
        return NULL;
    }
    return value;
}

const json_t *body_object(struct body *body, const char *member) {
    const json_t *value = member_of(body, member, BODY_OPTIONAL);
    if (value && !json_is_object(value)) {
        body_refuse(body, 400, member, "\"%s\" must be an object", member);
        return NULL;
    }
    return value;
}

// ---- Query and If-Match ----

static void query_take(struct body *body, const struct http_form_parameter *parameter,
                       const char *const *names, char (*texts)[QUERY_TEXT_SIZE]) {
    char name[48];
    if (!bytes_to_text(parameter->name, name, sizeof name))
        snprintf(name, sizeof name, "?");
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(names[i], name))
            continue;
        if (texts[i][0])
            body_refuse(body, 400, names[i], "query parameter \"%s\" is given twice", names[i]);
        else if (!bytes_to_text(parameter->value, texts[i], QUERY_TEXT_SIZE))
            body_refuse(body, 400, names[i], "query parameter \"%s\" is too long", names[i]);
        return;
    }
    char room[48];
    body_refuse(body, 400, shown(name, room), "unknown query parameter \"%s\"", shown(name, room));
}

void query_read(struct body *body, const struct http_request *request, const char *const *names,
                char (*texts)[QUERY_TEXT_SIZE]) {
    for (size_t i = 0; names[i]; i++)
        texts[i][0] = 0;
    if (!request->query.size)
        return;
    uint8_t *storage = malloc(request->query.size);
    struct http_form *form = malloc(sizeof *form);
    if (!storage || !form) {
        body_refuse(body, 503, NULL, "the admin role is out of memory: try again");
    } else if (!vlt_is_ok(
                   http_form_parse(request->query, storage, request->query.size, form))) {
        body_refuse(body, 400, "query", "the query is not in the form name=value&name=value");
    } else {
        for (size_t i = 0; i < form->count; i++)
            query_take(body, &form->parameters[i], names, texts);
    }
    free(form);
    free(storage);
}

uint64_t query_number(struct body *body, const char *name, const char *text, uint64_t max,
                      uint64_t otherwise) {
    if (!text[0])
        return otherwise;
    char *end;
    bool is_digits = strspn(text, "0123456789") == strlen(text) && strlen(text) <= 19;
    unsigned long long number = is_digits ? strtoull(text, &end, 10) : 0;
    if (!is_digits || number > max) {
        body_refuse(body, 400, name, "query parameter \"%s\" must be a number from 0 to %llu", name,
                    (unsigned long long)max);
        return otherwise;
    }
    return number;
}

uint64_t if_match_read(struct body *body, const struct http_request *request) {
    struct bytes value;
    unsigned count = http_header_find(&request->fields, "if-match", &value);
    if (!count)
        return 0;
    char text[24];
    bool is_ours = count == 1 && value.size > 2 && value.at[0] == '"' &&
                   value.at[value.size - 1] == '"' &&
                   bytes_to_text(bytes_of(value.at + 1, value.size - 2), text, sizeof text) &&
                   strspn(text, "0123456789") == strlen(text) && strlen(text) <= 19;
    uint64_t revision = is_ours ? strtoull(text, NULL, 10) : 0;
    if (!revision)
        body_refuse(body, 400, "If-Match", "If-Match must be one ETag as this API gave it");
    return revision;
}
