// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/client/vault_members.h"

static const struct jsontext_limits answer_limits = {
    .max_bytes = VAULT_ANSWER_MAX_BYTES, .max_depth = 32, .allow_scalar_root = true};

vlt_result vault_open(const struct vault_settings *settings, struct fault *fault,
                      struct vault **ret_vault) {
    struct vault *vault = calloc(1, sizeof *vault);
    if (!vault)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = client_http_open(settings, fault, &vault->http);
    if (!vlt_is_ok(result)) {
        free(vault);
        return result;
    }
    *ret_vault = vault;
    return result;
}

void vault_close(struct vault *vault) {
    if (!vault)
        return;
    client_http_close(vault->http);
    json_decref(vault->problem);
    free(vault);
}

const json_t *vault_problem(const struct vault *vault) { return vault->problem; }
unsigned vault_status(const struct vault *vault) { return vault->status; }

static bool byte_is_unreserved(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void vault_put_segment(struct buf *out, const char *text) {
    for (const uint8_t *c = (const uint8_t *)text; *c; c++) {
        if (byte_is_unreserved(*c))
            buf_put_byte(out, *c);
        else
            buf_put_format(out, "%%%02X", *c);
    }
}

void vault_put_parameter(struct buf *out, const char *name, const char *value) {
    if (out->size)
        buf_put_byte(out, '&');
    buf_put_text(out, name);
    buf_put_byte(out, '=');
    vault_put_segment(out, value);
}

static enum vlt_class class_of_status(unsigned status) {
    switch (status) {
    case 401:
    case 403:
        return VLT_DENIED;
    case 404:
        return VLT_NOT_FOUND;
    case 409:
    case 412:
        return VLT_CONFLICT;
    case 413:
    case 431:
        return VLT_LIMIT;
    case 429:
    case 502:
    case 503:
    case 504:
        return VLT_UNAVAILABLE;
    default:
        return status >= 500 ? VLT_BUG : VLT_MALFORMED;
    }
}

// One sentence from a problem (RFC 9457) or an OAuth error (RFC 6749).
static vlt_result problem_fault(const struct vault *vault, struct fault *fault) {
    enum vlt_class class = class_of_status(vault->status);
    const char *detail = json_string_value(json_object_get(vault->problem, "detail"));
    const char *title = json_string_value(json_object_get(vault->problem, "title"));
    const char *field = json_string_value(json_object_get(vault->problem, "field"));
    const char *error = json_string_value(json_object_get(vault->problem, "error"));
    const char *description =
        json_string_value(json_object_get(vault->problem, "error_description"));
    if (error)
        return fault_set(fault, class, "refused by the server", "%s%s%s", error,
                         description ? ": " : "", description ? description : "");
    if (!detail)
        detail = title;
    if (!detail)
        return fault_set(fault, class, "refused by the server",
                         "the server answered with status %u and no reason", vault->status);
    // Where the request itself is wrong, the field says where; the sentence often
    // names it already.
    bool is_about_field = class == VLT_MALFORMED || class == VLT_LIMIT;
    bool names_field = !field || !is_about_field || strstr(detail, field);
    return fault_set(fault, class, "refused by the server", "%s%s%s", names_field ? "" : field,
                     names_field ? "" : ": ", detail);
}

static uint64_t revision_of_etag(const char *etag) {
    if (etag[0] != '"')
        return 0;
    char *end;
    unsigned long long revision = strtoull(etag + 1, &end, 10);
    return end[0] == '"' && !end[1] ? revision : 0;
}

vlt_result vault_send(struct vault *vault, const struct client_request *request,
                      struct fault *fault, json_t **ret_body, uint64_t *ret_revision) {
    json_decref(vault->problem);
    vault->problem = NULL;
    vault->status = 0;
    json_t *root = NULL;
    struct client_answer answer;
    vlt_result result = client_http_send(vault->http, request, fault, &answer);
    if (!vlt_is_ok(result))
        goto out;
    vault->status = answer.status;
    if (answer.dpop_nonce[0])
        memcpy(vault->dpop_nonce, answer.dpop_nonce, sizeof vault->dpop_nonce);
    if (answer.body.size) {
        result = jsontext_parse(buf_bytes(&answer.body), &answer_limits, NULL, &root);
        if (!vlt_is_ok(result) && answer.status < 300) {
            result = fault_set(fault, VLT_BUG, "answer is not JSON",
                               "the answer is not JSON: is this a vault?");
            goto out;
        }
    }
    if (answer.status < 200 || answer.status > 299) {
        vault->problem = root;
        root = NULL;
        result = problem_fault(vault, fault);
        goto out;
    }
    result = vlt_ok();
    if (ret_body) {
        *ret_body = root;
        root = NULL;
    }
    if (ret_revision)
        *ret_revision = revision_of_etag(answer.etag);
out:
    json_decref(root);
    client_answer_done(&answer);
    return result;
}

// Else it would be another path, or none.
static bool names_are_plain(const char *path) {
    size_t end = strcspn(path, "?"), size;
    for (size_t at = 0; at < end; at += size + 1) {
        const char *at_name = path + at + 1;
        size = strcspn(at_name, "/?");
        struct bytes name = bytes_of(at_name, size);
        if (size == 0 || bytes_equal(name, BYTES_LITERAL(".")) ||
            bytes_equal(name, BYTES_LITERAL("..")) || memmem(name.at, size, "%2F", 3))
            return false;
    }
    return true;
}

vlt_result vault_call(struct vault *vault, const struct vault_call *call, struct fault *fault,
                      json_t **ret_body, uint64_t *ret_revision) {
    if (!names_are_plain(call->path))
        return fault_set(fault, VLT_MALFORMED, "not a name",
                         "a name is not empty, \".\" or \"..\", and holds no \"/\"");
    char *text = call->body ? json_dumps(call->body, JSON_COMPACT) : NULL;
    if (call->body && !text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    struct buf etag;
    buf_init(&etag, 64);
    buf_put_format(&etag, "\"%llu\"", (unsigned long long)call->expected_revision);
    const struct client_header if_match = {"If-Match", buf_text(&etag)};
    const struct client_request request = {
        .method = call->method,
        .target = call->path,
        .media_type = text ? "application/json" : NULL,
        .body = bytes_of_text(text),
        .headers = &if_match,
        .header_count = call->expected_revision ? 1 : 0,
    };
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (if_match.value)
        result = vault_send(vault, &request, fault, ret_body, ret_revision);
    buf_done(&etag);
    free(text);
    return result;
}
