// SPDX-License-Identifier: Apache-2.0
#include "libvault/http/http_problem.h"

#include "libvault/base/jsontext.h"
#include "libvault/http/http_write.h"

static void put_member(struct buf *out, const char *name, const char *value) {
    buf_put_byte(out, ',');
    jsontext_put_string(out, bytes_of_text(name));
    buf_put_byte(out, ':');
    jsontext_put_string(out, bytes_of_text(value));
}

void http_problem_write(const struct http_problem *problem, struct buf *out) {
    const char *title = problem->title ? problem->title : http_status_text(problem->status);
    buf_put_format(out, "{\"status\":%u", problem->status);
    if (problem->type)
        put_member(out, "type", problem->type);
    put_member(out, "title", title);
    if (problem->detail)
        put_member(out, "detail", problem->detail);
    if (problem->field)
        put_member(out, "field", problem->field);
    if (problem->line)
        buf_put_format(out, ",\"line\":%u", problem->line);
    buf_put_byte(out, '}');
}

void http_oauth_error_write(const char *error, const char *description, struct buf *out) {
    buf_put_text(out, "{\"error\":");
    jsontext_put_string(out, bytes_of_text(error));
    if (description) {
        buf_put_text(out, ",\"error_description\":\"");
        for (const char *c = description; *c; c++) {
            bool allowed = *c >= 0x20 && *c <= 0x7e && *c != '"' && *c != '\\';
            buf_put_byte(out, (uint8_t)(allowed ? *c : '?'));
        }
        buf_put_byte(out, '"');
    }
    buf_put_byte(out, '}');
}

unsigned http_status_of(enum vlt_class class) {
    switch (class) {
    case VLT_CLASS_OK:
        return 200;
    case VLT_MALFORMED:
    case VLT_CRYPTO:
        return 400;
    case VLT_DENIED:
    case VLT_NOT_FOUND:
        return 403;
    case VLT_CONFLICT:
        return 409;
    case VLT_LIMIT:
        return 413;
    case VLT_UNAVAILABLE:
        return 503;
    case VLT_BUG:
    case VLT_CLASS_COUNT:
        break;
    }
    return 500;
}

void http_challenge_begin(struct buf *out, const char *scheme) {
    if (out->size)
        buf_put_text(out, ", ");
    buf_put_text(out, scheme);
}

void http_challenge_put(struct buf *out, bool first, const char *name, const char *value) {
    buf_put_text(out, first ? " " : ", ");
    buf_put_text(out, name);
    buf_put_text(out, "=\"");
    for (const char *c = value; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_put_byte(out, '\\');
        buf_put_byte(out, (uint8_t)(*c >= 0x20 && *c <= 0x7e ? *c : '?'));
    }
    buf_put_byte(out, '"');
}
