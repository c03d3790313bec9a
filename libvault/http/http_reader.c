// SPDX-License-Identifier: Apache-2.0
// Stages, in order:
//   START → FIELDS → (BODY_BEGIN → LENGTH_BODY | CLOSE_BODY | CHUNK_LINE → CHUNK_BYTES →
//   CHUNK_END → CHUNK_LINE … → TRAILERS) → COMPLETE;  every one → REFUSED.
// Everything is noted as offsets, because the caller's buffer may move between
// two reads; views are made only when a stage hands the message out.
#include "libvault/http/http.h"

#include <assert.h>

#include "libvault/http/http_class.h"
#include "libvault/http/http_head.h"

enum stage {
    STAGE_START,
    STAGE_FIELDS,
    STAGE_BODY_BEGIN,
    STAGE_LENGTH_BODY,
    STAGE_CLOSE_BODY,
    STAGE_CHUNK_LINE,
    STAGE_CHUNK_BYTES,
    STAGE_CHUNK_END,
    STAGE_TRAILERS,
    STAGE_COMPLETE,
    STAGE_REFUSED
};

// What one stage says to the loop of http_reader_read.
enum advance { ADVANCE_NEXT, ADVANCE_WAIT, ADVANCE_HEAD };

enum { EMPTY_LINES_MAX = 4, CHUNK_LINE_MAX = 512, FRAMING_FREE_BYTES = 16384 };

void http_reader_init(struct http_reader *reader, enum http_kind kind,
                      const struct http_limits *limits) {
    *reader = (struct http_reader){.kind = kind};
    http_reader_reset(reader, limits);
}

void http_reader_reset(struct http_reader *reader, const struct http_limits *limits) {
    assert(limits->header_count <= HTTP_HEADERS_MAX && limits->head_bytes < UINT32_MAX / 4);
    reader->limits = *limits;
    reader->stage = STAGE_START;
    reader->refusal = HTTP_REFUSAL_NONE;
    reader->begin = reader->scanned = reader->next = 0;
    reader->body_at = reader->body_size = reader->framing_bytes = reader->trailer_at = 0;
    reader->body_left = reader->length = 0;
    reader->has_length = reader->is_chunked = reader->has_coding = false;
    reader->until_close = reader->answers_head = false;
    reader->wants_close = reader->wants_keep_alive = reader->is_http_1_0 = false;
    reader->host_count = 0;
    reader->field_count = 0;
    if (reader->kind == HTTP_KIND_REQUEST)
        reader->request = (struct http_request){0};
    else
        reader->response = (struct http_response){0};
}

void http_reader_expect_no_body(struct http_reader *reader) { reader->answers_head = true; }
void http_reader_set_body_max(struct http_reader *reader, uint64_t body_bytes) {
    reader->limits.body_bytes = body_bytes;
}
size_t http_reader_consumed(const struct http_reader *reader) { return reader->next; }
enum http_refusal http_reader_refusal(const struct http_reader *reader) { return reader->refusal; }

static enum advance refuse(struct http_reader *reader, enum http_refusal refusal) {
    reader->stage = STAGE_REFUSED;
    reader->refusal = refusal;
    return ADVANCE_NEXT;
}

// The line at `next`, without its CRLF; `next` moves behind it. False when it
// is not there yet or was refused. It has to end at `limit_at`, which is judged
// before anything else in it, so that the verdict does not depend on how the
// bytes arrive. Bytes once searched are not searched again.
static bool take_line(struct http_reader *reader, const uint8_t *message, size_t size,
                      size_t limit_at, enum http_refusal too_long, struct bytes *ret_line) {
    size_t from = reader->scanned > reader->next ? reader->scanned : reader->next;
    const uint8_t *lf = from < size ? memchr(message + from, '\n', size - from) : NULL;
    size_t end = lf ? (size_t)(lf - message) : size;
    if ((lf ? end + 1 : size) > limit_at) {
        refuse(reader, too_long);
        return false;
    }
    if (!lf) {
        reader->scanned = size;
        return false;
    }
    if (end == reader->next || message[end - 1] != '\r') {
        refuse(reader, HTTP_LINE_END_INVALID);
        return false;
    }
    *ret_line = bytes_of(message + reader->next, end - 1 - reader->next);
    reader->next = end + 1;
    return true;
}

// RFC 9112 section 2.2: a few empty lines before a request are passed over.
static enum advance read_start(struct http_reader *reader, const uint8_t *message, size_t size) {
    while (size - reader->next >= 2 && message[reader->next] == '\r' &&
           message[reader->next + 1] == '\n') {
        reader->next += 2;
        if (reader->next > 2 * EMPTY_LINES_MAX)
            return refuse(reader, HTTP_REQUEST_LINE_INVALID);
    }
    reader->begin = reader->next;
    if (reader->next == size)
        return ADVANCE_WAIT;
    bool is_request = reader->kind == HTTP_KIND_REQUEST;
    uint8_t first = message[reader->next];
    // Another protocol shows in its first byte: no need to wait for a line.
    if (!http_class_is(first, CLASS_TOKEN) && first != '\r' && first != '\n')
        return refuse(reader, is_request ? HTTP_REQUEST_LINE_INVALID : HTTP_STATUS_LINE_INVALID);
    size_t at = reader->next;
    struct bytes line;
    if (!take_line(reader, message, size, at + reader->limits.line_bytes + 2, HTTP_TARGET_TOO_LONG,
                   &line))
        return reader->stage == STAGE_REFUSED ? ADVANCE_NEXT : ADVANCE_WAIT;
    enum http_refusal refusal = is_request ? http_head_request_line(reader, line, at)
                                           : http_head_status_line(reader, line, at);
    reader->stage = STAGE_FIELDS;
    return refusal ? refuse(reader, refusal) : ADVANCE_NEXT;
}

static enum advance end_head(struct http_reader *reader) {
    enum http_refusal refusal = http_head_end(reader);
    if (refusal)
        return refuse(reader, refusal);
    reader->body_at = reader->next;
    if (reader->is_chunked || reader->until_close || reader->length) {
        reader->stage = STAGE_BODY_BEGIN;
        return ADVANCE_HEAD;
    }
    reader->stage = STAGE_COMPLETE;
    return ADVANCE_NEXT;
}

static enum advance read_fields(struct http_reader *reader, const uint8_t *message, size_t size) {
    for (;;) {
        size_t at = reader->next;
        struct bytes line;
        if (!take_line(reader, message, size, reader->begin + reader->limits.head_bytes,
                       HTTP_HEAD_TOO_LARGE, &line))
            return reader->stage == STAGE_REFUSED ? ADVANCE_NEXT : ADVANCE_WAIT;
        if (!line.size)
            return end_head(reader);
        enum http_refusal refusal = http_head_field(reader, line, at);
        if (refusal)
            return refuse(reader, refusal);
    }
}

static enum advance begin_body(struct http_reader *reader) {
    if (reader->length > reader->limits.body_bytes)
        return refuse(reader, HTTP_BODY_TOO_LARGE);
    reader->body_left = reader->length;
    reader->stage = reader->is_chunked    ? STAGE_CHUNK_LINE
                    : reader->until_close ? STAGE_CLOSE_BODY
                                          : STAGE_LENGTH_BODY;
    return ADVANCE_NEXT;
}

static enum advance read_length_body(struct http_reader *reader, size_t size) {
    if (size - reader->body_at < reader->length)
        return ADVANCE_WAIT;
    reader->body_size = (size_t)reader->length;
    reader->next = reader->body_at + reader->body_size;
    reader->stage = STAGE_COMPLETE;
    return ADVANCE_NEXT;
}

static enum advance read_close_body(struct http_reader *reader, size_t size) {
    if (size - reader->body_at > reader->limits.body_bytes)
        return refuse(reader, HTTP_BODY_TOO_LARGE);
    reader->body_size = size - reader->body_at;
    reader->next = size;
    return ADVANCE_WAIT;
}

// A body of one-byte chunks costs the reader and the buffer several times its
// size: framing may not outweigh the content by more than a fixed allowance.
static bool framing_is_too_much(struct http_reader *reader, size_t bytes) {
    reader->framing_bytes += bytes;
    return reader->framing_bytes > reader->body_size + FRAMING_FREE_BYTES;
}

static enum advance read_chunk_line(struct http_reader *reader, const uint8_t *message,
                                    size_t size) {
    struct bytes line;
    if (!take_line(reader, message, size, reader->next + CHUNK_LINE_MAX, HTTP_CHUNK_INVALID, &line))
        return reader->stage == STAGE_REFUSED ? ADVANCE_NEXT : ADVANCE_WAIT;
    uint64_t chunk_bytes;
    enum http_refusal refusal = http_chunk_line(line, &chunk_bytes);
    if (refusal)
        return refuse(reader, refusal);
    if (framing_is_too_much(reader, line.size + 2))
        return refuse(reader, HTTP_CHUNKS_TOO_MANY);
    if (chunk_bytes > reader->limits.body_bytes - reader->body_size)
        return refuse(reader, HTTP_BODY_TOO_LARGE);
    reader->body_left = chunk_bytes;
    reader->trailer_at = reader->next;
    reader->stage = chunk_bytes ? STAGE_CHUNK_BYTES : STAGE_TRAILERS;
    return ADVANCE_NEXT;
}

static enum advance read_chunk_bytes(struct http_reader *reader, uint8_t *message, size_t size) {
    size_t have = size - reader->next;
    size_t take = have < reader->body_left ? have : (size_t)reader->body_left;
    if (take)
        memmove(message + reader->body_at + reader->body_size, message + reader->next, take);
    reader->body_size += take;
    reader->next += take;
    reader->body_left -= take;
    if (reader->body_left)
        return ADVANCE_WAIT;
    reader->stage = STAGE_CHUNK_END;
    return ADVANCE_NEXT;
}

static enum advance read_chunk_end(struct http_reader *reader, const uint8_t *message,
                                   size_t size) {
    size_t have = size - reader->next;
    if ((have >= 1 && message[reader->next] != '\r') ||
        (have >= 2 && message[reader->next + 1] != '\n'))
        return refuse(reader, HTTP_CHUNK_INVALID);
    if (have < 2)
        return ADVANCE_WAIT;
    reader->next += 2;
    reader->stage = STAGE_CHUNK_LINE;
    return framing_is_too_much(reader, 2) ? refuse(reader, HTTP_CHUNKS_TOO_MANY) : ADVANCE_NEXT;
}

static enum advance read_trailers(struct http_reader *reader, const uint8_t *message, size_t size) {
    for (;;) {
        struct bytes line;
        if (!take_line(reader, message, size, reader->trailer_at + reader->limits.head_bytes,
                       HTTP_HEAD_TOO_LARGE, &line))
            return reader->stage == STAGE_REFUSED ? ADVANCE_NEXT : ADVANCE_WAIT;
        if (!line.size) {
            reader->stage = STAGE_COMPLETE;
            return ADVANCE_NEXT;
        }
        enum http_refusal refusal = http_head_trailer(line);
        if (refusal)
            return refuse(reader, refusal);
    }
}

static struct bytes view(const uint8_t *message, struct http_span span) {
    return bytes_of(message + span.at, span.size);
}

static void make_request(struct http_reader *reader, const uint8_t *message) {
    struct http_request *request = &reader->request;
    request->target = view(message, reader->target);
    request->path = view(message, reader->path);
    request->query = bytes_from(request->target, reader->path.size + 1);
    request->host = view(message, reader->host);
    request->fields = (struct http_fields){reader->fields, reader->field_count};
    request->body = bytes_of(message + reader->body_at, reader->body_size);
}

static void make_views(struct http_reader *reader, const uint8_t *message) {
    for (size_t i = 0; i < reader->field_count; i++)
        reader->fields[i] = (struct http_header){view(message, reader->names[i]),
                                                 view(message, reader->values[i])};
    if (reader->kind == HTTP_KIND_REQUEST) {
        make_request(reader, message);
        return;
    }
    reader->response.reason = view(message, reader->reason);
    reader->response.fields = (struct http_fields){reader->fields, reader->field_count};
    reader->response.body = bytes_of(message + reader->body_at, reader->body_size);
}

static enum advance read_stage(struct http_reader *reader, uint8_t *message, size_t size) {
    switch ((enum stage)reader->stage) {
    case STAGE_START:
        return read_start(reader, message, size);
    case STAGE_FIELDS:
        return read_fields(reader, message, size);
    case STAGE_BODY_BEGIN:
        return begin_body(reader);
    case STAGE_LENGTH_BODY:
        return read_length_body(reader, size);
    case STAGE_CLOSE_BODY:
        return read_close_body(reader, size);
    case STAGE_CHUNK_LINE:
        return read_chunk_line(reader, message, size);
    case STAGE_CHUNK_BYTES:
        return read_chunk_bytes(reader, message, size);
    case STAGE_CHUNK_END:
        return read_chunk_end(reader, message, size);
    case STAGE_TRAILERS:
        return read_trailers(reader, message, size);
    case STAGE_COMPLETE:
    case STAGE_REFUSED:
        break;
    }
    return ADVANCE_WAIT;
}

enum http_step http_reader_read(struct http_reader *reader, uint8_t *message, size_t size) {
    enum advance advance = ADVANCE_NEXT;
    while (advance == ADVANCE_NEXT && reader->stage != STAGE_COMPLETE &&
           reader->stage != STAGE_REFUSED)
        advance = read_stage(reader, message, size);
    if (reader->stage == STAGE_REFUSED) {
        if (reader->refusal == HTTP_BODY_TOO_LARGE)
            make_views(reader, message);
        return HTTP_STEP_REFUSED;
    }
    if (advance == ADVANCE_WAIT && reader->stage != STAGE_COMPLETE)
        return HTTP_STEP_MORE;
    make_views(reader, message);
    return reader->stage == STAGE_COMPLETE ? HTTP_STEP_COMPLETE : HTTP_STEP_HEAD;
}

enum http_step http_reader_finish(struct http_reader *reader, uint8_t *message, size_t size) {
    enum http_step step = http_reader_read(reader, message, size);
    if (step == HTTP_STEP_HEAD)
        step = http_reader_read(reader, message, size);
    if (step != HTTP_STEP_MORE)
        return step;
    if (reader->stage != STAGE_CLOSE_BODY) {
        refuse(reader, HTTP_MESSAGE_TRUNCATED);
        return HTTP_STEP_REFUSED;
    }
    reader->stage = STAGE_COMPLETE;
    make_views(reader, message);
    return HTTP_STEP_COMPLETE;
}
