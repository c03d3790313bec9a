// SPDX-License-Identifier: Apache-2.0
// What the admin role reads of a request before it knows who sent it: body_open,
// body_text, body_number, body_flag, body_array, body_object, query_read,
// query_number, if_match_read. The first byte chooses the part.
#include "libvault/http/http.h"
#include "vaultd/admin/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static void read_body(struct bytes text) {
    static const char *const members[] = {"name", "count", "flag", "list", "object", NULL};
    static const struct http_header headers[] = {
        HTTP_HEADER("content-type", BYTES_LITERAL("application/json"))};
    const struct http_request request = {.body = text, .fields = {headers, 1}};
    struct body body;
    body_open(&request, &jsontext_token_limits, members, &body);
    const char *name = body_text(&body, "name", BODY_REQUIRED, 64);
    int64_t number = body_number(&body, "count", -5, 5, 0);
    body_flag(&body, "flag", false);
    body_array(&body, "list", BODY_OPTIONAL, 4);
    body_object(&body, "object");
    if ((name && strlen(name) > 64) || number < -5 || number > 5 || (!name && !body.status))
        __builtin_trap();
    body_done(&body);
}

static void read_query(struct bytes text) {
    static const char *const names[] = {"after", "limit", NULL};
    const struct http_request request = {.query = text, .has_query = true};
    struct body body = {0};
    char texts[2][QUERY_TEXT_SIZE];
    query_read(&body, &request, names, texts);
    if (query_number(&body, "limit", texts[1], 1000, 100) > 1000)
        __builtin_trap();
}

static void read_etag(struct bytes text) {
    const struct http_header headers[] = {HTTP_HEADER("if-match", text)};
    const struct http_request request = {.fields = {headers, 1}};
    struct body body = {0};
    uint64_t revision = if_match_read(&body, &request);
    if (!revision && !body.status)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    if (size == 0)
        return 0;
    struct bytes rest = bytes_of(at + 1, size - 1);
    switch (at[0] % 3) {
    case 0:
        read_body(rest);
        break;
    case 1:
        read_query(rest);
        break;
    default:
        read_etag(rest);
    }
    return 0;
}
