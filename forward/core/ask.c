// SPDX-License-Identifier: Apache-2.0
#include "forward/core/ask.h"

#include <stdio.h>

#include "forward/core/json_put.h"

#define HEAD_ROOM 256 // for the head, which needs the size of the body

static void put(struct wire_writer *w, const char *name, struct bytes value) {
    if (value.size == 0)
        return;
    json_put_raw(w, ",\"");
    json_put_raw(w, name);
    json_put_raw(w, "\":");
    json_put_text(w, value);
}

static void put_number(struct wire_writer *w, const char *name, uint64_t number) {
    char digits[20];
    if (number == 0)
        return;
    json_put_raw(w, ",\"");
    json_put_raw(w, name);
    json_put_raw(w, "\":");
    wire_put_raw(w, bytes_of_number(number, digits));
}

static void put_body(struct wire_writer *w, const struct ask *ask) {
    json_put_raw(w, "{\"scheme\":");
    json_put_raw(w, ask->scheme == CARRIER_DPOP ? "\"dpop\"" : "\"bearer\"");
    put(w, "token", ask->token);
    put(w, "proof", ask->proof);
    put(w, "client_certificate", ask->client_certificate);
    put(w, "destination", ask->destination);
    put(w, "method", ask->method);
    put(w, "path", ask->path);
    put(w, "uri", ask->uri);
    put(w, "model", ask->model);
    put(w, "tool", ask->tool);
    put_number(w, "max_tokens", ask->max_tokens);
    put(w, "source", ask->source);
    put(w, "request_id", ask->request_id);
    wire_put_u8(w, '}');
}

size_t ask_capacity(const struct ask *ask) {
    // Only the model and the tool can need escapes, at most six bytes for one.
    return HEAD_ROOM + 512 + ask->token.size + ask->proof.size + ask->client_certificate.size +
           ask->destination.size + ask->method.size + ask->path.size + ask->uri.size +
           6 * (ask->model.size + ask->tool.size) + ask->source.size + ask->request_id.size;
}

vlt_result ask_write(const struct ask *ask, uint8_t *room, size_t capacity,
                     struct bytes *ret_text) {
    static const char format[] =
        "POST /v1/redeem HTTP/1.1\r\nhost: vault\r\ncontent-type: application/json\r\n"
        "content-length: %zu\r\n\r\n";
    if (capacity <= HEAD_ROOM)
        return vlt_fail(VLT_LIMIT, "no room for the question");
    struct wire_writer w;
    wire_writer_init(&w, room + HEAD_ROOM, capacity - HEAD_ROOM);
    put_body(&w, ask);
    if (w.failed)
        return vlt_fail(VLT_LIMIT, "the question is too long");
    char head[HEAD_ROOM];
    int size = snprintf(head, sizeof head, format, w.size);
    if (size < 0 || size >= HEAD_ROOM)
        return vlt_fail(VLT_BUG, "the head of the question");
    uint8_t *at = room + HEAD_ROOM - size;
    memcpy(at, head, (size_t)size);
    *ret_text = bytes_of(at, (size_t)size + w.size);
    return vlt_ok();
}

struct bytes ask_watch(void) {
    return BYTES_LITERAL("GET /v1/watch HTTP/1.1\r\nhost: vault\r\n\r\n");
}
