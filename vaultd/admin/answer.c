// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/http/http_problem.h"
#include "libvault/http/http_write.h"

static void answer_text(struct http_exchange *x, unsigned status, const char *media_type,
                        uint64_t revision, const char *text) {
    char etag[32];
    int etag_bytes = snprintf(etag, sizeof etag, "\"%llu\"", (unsigned long long)revision);
    const struct http_header headers[] = {
        HTTP_HEADER("Content-Type", bytes_of_text(media_type)),
        HTTP_HEADER("Cache-Control", BYTES_LITERAL("no-store")),
        HTTP_HEADER("ETag", bytes_of(etag, (size_t)etag_bytes)),
    };
    http_exchange_reply(x, status, headers, revision ? 3 : 2, bytes_of_text(text));
}

void answer_json(struct http_exchange *x, unsigned status, json_t *body, uint64_t revision) {
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (text)
        answer_text(x, status, HTTP_JSON_MEDIA, revision, text);
    else
        answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
    free(text);
    json_decref(body);
}

void answer_faults(struct http_exchange *x, unsigned status, const char *field, const char *detail,
                   json_t *faults) {
    json_t *body = json_pack("{s:s,s:s,s:i,s:s}", "type", "about:blank", "title",
                             http_status_text(status), "status", (int)status, "detail", detail);
    if (body && field)
        json_object_set_new(body, "field", json_string(field));
    if (body && faults)
        json_object_set(body, "faults", faults);
    json_decref(faults);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    answer_text(x, status, HTTP_PROBLEM_MEDIA, 0, text ? text : "{}");
    free(text);
    json_decref(body);
}

void answer_problem(struct http_exchange *x, unsigned status, const char *field,
                    const char *format, ...) {
    char detail[640];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    const struct http_problem problem = {.status = status, .detail = detail, .field = field};
    http_exchange_reply_problem(x, &problem);
}

void answer_unauthenticated(struct http_exchange *x, const char *detail) {
    struct buf body;
    buf_init(&body, 4096);
    const struct http_problem problem = {.status = 401, .detail = detail};
    http_problem_write(&problem, &body);
    const struct http_header headers[] = {
        HTTP_HEADER("Content-Type", BYTES_LITERAL(HTTP_PROBLEM_MEDIA)),
        HTTP_HEADER("Cache-Control", BYTES_LITERAL("no-store")),
        HTTP_HEADER("WWW-Authenticate", BYTES_LITERAL("Bearer realm=\"vault administration\"")),
    };
    http_exchange_reply(x, 401, headers, 3, buf_bytes(&body));
    buf_done(&body);
}

unsigned answer_status(enum vlt_class class) {
    switch (class) {
    case VLT_MALFORMED:
    case VLT_CRYPTO:
        return 400;
    case VLT_DENIED:
        return 403;
    case VLT_NOT_FOUND:
        return 404; // administrators may know what there is
    case VLT_CONFLICT:
        return 409;
    case VLT_LIMIT:
        return 413;
    case VLT_UNAVAILABLE:
        return 503;
    default:
        return 500;
    }
}

void answer_failure(struct http_exchange *x, vlt_result result, const struct fault *fault,
                    const char *field) {
    const struct http_problem problem = {.status = answer_status(result.class),
                                         .detail = fault_or_reason(fault, result),
                                         .field = field,
                                         .line = fault ? fault->line : 0};
    http_exchange_reply_problem(x, &problem);
}
