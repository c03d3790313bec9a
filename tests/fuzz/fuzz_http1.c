// SPDX-License-Identifier: Apache-2.0
// http_reader_read, http_reader_finish, http_path_normalise, http_form_parse,
// http_media_parse, http_authorization_parse. The first byte chooses between
// requests and responses and how the rest is cut; a message must mean the same
// whole and in pieces, and what was read must lie inside what was given.
#include <stdlib.h>

#include "libvault/http/http.h"
#include "libvault/http/http_media.h"
#include "libvault/http/http_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static struct http_reader whole, pieces;
static const struct http_limits limits = {
    .line_bytes = 256, .head_bytes = 1024, .header_count = 16, .body_bytes = 1024};

static void require(bool holds) {
    if (!holds)
        abort();
}

static enum http_step read_some(struct http_reader *reader, uint8_t *at, size_t size) {
    enum http_step step = http_reader_read(reader, at, size);
    return step == HTTP_STEP_HEAD ? http_reader_read(reader, at, size) : step;
}

static enum http_step read_pieces(uint8_t *at, size_t size, size_t stride) {
    enum http_step step = HTTP_STEP_MORE;
    for (size_t n = stride < size ? stride : size; step == HTTP_STEP_MORE; n += stride) {
        size_t given = n < size ? n : size;
        step = read_some(&pieces, at, given);
        if (given == size)
            break;
    }
    return step;
}

static void compare(const struct http_request *a, const struct http_request *b) {
    require(a->method == b->method && a->keep_alive == b->keep_alive);
    require(bytes_equal(a->target, b->target) && bytes_equal(a->host, b->host) &&
            bytes_equal(a->body, b->body));
    require(a->fields.count == b->fields.count);
    for (size_t i = 0; i < a->fields.count; i++)
        require(bytes_equal(a->fields.at[i].name, b->fields.at[i].name) &&
                bytes_equal(a->fields.at[i].value, b->fields.at[i].value));
    require(a->body.size <= limits.body_bytes && a->host.size > 0);
}

static void read_parts(const struct http_request *request) {
    uint8_t normal[256], again[256], form_bytes[1024];
    struct bytes path, same, scheme, token;
    struct http_form form;
    struct http_media media;
    if (vlt_is_ok(http_path_normalise(request->path, normal, sizeof normal, &path)))
        require(vlt_is_ok(http_path_normalise(path, again, sizeof again, &same)) &&
                bytes_equal(path, same));
    if (vlt_is_ok(http_form_parse(request->body, form_bytes, sizeof form_bytes, &form)))
        require(form.count <= HTTP_FORM_PARAMETERS_MAX);
    for (size_t i = 0; i < request->fields.count; i++) {
        struct bytes value = request->fields.at[i].value;
        if (vlt_is_ok(http_media_parse(value, &media)))
            require(media.type.size && media.subtype.size);
        if (vlt_is_ok(http_authorization_parse(value, &scheme, &token)))
            require(scheme.size + token.size < value.size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 1)
        return 0;
    enum http_kind kind = input[0] & 1 ? HTTP_KIND_RESPONSE : HTTP_KIND_REQUEST;
    size_t stride = 1 + (input[0] >> 1) % 64;
    input++;
    size--;
    // Exactly as long as the input, so that every byte beyond is noticed.
    uint8_t *one = malloc(size), *other = malloc(size);
    if (size) {
        memcpy(one, input, size);
        memcpy(other, input, size);
    }
    http_reader_init(&whole, kind, &limits);
    http_reader_init(&pieces, kind, &limits);
    enum http_step step = read_some(&whole, one, size);
    require(read_pieces(other, size, stride) == step);
    require(http_reader_refusal(&whole) == http_reader_refusal(&pieces));
    if (step == HTTP_STEP_COMPLETE) {
        require(http_reader_consumed(&whole) <= size &&
                http_reader_consumed(&whole) == http_reader_consumed(&pieces));
        require(http_reader_consumed(&whole) <= http_message_bytes_max(&limits, limits.body_bytes));
        if (kind == HTTP_KIND_REQUEST) {
            compare(&whole.request, &pieces.request);
            read_parts(&whole.request);
        }
    } else if (step == HTTP_STEP_MORE) {
        require(http_reader_finish(&whole, one, size) != HTTP_STEP_MORE);
    }
    free(one);
    free(other);
    return 0;
}
