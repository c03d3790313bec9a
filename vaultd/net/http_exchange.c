// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "vaultd/net/http_connection.h"

enum { STREAM_WAITING_MAX = 1 << 20, PROBLEM_MAX = 16384 };

const struct http_request *http_exchange_request(const struct http_exchange *x) {
    return &x->connection->reader.request;
}

const struct http_peer *http_exchange_peer(const struct http_exchange *x) {
    return &x->connection->peer;
}

bool http_exchange_peer_is_gone(const struct http_exchange *x) {
    return x->connection->peer_is_done || x->connection->state == CONNECTION_CLOSED;
}

// ---- bytes out -------------------------------------------------------------

// A body that goes out: copied, or lent until `release`.
struct payload {
    const uint8_t *at;
    size_t size;
    http_release *release; // NULL: copied
    void *ctx;
};

struct loan {
    http_release *release;
    void *ctx;
};

static void payload_release(const struct payload *payload) {
    if (payload->release)
        payload->release(payload->ctx);
}

static void on_loan_back(const void *at, size_t size, void *ctx) {
    struct loan *loan = ctx;
    loan->release(loan->ctx);
    free(loan);
}

// Puts the payload into the output; when that fails it is released already.
static bool queue_payload(struct evbuffer *output, const struct payload *payload) {
    if (!payload->release)
        return !payload->size || evbuffer_add(output, payload->at, payload->size) == 0;
    struct loan *loan = payload->size ? malloc(sizeof *loan) : NULL;
    if (loan)
        *loan = (struct loan){payload->release, payload->ctx};
    if (loan && evbuffer_add_reference(output, payload->at, payload->size, on_loan_back, loan) == 0)
        return true;
    free(loan);
    payload_release(payload);
    return payload->size == 0;
}

// All of it in one TLS record, or nothing. When the socket does not take the record
// OpenSSL keeps it and wants to be given the same bytes again, in one piece
// (SSL_write(3)); that is how send_message leaves them to libevent, which writes
// again when it can. Lent bytes may not be copied and go by libevent.
static ssize_t send_record(struct http_connection *c, const struct payload *payload) {
    struct buf *out = &c->server->head;
    if (payload->release || out->size + payload->size > SSL3_RT_MAX_PLAIN_LENGTH)
        return 0;
    buf_put(out, bytes_of(payload->at, payload->size));
    if (buf_failed(out))
        return 0;
    SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
    ERR_clear_error();
    int sent = SSL_write(ssl, out->at, (int)out->size);
    if (sent > 0)
        return sent;
    return SSL_get_error(ssl, sent) == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t send_plain(struct http_connection *c, const struct payload *payload) {
    struct bytes head = buf_bytes(&c->server->head);
    // sendmsg does not write to what iov_base points to.
    struct iovec parts[2] = {{(void *)(uintptr_t)head.at, head.size},
                             {(void *)(uintptr_t)payload->at, payload->size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = payload->size ? 2 : 1};
    ssize_t sent = sendmsg(c->plain.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    return sent;
}

// How much of head and payload the socket takes at once. With nothing waiting this
// saves arming and disarming its write event, and lent bytes go to the kernel
// straight from where they lie. -1: the peer is gone.
static ssize_t send_at_once(struct http_connection *c, const struct payload *payload) {
    if (evbuffer_get_length(connection_output(c)) > 0)
        return 0;
    return c->peer.is_tls ? send_record(c, payload) : send_plain(c, payload);
}

// Sends or queues the head in the server's scratch buffer and the payload. Closes
// the connection when it can not; the payload is released in every case.
static void send_message(struct http_connection *c, const struct payload *payload) {
    const struct buf *scratch = &c->server->head;
    size_t head_bytes = scratch->size;
    ssize_t sent = send_at_once(c, payload);
    if (sent < 0) {
        payload_release(payload);
        connection_close(c);
        return;
    }
    if ((size_t)sent == head_bytes + payload->size) {
        payload_release(payload);
        return;
    }
    struct bytes head_left = bytes_from(bytes_of(scratch->at, head_bytes), (size_t)sent);
    size_t skip = (size_t)sent > head_bytes ? (size_t)sent - head_bytes : 0;
    struct payload left = *payload;
    if (skip)
        left = (struct payload){payload->at + skip, payload->size - skip, payload->release,
                                payload->ctx};
    struct evbuffer *output = connection_output(c);
    // One piece of memory becomes one TLS record and one packet.
    if (!left.release)
        evbuffer_expand(output, head_left.size + left.size);
    bool queued = !head_left.size || evbuffer_add(output, head_left.at, head_left.size) == 0;
    if (!queued)
        payload_release(&left);
    else
        queued = queue_payload(output, &left);
    if (queued)
        connection_push(c);
    else
        connection_close(c);
}

static bool status_has_no_body(unsigned status) {
    return status / 100 == 1 || status == 204 || status == 304;
}

// The head into the server's scratch buffer; an answer that can not be written
// is our bug and becomes an empty 500.
static bool write_head(struct http_connection *c, const struct http_head *wanted) {
    struct buf *out = &c->server->head;
    struct http_head head = *wanted;
    head.date = c->server->date;
    head.close = c->closes;
    buf_clear(out);
    bool is_written = vlt_is_ok(http_write_response_head(&head, out));
    if (!is_written) {
        buf_clear(out);
        head = (struct http_head){.status = 500, .date = c->server->date, .close = true};
        c->closes = true;
        if (!vlt_is_ok(http_write_response_head(&head, out)))
            buf_clear(out);
    }
    return is_written;
}

static void answer(struct http_connection *c, unsigned status, const struct http_header *headers,
                   size_t header_count, struct payload *payload) {
    struct http_head wanted = {
        .status = status,
        .headers = headers,
        .header_count = header_count,
        .framing = status_has_no_body(status) ? HTTP_BODY_NONE : HTTP_BODY_LENGTH,
        .body_bytes = payload->size};
    connection_log_answer(c, status, headers, header_count);
    c->closes = c->closes || c->peer_is_done;
    bool has_body = write_head(c, &wanted) && wanted.framing == HTTP_BODY_LENGTH &&
                    c->reader.request.method != HTTP_HEAD;
    if (!has_body)
        payload->size = 0;
    send_message(c, payload);
    if (c->state != CONNECTION_CLOSED)
        connection_answered(c);
}

// ---- replies ---------------------------------------------------------------

// The handler has let go. True when its answer has somewhere to go; else the
// exchange may be gone after this call.
static bool take_back(struct http_exchange *x) {
    struct http_connection *c = x->connection;
    x->is_owed = false;
    if (c->state == CONNECTION_ANSWERING)
        return true;
    if (c->state != CONNECTION_CLOSED)
        return false; // answered with 503 meanwhile
    if (c->server)
        server_connection_is_dead(c->server, c);
    else
        connection_free(c);
    return false;
}

void http_exchange_read_body(struct http_exchange *x) {
    struct http_connection *c = x->connection;
    if (!take_back(x))
        return;
    c->closes = c->lingers = false;
    c->state = CONNECTION_READING;
    c->deadline_ms = server_deadline(c->server->settings.request_ms);
    connection_invite_body(c);
    if (!c->is_advancing)
        connection_advance_later(c);
}

void http_exchange_set_route(struct http_exchange *x, const char *route) { x->route = route; }

void http_exchange_set_review(struct http_exchange *x, const struct http_review *review,
                              void *ctx) {
    x->review = review;
    x->review_ctx = ctx;
}

void *http_exchange_review_context(const struct http_exchange *x,
                                   const struct http_review *review) {
    return x->review == review ? x->review_ctx : NULL;
}

// True: the reviewer has the answer.
static bool is_reviewed(struct http_exchange *x, unsigned status,
                        const struct http_header *headers, size_t header_count,
                        const struct payload *payload) {
    const struct http_review *review = x->review;
    x->review = NULL;
    if (status < 400 || payload->release) {
        review->passed(x->review_ctx);
        return false;
    }
    review->refused(x, status, headers, header_count, bytes_of(payload->at, payload->size),
                    x->review_ctx);
    return true;
}

void http_exchange_reply_secret(struct http_exchange *x, unsigned status,
                                const struct http_header *headers, size_t header_count,
                                const void *body, size_t body_bytes, http_release *release,
                                void *ctx) {
    struct payload payload = {body, body_bytes, release, ctx};
    struct http_connection *c = x->connection;
    if (x->review && is_reviewed(x, status, headers, header_count, &payload))
        return;
    if (take_back(x))
        answer(c, status, headers, header_count, &payload);
    else
        payload_release(&payload);
}

void http_exchange_reply(struct http_exchange *x, unsigned status,
                         const struct http_header *headers, size_t header_count,
                         struct bytes body) {
    http_exchange_reply_secret(x, status, headers, header_count, body.at, body.size, NULL, NULL);
}

void http_exchange_reply_typed(struct http_exchange *x, unsigned status, const char *media_type,
                               struct bytes body) {
    const struct http_header headers[] = {
        HTTP_HEADER("Content-Type", bytes_of_text(media_type)),
        HTTP_HEADER("Cache-Control", BYTES_LITERAL("no-store"))};
    http_exchange_reply(x, status, headers, 2, body);
}

void http_exchange_reply_problem(struct http_exchange *x, const struct http_problem *problem) {
    struct buf body;
    buf_init(&body, PROBLEM_MAX);
    http_problem_write(problem, &body);
    struct bytes text = buf_failed(&body) ? bytes_of(NULL, 0) : buf_bytes(&body);
    http_exchange_reply_typed(x, problem->status, HTTP_PROBLEM_MEDIA, text);
    buf_done(&body);
}

void http_exchange_reply_too_large(struct http_exchange *x) {
    const struct http_problem problem = {.status = http_refusal_status(HTTP_BODY_TOO_LARGE),
                                         .detail = http_refusal_text(HTTP_BODY_TOO_LARGE)};
    http_exchange_reply_problem(x, &problem);
}

void http_exchange_reply_oauth_error(struct http_exchange *x, unsigned status, const char *error,
                                     const char *description,
                                     const struct http_header *headers, size_t header_count) {
    enum { MORE_MAX = 8 };
    struct http_header all[MORE_MAX + 2] = {
        HTTP_HEADER("Content-Type", BYTES_LITERAL(HTTP_JSON_MEDIA)),
        HTTP_HEADER("Cache-Control", BYTES_LITERAL("no-store"))};
    assert(header_count <= MORE_MAX);
    if (header_count)
        memcpy(all + 2, headers, header_count * sizeof *all);
    struct buf body;
    buf_init(&body, PROBLEM_MAX);
    http_oauth_error_write(error, description, &body);
    struct bytes text = buf_failed(&body) ? bytes_of(NULL, 0) : buf_bytes(&body);
    http_exchange_reply(x, status, all, header_count + 2, text);
    buf_done(&body);
}

void connection_refuse(struct http_connection *c, unsigned status, const char *detail) {
    const struct http_problem problem = {.status = status, .detail = detail};
    const struct http_header headers[] = {
        HTTP_HEADER("Content-Type", BYTES_LITERAL(HTTP_PROBLEM_MEDIA)),
        HTTP_HEADER("Cache-Control", BYTES_LITERAL("no-store"))};
    struct buf body;
    buf_init(&body, PROBLEM_MAX);
    http_problem_write(&problem, &body);
    struct payload payload = {.at = body.at, .size = buf_failed(&body) ? 0 : body.size};
    c->closes = c->lingers = true;
    answer(c, status, headers, 2, &payload);
    buf_done(&body);
}

// ---- streams ---------------------------------------------------------------

vlt_result http_exchange_stream_begin(struct http_exchange *x, unsigned status,
                                      const struct http_header *headers, size_t header_count,
                                      http_release *gone, void *ctx) {
    struct http_connection *c = x->connection;
    if (c->state != CONNECTION_ANSWERING || c->peer_is_done)
        return vlt_fail(VLT_UNAVAILABLE, "the peer is gone");
    const struct http_head wanted = {.status = status, .headers = headers,
                                     .header_count = header_count, .framing = HTTP_BODY_CHUNKED};
    if (!write_head(c, &wanted))
        return vlt_fail(VLT_BUG, "a header to be written is not one valid field");
    connection_log_answer(c, status, headers, header_count);
    c->state = CONNECTION_STREAMING;
    send_message(c, &(struct payload){0});
    if (c->state == CONNECTION_CLOSED)
        return vlt_fail(VLT_UNAVAILABLE, "the peer is gone");
    bool waits = evbuffer_get_length(connection_output(c)) > 0;
    c->deadline_ms = waits ? server_deadline(c->server->settings.write_ms) : 0;
    x->gone = gone;
    x->gone_ctx = ctx;
    return vlt_ok();
}

vlt_result http_exchange_stream_chunk(struct http_exchange *x, struct bytes chunk) {
    struct http_connection *c = x->connection;
    if (c->state != CONNECTION_STREAMING)
        return vlt_fail(VLT_UNAVAILABLE, "the peer is gone");
    if (!chunk.size) // a chunk of size zero would end the stream
        return vlt_ok();
    struct evbuffer *output = connection_output(c);
    if (evbuffer_get_length(output) + chunk.size > STREAM_WAITING_MAX) {
        x->gone = NULL;
        connection_close(c);
        return vlt_fail(VLT_LIMIT, "the peer does not read its stream");
    }
    char size_line[20];
    size_t size_bytes = http_write_chunk_size(chunk.size, size_line);
    evbuffer_expand(output, size_bytes + chunk.size + 2);
    if (evbuffer_add(output, size_line, size_bytes) != 0 ||
        evbuffer_add(output, chunk.at, chunk.size) != 0 || evbuffer_add(output, "\r\n", 2) != 0) {
        x->gone = NULL;
        connection_close(c);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    connection_push(c);
    if (!c->deadline_ms)
        c->deadline_ms = server_deadline(c->server->settings.write_ms);
    return vlt_ok();
}

void http_exchange_stream_end(struct http_exchange *x) {
    struct http_connection *c = x->connection;
    x->gone = NULL;
    if (c->state == CONNECTION_STREAMING) {
        x->is_owed = false;
        evbuffer_add(connection_output(c), "0\r\n\r\n", 5);
        connection_push(c);
        connection_answered(c);
        return;
    }
    if (take_back(x)) // begin had failed and nothing was said
        connection_refuse(c, 500, NULL);
}
