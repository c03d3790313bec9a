// SPDX-License-Identifier: Apache-2.0
#include "forward/core/head.h"

#include "forward/core/byte_run.h"
#include "forward/core/carrier.h"
#include "libvault/base/uri.h"

void head_strip_init(struct head_strip *strip, const struct profile *profile) {
    *strip = (struct head_strip){0};
    if (!profile)
        strip->queries[strip->query_count++] = BYTES_LITERAL("key");
    for (size_t i = 0; profile && i < profile_carrier_count(profile); i++) {
        struct profile_carrier carrier = profile_carrier_at(profile, i);
        if (carrier.in == PROFILE_HEADER && strip->header_count < HEAD_STRIP_MAX)
            strip->headers[strip->header_count++] = bytes_of_text(carrier.name);
        if (carrier.in == PROFILE_QUERY && strip->query_count < HEAD_STRIP_MAX)
            strip->queries[strip->query_count++] = bytes_of_text(carrier.name);
    }
}

void head_strip_header(struct head_strip *strip, struct bytes name) {
    for (size_t i = 0; i < strip->header_count; i++)
        if (bytes_equal(strip->headers[i], name))
            return;
    strip->headers[strip->header_count++] = name;
}

size_t head_capacity(struct bytes head, const struct head_change *change) {
    size_t size = head.size + change->host.size + change->request_id.size +
                  change->correlation.size + 96;
    for (size_t i = 0; i < change->answer->inject_count; i++)
        size += change->answer->inject[i].name.size + 3 * change->answer->inject[i].value.size + 8;
    return size;
}

static const struct bytes correlation_header = BYTES_LITERAL("x-vault-correlation-id");

static uint8_t *copy(uint8_t *to, struct bytes from) {
    return from.size ? (uint8_t *)mempcpy(to, from.at, from.size) : to;
}

static void put_line(struct wire_writer *w, struct bytes name, struct bytes value) {
    uint8_t *at = wire_put_space(w, name.size + value.size + 4);
    if (!at)
        return;
    at = copy(copy(copy(at, name), BYTES_LITERAL(": ")), value);
    copy(at, BYTES_LITERAL("\r\n"));
}

// RFC 3986 section 2.1: everything but unreserved.
static void put_encoded(struct wire_writer *w, struct bytes value) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.at[i];
        if (uri_is_unreserved(c)) {
            wire_put_u8(w, c);
        } else {
            wire_put_u8(w, '%');
            wire_put_u8(w, (uint8_t)hex[c >> 4]);
            wire_put_u8(w, (uint8_t)hex[c & 15]);
        }
    }
}

static bool query_is_stripped(struct bytes parameter, const struct head_change *change) {
    for (size_t i = 0; i < change->strip->query_count; i++)
        if (carrier_query_name_is(parameter, change->strip->queries[i]))
            return true;
    for (size_t i = 0; i < change->answer->inject_count; i++)
        if (change->answer->inject[i].in_query &&
            carrier_query_name_is(parameter, change->answer->inject[i].name))
            return true;
    return false;
}

static void put_query(struct wire_writer *w, struct bytes query, const struct head_change *change) {
    uint8_t separator = '?';
    while (query.size) {
        size_t end = bytes_find(query, '&');
        struct bytes parameter = bytes_of(query.at, end);
        query = bytes_from(query, end + 1);
        if (!parameter.size || query_is_stripped(parameter, change))
            continue;
        wire_put_u8(w, separator);
        wire_put_raw(w, parameter);
        separator = '&';
    }
    for (size_t i = 0; i < change->answer->inject_count; i++) {
        const struct answer_inject *item = &change->answer->inject[i];
        if (!item->in_query)
            continue;
        wire_put_u8(w, separator);
        wire_put_raw(w, item->name);
        wire_put_u8(w, '=');
        put_encoded(w, item->value);
        separator = '&';
    }
}

static vlt_result put_request_line(struct wire_writer *w, struct bytes line,
                                   const struct head_change *change) {
    size_t method = bytes_find(line, ' ');
    struct bytes rest = bytes_from(line, method + 1);
    size_t target_size = bytes_find(rest, ' ');
    if (method == 0 || target_size == rest.size ||
        !bytes_begin_with(bytes_from(rest, target_size), BYTES_LITERAL(" HTTP/1.")))
        return vlt_fail(VLT_MALFORMED, "the request line for the upstream");
    struct bytes target = bytes_of(rest.at, target_size);
    size_t path = bytes_find(target, '?');
    if (!bytes_equal(bytes_of(line.at, method), change->method) ||
        !bytes_equal(bytes_of(target.at, path), change->path))
        return vlt_fail(VLT_DENIED, "method or path for the upstream are not what was decided on");
    wire_put_raw(w, bytes_of(line.at, method + 1 + path));
    put_query(w, bytes_from(target, path + 1), change);
    wire_put_raw(w, bytes_of(rest.at + target_size, rest.size - target_size + 2)); // and CR LF
    return vlt_ok();
}

static bool header_is_stripped(struct bytes name, const struct head_change *change) {
    if (carrier_is_stripped(name) || bytes_equal_nocase(name, BYTES_LITERAL("host")) ||
        bytes_equal_nocase(name, correlation_header)) // ours to say
        return true;
    for (size_t i = 0; i < change->strip->header_count; i++)
        if (bytes_equal_nocase(name, change->strip->headers[i]))
            return true;
    for (size_t i = 0; i < change->answer->remove_count; i++)
        if (bytes_equal_nocase(name, change->answer->remove[i]))
            return true;
    for (size_t i = 0; i < change->answer->inject_count; i++)
        if (!change->answer->inject[i].in_query &&
            bytes_equal_nocase(name, change->answer->inject[i].name))
            return true;
    return false;
}

static vlt_result next_line(struct bytes *rest, struct bytes *ret_line) {
    size_t end = rest->size ? byte_run_line(*rest, 0) : 0;
    if (rest->size - end < 2 || rest->at[end] != '\r' || rest->at[end + 1] != '\n')
        return vlt_fail(VLT_MALFORMED, "a line of the head for the upstream");
    *ret_line = bytes_of(rest->at, end);
    *rest = bytes_from(*rest, end + 2);
    return vlt_ok();
}

// Headers up to the empty line, which is taken. What stays mostly stands together: it is
// copied together.
static vlt_result put_headers(struct wire_writer *w, struct bytes *rest,
                              const struct head_change *change, bool *has_request_id) {
    struct bytes line, kept = bytes_of(rest->at, 0);
    for (;;) {
        VLT_TRY(next_line(rest, &line));
        if (line.size == 0)
            break;
        size_t colon = bytes_find(line, ':');
        if (colon == 0 || colon == line.size)
            return vlt_fail(VLT_MALFORMED, "a header for the upstream");
        struct bytes name = bytes_of(line.at, colon);
        *has_request_id =
            *has_request_id || bytes_equal_nocase(name, BYTES_LITERAL("x-request-id"));
        if (header_is_stripped(name, change)) {
            wire_put_raw(w, kept);
            kept = bytes_of(line.at + line.size + 2, 0);
        } else {
            kept.size += line.size + 2;
        }
    }
    wire_put_raw(w, kept);
    return vlt_ok();
}

vlt_result head_rewrite(struct bytes head, const struct head_change *change,
                        struct wire_writer *out) {
    struct bytes rest = head, line;
    bool has_request_id = change->request_id.size == 0;
    VLT_TRY(next_line(&rest, &line));
    VLT_TRY(put_request_line(out, line, change));
    put_line(out, BYTES_LITERAL("Host"), change->host);
    VLT_TRY(put_headers(out, &rest, change, &has_request_id));
    // Bytes behind the head are proxy_set_body's: not the body that was scanned.
    if (rest.size)
        return vlt_fail(VLT_MALFORMED, "proxy_set_body is not possible with vault_redeem");
    if (!has_request_id)
        put_line(out, BYTES_LITERAL("x-request-id"), change->request_id);
    if (change->correlation.size &&
        (has_request_id || !bytes_equal(change->correlation, change->request_id)))
        put_line(out, correlation_header, change->correlation);
    for (size_t i = 0; i < change->answer->inject_count; i++)
        if (!change->answer->inject[i].in_query)
            put_line(out, change->answer->inject[i].name, change->answer->inject[i].value);
    wire_put_raw(out, BYTES_LITERAL("\r\n"));
    return out->failed ? vlt_fail(VLT_LIMIT, "no room for the head") : vlt_ok();
}
