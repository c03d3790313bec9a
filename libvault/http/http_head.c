// SPDX-License-Identifier: Apache-2.0
#include "libvault/http/http_head.h"

#include <arpa/inet.h>

#include "libvault/http/http_class.h"

static struct http_span span_of(size_t at, size_t size) {
    return (struct http_span){(uint32_t)at, (uint32_t)size};
}

// NAME/D.D, which is a version even when it is not ours.
static bool looks_like_version(struct bytes text) {
    size_t slash = bytes_find(text, '/');
    if (slash == 0 || text.size != slash + 4)
        return false;
    for (size_t i = 0; i < slash; i++)
        if (!http_class_is(text.at[i], CLASS_UPPER))
            return false;
    const uint8_t *v = text.at + slash + 1;
    return v[0] >= '0' && v[0] <= '9' && v[1] == '.' && v[2] >= '0' && v[2] <= '9';
}

static enum http_refusal check_target(struct http_reader *reader, struct bytes target, size_t at) {
    reader->target = span_of(at, target.size);
    reader->path = reader->target;
    reader->request.has_query = false;
    if (target.size == 1 && target.at[0] == '*' && reader->request.method == HTTP_OPTIONS)
        return HTTP_REFUSAL_NONE;
    // Absolute form is for proxies; authority form is for CONNECT. A server that
    // takes them has two places that name the host.
    if (target.at[0] != '/' || !http_class_all_or_encoded(target, CLASS_TARGET))
        return HTTP_TARGET_INVALID;
    size_t mark = bytes_find(target, '?');
    reader->path.size = (uint32_t)mark;
    reader->request.has_query = mark < target.size;
    return HTTP_REFUSAL_NONE;
}

enum http_refusal http_head_request_line(struct http_reader *reader, struct bytes line, size_t at) {
    size_t method_end = bytes_find(line, ' ');
    struct bytes method = bytes_of(line.at, method_end);
    if (!http_is_token(method) || method_end == line.size)
        return HTTP_REQUEST_LINE_INVALID;
    struct bytes rest = bytes_from(line, method_end + 1);
    struct bytes target = bytes_of(rest.at, bytes_find(rest, ' '));
    if (!target.size && rest.size)
        return HTTP_REQUEST_LINE_SPACED;
    if (!target.size || bytes_find(target, '\r') < target.size)
        return HTTP_REQUEST_LINE_INVALID;
    if (target.size == rest.size) // "GET /" is HTTP/0.9
        return HTTP_VERSION_UNSUPPORTED;
    struct bytes version = bytes_from(rest, target.size + 1);
    if (version.size && version.at[0] == ' ')
        return HTTP_REQUEST_LINE_SPACED;
    if (!looks_like_version(version))
        return HTTP_REQUEST_LINE_INVALID;
    reader->request.method = http_method_of(method);
    if (reader->request.method == HTTP_METHOD_NONE)
        return HTTP_METHOD_UNKNOWN;
    if (!bytes_equal(version, BYTES_LITERAL("HTTP/1.1")))
        return HTTP_VERSION_UNSUPPORTED;
    return check_target(reader, target, at + method_end + 1);
}

enum http_refusal http_head_status_line(struct http_reader *reader, struct bytes line, size_t at) {
    size_t version_end = bytes_find(line, ' ');
    struct bytes version = bytes_of(line.at, version_end);
    if (!looks_like_version(version) || version_end == line.size)
        return HTTP_STATUS_LINE_INVALID;
    struct bytes rest = bytes_from(line, version_end + 1);
    if (rest.size < 3 || (rest.size > 3 && rest.at[3] != ' '))
        return HTTP_STATUS_LINE_INVALID;
    unsigned status = 0;
    for (size_t i = 0; i < 3; i++) {
        if (rest.at[i] < '0' || rest.at[i] > '9')
            return HTTP_STATUS_LINE_INVALID;
        status = status * 10 + (unsigned)(rest.at[i] - '0');
    }
    struct bytes reason = bytes_from(rest, 4);
    if (status < 100 || !http_is_field_value(reason))
        return HTTP_STATUS_LINE_INVALID;
    reader->is_http_1_0 = bytes_equal(version, BYTES_LITERAL("HTTP/1.0"));
    if (!reader->is_http_1_0 && !bytes_equal(version, BYTES_LITERAL("HTTP/1.1")))
        return HTTP_VERSION_UNSUPPORTED;
    reader->response.status = status;
    reader->reason = span_of(at + version_end + 5, reason.size);
    return HTTP_REFUSAL_NONE;
}

struct field_line {
    struct bytes name, value;
    size_t value_at; // from the begin of the line
};

static enum http_refusal split_field(struct bytes line, struct field_line *ret_field) {
    if (line.at[0] == ' ' || line.at[0] == '\t')
        return HTTP_FIELD_FOLDED;
    size_t colon = 0;
    while (colon < line.size && http_class_is(line.at[colon], CLASS_TOKEN))
        colon++;
    if (colon == 0 || colon == line.size || line.at[colon] != ':')
        return HTTP_FIELD_NAME_INVALID;
    size_t begin = colon + 1, end = line.size;
    while (begin < end && (line.at[begin] == ' ' || line.at[begin] == '\t'))
        begin++;
    while (end > begin && (line.at[end - 1] == ' ' || line.at[end - 1] == '\t'))
        end--;
    struct bytes value = bytes_of(line.at + begin, end - begin);
    if (!http_is_field_value(value))
        return HTTP_FIELD_VALUE_INVALID;
    *ret_field = (struct field_line){bytes_of(line.at, colon), value, begin};
    return HTTP_REFUSAL_NONE;
}

static bool is_ipv6(struct bytes text) {
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    return bytes_to_text(text, address, sizeof address) &&
           inet_pton(AF_INET6, address, &parsed) == 1;
}

// uri-host [ ":" port ] (RFC 9110 section 7.2): a name or IPv4 address, or an
// IPv6 address in brackets, never empty, never with user information.
static bool host_is_valid(struct bytes host) {
    if (!host.size)
        return false;
    size_t end;
    if (host.at[0] == '[') {
        end = bytes_find(host, ']');
        if (end == host.size || !is_ipv6(bytes_of(host.at + 1, end - 1)))
            return false;
        end++;
    } else {
        end = bytes_find(host, ':');
        if (!end || !http_class_all_or_encoded(bytes_of(host.at, end), CLASS_HOST))
            return false;
    }
    if (end == host.size)
        return true;
    struct bytes port = bytes_from(host, end + 1);
    if (host.at[end] != ':' || port.size > 5)
        return false;
    unsigned long number = 0;
    for (size_t i = 0; i < port.size; i++) {
        if (port.at[i] < '0' || port.at[i] > '9')
            return false;
        number = number * 10 + (unsigned long)(port.at[i] - '0');
    }
    return number <= 65535;
}

static enum http_refusal note_host(struct http_reader *reader, struct bytes value, size_t at) {
    if (reader->host_count++)
        return HTTP_HOST_REPEATED;
    reader->host = span_of(at, value.size);
    return reader->kind == HTTP_KIND_RESPONSE || host_is_valid(value) ? HTTP_REFUSAL_NONE
                                                                      : HTTP_HOST_INVALID;
}

static enum http_refusal note_length(struct http_reader *reader, struct bytes value) {
    // Two equal lengths would be permitted by RFC 9110; nobody sane sends them.
    if (reader->has_length)
        return HTTP_LENGTH_REPEATED;
    uint64_t length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9' || length > (INT64_MAX - 9) / 10)
            return HTTP_LENGTH_INVALID;
        length = length * 10 + (uint64_t)(value.at[i] - '0');
    }
    if (!value.size)
        return HTTP_LENGTH_INVALID;
    reader->has_length = true;
    reader->length = length;
    return HTTP_REFUSAL_NONE;
}

static void note_connection(struct http_reader *reader, struct bytes value) {
    while (value.size) {
        size_t comma = bytes_find(value, ',');
        struct bytes option = bytes_of(value.at, comma);
        while (option.size && (option.at[0] == ' ' || option.at[0] == '\t'))
            option = bytes_from(option, 1);
        while (option.size &&
               (option.at[option.size - 1] == ' ' || option.at[option.size - 1] == '\t'))
            option.size--;
        if (bytes_equal_nocase(option, BYTES_LITERAL("close")))
            reader->wants_close = true;
        else if (bytes_equal_nocase(option, BYTES_LITERAL("keep-alive")))
            reader->wants_keep_alive = true;
        value = bytes_from(value, comma + 1);
    }
}

static void note_coding(struct http_reader *reader, struct bytes value) {
    reader->is_chunked = !reader->has_coding && bytes_equal_nocase(value, BYTES_LITERAL("chunked"));
    reader->has_coding = true;
}

enum special {
    SPECIAL_NONE,
    SPECIAL_HOST,
    SPECIAL_EXPECT,
    SPECIAL_CONNECTION,
    SPECIAL_LENGTH,
    SPECIAL_CODING
};

// The fields that decide on framing and routing; the size picks the candidate.
static enum special special_of(struct bytes name) {
    switch (name.size) {
    case 4:
        return bytes_equal_nocase(name, BYTES_LITERAL("host")) ? SPECIAL_HOST : SPECIAL_NONE;
    case 6:
        return bytes_equal_nocase(name, BYTES_LITERAL("expect")) ? SPECIAL_EXPECT : SPECIAL_NONE;
    case 10:
        return bytes_equal_nocase(name, BYTES_LITERAL("connection")) ? SPECIAL_CONNECTION
                                                                     : SPECIAL_NONE;
    case 14:
        return bytes_equal_nocase(name, BYTES_LITERAL("content-length")) ? SPECIAL_LENGTH
                                                                         : SPECIAL_NONE;
    case 17:
        return bytes_equal_nocase(name, BYTES_LITERAL("transfer-encoding")) ? SPECIAL_CODING
                                                                            : SPECIAL_NONE;
    default:
        return SPECIAL_NONE;
    }
}

static enum http_refusal note_special(struct http_reader *reader, const struct field_line *field,
                                      size_t value_at) {
    switch (special_of(field->name)) {
    case SPECIAL_NONE:
        return HTTP_REFUSAL_NONE;
    case SPECIAL_HOST:
        return note_host(reader, field->value, value_at);
    case SPECIAL_EXPECT:
        if (reader->kind == HTTP_KIND_RESPONSE)
            return HTTP_REFUSAL_NONE;
        reader->request.expects_continue = true;
        return bytes_equal_nocase(field->value, BYTES_LITERAL("100-continue"))
                   ? HTTP_REFUSAL_NONE
                   : HTTP_EXPECTATION_UNKNOWN;
    case SPECIAL_CONNECTION:
        note_connection(reader, field->value);
        return HTTP_REFUSAL_NONE;
    case SPECIAL_LENGTH:
        return note_length(reader, field->value);
    case SPECIAL_CODING:
        note_coding(reader, field->value);
        return HTTP_REFUSAL_NONE;
    }
    return HTTP_REFUSAL_NONE;
}

enum http_refusal http_head_field(struct http_reader *reader, struct bytes line, size_t at) {
    struct field_line field;
    enum http_refusal refusal = split_field(line, &field);
    if (refusal)
        return refusal;
    if (reader->field_count >= reader->limits.header_count)
        return HTTP_FIELDS_TOO_MANY;
    reader->names[reader->field_count] = span_of(at, field.name.size);
    reader->values[reader->field_count++] = span_of(at + field.value_at, field.value.size);
    return note_special(reader, &field, at + field.value_at);
}

enum http_refusal http_head_trailer(struct bytes line) {
    struct field_line field;
    enum http_refusal refusal = split_field(line, &field);
    if (refusal)
        return refusal;
    return special_of(field.name) == SPECIAL_NONE ? HTTP_REFUSAL_NONE : HTTP_TRAILER_FORBIDDEN;
}

static void end_response(struct http_reader *reader) {
    unsigned status = reader->response.status;
    bool has_no_body = reader->answers_head || status / 100 == 1 || status == 204 || status == 304;
    if (has_no_body) {
        reader->is_chunked = false;
        reader->length = 0;
    }
    reader->until_close = !has_no_body && !reader->is_chunked && !reader->has_length;
    reader->response.keep_alive = !reader->until_close && !reader->wants_close &&
                                  (!reader->is_http_1_0 || reader->wants_keep_alive);
}

enum http_refusal http_head_end(struct http_reader *reader) {
    if (reader->has_length && reader->has_coding)
        return HTTP_LENGTH_AND_CODING;
    // HTTP/1.0 knows no transfer codings: some readers would take the chunks for the body, to
    // the end of the connection (RFC 9112 section 6.1: the framing is faulty).
    if (reader->has_coding && (!reader->is_chunked || reader->is_http_1_0))
        return HTTP_CODING_UNSUPPORTED;
    if (reader->kind == HTTP_KIND_RESPONSE) {
        end_response(reader);
        return HTTP_REFUSAL_NONE;
    }
    if (!reader->host_count)
        return HTTP_HOST_MISSING;
    reader->request.keep_alive = !reader->wants_close;
    if (reader->answers_head) {
        reader->is_chunked = false;
        reader->length = 0;
    }
    return HTTP_REFUSAL_NONE;
}
