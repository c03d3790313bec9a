// SPDX-License-Identifier: Apache-2.0
#include "libvault/http/http.h"

#include "libvault/http/http_class.h"

const struct http_limits http_limits_default = {
    .line_bytes = 8192, .head_bytes = 16384, .header_count = HTTP_HEADERS_MAX, .body_bytes = 65536};

static const struct {
    unsigned status;
    const char *text;
} refusals[HTTP_REFUSAL_COUNT] = {
    [HTTP_REFUSAL_NONE] = {200, ""},
    [HTTP_LINE_END_INVALID] = {400, "a line does not end with CRLF"},
    [HTTP_REQUEST_LINE_INVALID] = {400, "the request line is not METHOD TARGET HTTP/1.1"},
    [HTTP_REQUEST_LINE_SPACED] = {400,
                                  "the parts of the request line are not separated by one space"},
    [HTTP_STATUS_LINE_INVALID] = {400, "the status line is not HTTP/1.1 CODE REASON"},
    [HTTP_METHOD_UNKNOWN] = {501, "this method is not served here"},
    [HTTP_TARGET_INVALID] = {400,
                             "the request target is not an absolute path with valid characters"},
    [HTTP_TARGET_TOO_LONG] = {414, "the request line is too long"},
    [HTTP_VERSION_UNSUPPORTED] = {505, "only HTTP/1.1 is served here"},
    [HTTP_FIELD_NAME_INVALID] = {400, "a header field has no valid name followed by a colon"},
    [HTTP_FIELD_VALUE_INVALID] = {400, "a header field value holds a control character"},
    [HTTP_FIELD_FOLDED] = {400, "a header line begins with white space"},
    [HTTP_FIELDS_TOO_MANY] = {431, "there are too many header fields"},
    [HTTP_HEAD_TOO_LARGE] = {431, "the header section is too large"},
    [HTTP_HOST_MISSING] = {400, "the Host header field is missing"},
    [HTTP_HOST_REPEATED] = {400, "the Host header field is repeated"},
    [HTTP_HOST_INVALID] = {400, "the Host header field is not a host with an optional port"},
    [HTTP_LENGTH_INVALID] = {400, "Content-Length is not a decimal number"},
    [HTTP_LENGTH_REPEATED] = {400, "Content-Length is repeated"},
    [HTTP_LENGTH_AND_CODING] = {400, "Content-Length and Transfer-Encoding exclude each other"},
    [HTTP_CODING_UNSUPPORTED] = {501, "the only transfer coding served here is chunked, once"},
    [HTTP_EXPECTATION_UNKNOWN] = {417, "the only expectation served here is 100-continue"},
    [HTTP_BODY_TOO_LARGE] = {413, "the body is too large"},
    [HTTP_CHUNK_INVALID] = {400, "a chunk of the body is malformed"},
    [HTTP_CHUNKS_TOO_MANY] = {413, "the body is cut into too many chunks"},
    [HTTP_TRAILER_FORBIDDEN] = {400, "a trailer field is one that belongs into the header"},
    [HTTP_MESSAGE_TRUNCATED] = {400, "the message ends in the middle"},
};

unsigned http_refusal_status(enum http_refusal refusal) { return refusals[refusal].status; }
const char *http_refusal_text(enum http_refusal refusal) { return refusals[refusal].text; }

static const char *const methods[HTTP_METHOD_COUNT] = {
    [HTTP_METHOD_NONE] = "", [HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",
    [HTTP_POST] = "POST",    [HTTP_PUT] = "PUT",       [HTTP_PATCH] = "PATCH",
    [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS"};

const char *http_method_text(enum http_method method) { return methods[method]; }

enum http_method http_method_of(struct bytes text) {
    for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++)
        if (bytes_equal_text(text, methods[m]))
            return (enum http_method)m;
    return HTTP_METHOD_NONE;
}

unsigned http_header_find(const struct http_fields *fields, const char *name,
                          struct bytes *ret_value) {
    struct bytes wanted = bytes_of_text(name);
    unsigned found = 0;
    for (size_t i = 0; i < fields->count; i++) {
        if (!bytes_equal_nocase(fields->at[i].name, wanted))
            continue;
        if (found++ == 0 && ret_value)
            *ret_value = fields->at[i].value;
    }
    return found;
}

size_t http_message_bytes_max(const struct http_limits *limits, uint64_t body_bytes) {
    // Empty lines, head, body in chunks with as much framing, trailers.
    uint64_t max = 1024 + 2 * (uint64_t)limits->head_bytes + 2 * body_bytes + 16384;
    return max > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)max;
}

bool http_is_token(struct bytes text) { return text.size && http_class_all(text, CLASS_TOKEN); }
bool http_is_field_value(struct bytes text) { return http_class_all(text, CLASS_FIELD); }
