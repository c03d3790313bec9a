// SPDX-License-Identifier: Apache-2.0
#include "vaultd/net/http_connection.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vaultd/log/log.h"

// Reading stays on while a request is being answered, so that a peer that goes
// is noticed; HTTP_READ_AHEAD bounds what it may send meanwhile. IN_KEEP: a larger
// input buffer is given back between requests.
enum { IN_KEEP = 16384, LINGER_MS = 1000, TLS_ROOM = 256 << 10, TLS_EVICT = 8 };

// ---- open and close --------------------------------------------------------

static void on_read(struct bufferevent *bev, void *ctx);
static void on_write(struct bufferevent *bev, void *ctx);
static void on_event(struct bufferevent *bev, short what, void *ctx);

// libevent does not survive memory that runs out while it makes a bufferevent. In some
// roles all of it is one locked heap, which a few hundred handshakes fill: who comes
// last is refused while there is still room for those who are here. Those who ask for
// nothing go then; libevent frees them in its next turn, for whoever comes after that.
static bool has_tls_room(struct http_server *server) {
    void *room = OPENSSL_malloc(TLS_ROOM);
    OPENSSL_free(room);
    for (unsigned i = 0; !room && i < TLS_EVICT && server_make_room(server); i++) {
    }
    return room != NULL;
}

// Takes the descriptor, also on failure.
static bool open_tls(struct http_connection *c, evutil_socket_t fd) {
    struct http_server *server = c->server;
    SSL *ssl = server->tls && has_tls_room(server) ? SSL_new(server->tls) : NULL;
    if (ssl) // is libevent's from now on, also on failure
        c->bev = bufferevent_openssl_socket_new(server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                BEV_OPT_CLOSE_ON_FREE);
    if (!c->bev) {
        ERR_clear_error();
        close(fd);
        return false;
    }
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_READ_AHEAD);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    return true;
}

void connection_open(struct http_server *server, evutil_socket_t fd, const struct http_peer *peer,
                     bool with_tls) {
    struct http_connection *c = calloc(1, sizeof *c);
    if (c)
        c->server = server;
    else
        close(fd);
    if (!c || !(with_tls ? open_tls(c, fd) : plain_open(c, fd))) {
        free(c);
        server->counters.connections_refused++;
        return;
    }
    c->state = with_tls ? CONNECTION_HANDSHAKE : CONNECTION_READING;
    c->deadline_ms = server_deadline(server->settings.request_ms);
    c->slow_ms = server_deadline(CONNECTION_SLOW_MS);
    c->peer = *peer;
    c->peer.is_tls = with_tls;
    c->exchange.connection = c;
    buf_init(&c->in, SIZE_MAX / 4); // the reader's limits bound it
    http_reader_init(&c->reader, HTTP_KIND_REQUEST, &server->settings.limits);
    TAILQ_INSERT_TAIL(&server->connections, c, link);
    server->counters.connections++;
    server->counters.connections_now++;
}

void connection_free(struct http_connection *c) {
    X509_free(c->peer.certificate);
    buf_done(&c->in);
    free(c);
}

static void tell_gone(struct http_connection *c) {
    http_release *gone = c->exchange.gone;
    c->exchange.gone = NULL;
    if (gone)
        gone(c->exchange.gone_ctx);
}

static void close_tls(struct http_connection *c) {
    c->peer.server_name = ""; // belonged to the SSL object
    SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
    if (ssl && SSL_is_init_finished(ssl)) {
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN); // say goodbye, do not wait for theirs
        SSL_shutdown(ssl);
    }
    // Freed now and not when libevent finds the time: an answer by reference
    // that waits in the output must give its bytes back (and have them wiped).
    struct evbuffer *output = bufferevent_get_output(c->bev);
    bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    evbuffer_unfreeze(output, 1);
    evbuffer_drain(output, evbuffer_get_length(output));
    bufferevent_free(c->bev);
    c->bev = NULL;
}

void connection_close(struct http_connection *c) {
    if (c->state == CONNECTION_CLOSED)
        return;
    c->state = CONNECTION_CLOSED;
    c->deadline_ms = 0;
    if (c->bev)
        close_tls(c);
    else
        plain_close(&c->plain);
    c->server->counters.connections_now--;
    tell_gone(c);
    if (!c->exchange.is_owed)
        server_connection_is_dead(c->server, c);
}

// ---- one request after the other -------------------------------------------

// Appends what was received; false when there was nothing.
static bool take_input(struct http_connection *c) {
    size_t size = connection_unread(c);
    if (!size)
        return false;
    if (c->in_at) {
        c->in.size -= c->in_at;
        memmove(c->in.at, c->in.at + c->in_at, c->in.size);
        c->in_at = 0;
    }
    uint8_t *room = buf_extend(&c->in, size);
    if (!room) {
        connection_close(c);
        return false;
    }
    if (c->bev)
        evbuffer_remove(bufferevent_get_input(c->bev), room, size);
    else
        plain_take(&c->plain, room);
    return true;
}

static void begin_exchange(struct http_connection *c) {
    c->state = CONNECTION_ANSWERING;
    c->deadline_ms = server_deadline(c->server->settings.answer_ms);
    c->exchange.is_owed = true;
    c->exchange.was_abandoned = false;
    c->exchange.route = NULL;
    c->exchange.begun_ms = log_shows(LOG_LEVEL_DEBUG) ? clock_elapsed_ms() : 0;
}

static void call_handler(struct http_connection *c) {
    struct http_server *server = c->server;
    server->counters.requests++;
    begin_exchange(c);
    c->closes = c->closes || !c->reader.request.keep_alive || server->is_draining;
    server->settings.handler(&c->exchange, server->settings.ctx);
}

// The handler has it although its body is not here: nothing more than READ_AHEAD is taken
// from the peer, and what still comes after the answer is passed over.
static void call_without_body(struct http_connection *c, http_handler *handler) {
    begin_exchange(c);
    c->closes = c->lingers = true;
    handler(&c->exchange, c->server->settings.ctx);
}

// Does the peer wait for our word (RFC 9110 section 10.1.1)?
void connection_invite_body(struct http_connection *c) {
    bool body_has_begun = c->in.size - c->in_at > http_reader_consumed(&c->reader);
    if (!c->reader.request.expects_continue || body_has_begun ||
        c->reader.length > c->reader.limits.body_bytes)
        return;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    evbuffer_add(connection_output(c), go_on, sizeof go_on - 1);
    connection_push(c);
}

// The head says that a body comes: how much of it do we want, and from whom?
static void begin_body(struct http_connection *c) {
    const struct http_server_settings *settings = &c->server->settings;
    const struct http_reader *reader = &c->reader;
    if (settings->body_max)
        http_reader_set_body_max(&c->reader, settings->body_max(&reader->request, settings->ctx));
    bool is_large = reader->is_chunked || reader->length > settings->gate_bytes;
    bool is_refused = reader->length > reader->limits.body_bytes; // by the reader, now
    if (settings->gate && is_large && !is_refused)
        call_without_body(c, settings->gate);
    else
        connection_invite_body(c);
}

// Nothing complete yet: from the first byte the clock runs, however it drips.
static void wait_for_more(struct http_connection *c, bool has_begun) {
    if (c->peer_is_done) {
        connection_close(c);
        return;
    }
    if (has_begun && c->state == CONNECTION_IDLE) {
        c->state = CONNECTION_READING;
        c->deadline_ms = server_deadline(c->server->settings.request_ms);
        c->slow_ms = server_deadline(CONNECTION_SLOW_MS);
    }
}

static void advance_once(struct http_connection *c, bool *ret_again) {
    size_t size = c->in.size - c->in_at;
    enum http_step step =
        size ? http_reader_read(&c->reader, c->in.at + c->in_at, size) : HTTP_STEP_MORE;
    *ret_again = true;
    switch (step) {
    case HTTP_STEP_MORE:
        *ret_again = take_input(c);
        if (!*ret_again && c->state != CONNECTION_CLOSED)
            wait_for_more(c, size > 0);
        return;
    case HTTP_STEP_HEAD:
        begin_body(c);
        return;
    case HTTP_STEP_COMPLETE:
        call_handler(c);
        return;
    case HTTP_STEP_REFUSED: {
        enum http_refusal refusal = http_reader_refusal(&c->reader);
        c->server->counters.requests_refused++;
        if (refusal == HTTP_BODY_TOO_LARGE && c->server->settings.too_large)
            call_without_body(c, c->server->settings.too_large);
        else
            connection_refuse(c, http_refusal_status(refusal), http_refusal_text(refusal));
        return;
    }
    }
}

void connection_advance(struct http_connection *c) {
    if (c->is_advancing)
        return;
    c->is_advancing = true;
    bool again = true;
    while (again && (c->state == CONNECTION_IDLE || c->state == CONNECTION_READING))
        advance_once(c, &again);
    c->is_advancing = false;
}

// What lies there is looked at without the caller's stack: an answer that comes late
// must not run the next handler inside whoever gave it.
void connection_advance_later(struct http_connection *c) {
    if (c->bev)
        bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    else
        plain_call_later(&c->plain);
}

static void become_idle(struct http_connection *c) {
    struct http_server *server = c->server;
    c->in_at += http_reader_consumed(&c->reader);
    if (c->in_at == c->in.size) {
        c->in_at = 0;
        buf_clear(&c->in);
        if (c->in.capacity > IN_KEEP)
            buf_done(&c->in);
    }
    http_reader_reset(&c->reader, &server->settings.limits);
    c->state = CONNECTION_IDLE;
    c->deadline_ms = server_deadline(server->settings.idle_ms);
    TAILQ_REMOVE(&server->connections, c, link);
    TAILQ_INSERT_TAIL(&server->connections, c, link);
    if (!c->is_advancing && (c->in.size || c->peer_is_done || connection_unread(c)))
        connection_advance_later(c);
}

static void drop_input(struct http_connection *c) {
    if (!c->bev) {
        plain_drop(&c->plain);
        return;
    }
    struct evbuffer *input = bufferevent_get_input(c->bev);
    evbuffer_drain(input, evbuffer_get_length(input));
}

// Closing while the peer still sends makes its kernel throw away our answer
// (RFC 9112 section 9.6): close our half, read on for a moment.
static void begin_linger(struct http_connection *c) {
    if (c->bev)
        SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
    shutdown(connection_fd(c), SHUT_WR);
    c->state = CONNECTION_LINGERING;
    c->deadline_ms = server_deadline(LINGER_MS);
    drop_input(c);
}

static void flushed(struct http_connection *c) {
    if (!c->closes)
        become_idle(c);
    else if (c->lingers && !c->peer_is_done)
        begin_linger(c);
    else
        connection_close(c);
}

void connection_answered(struct http_connection *c) {
    if (evbuffer_get_length(connection_output(c)) == 0) {
        flushed(c);
        return;
    }
    c->state = CONNECTION_FLUSHING;
    c->deadline_ms = server_deadline(c->server->settings.write_ms);
}

// ---- what its bytes tell ---------------------------------------------------

void connection_arrived(struct http_connection *c) {
    if (c->state == CONNECTION_LINGERING)
        drop_input(c);
    else
        connection_advance(c);
}

void connection_flushed(struct http_connection *c) {
    if (evbuffer_get_length(connection_output(c)) > 0)
        return;
    if (c->state == CONNECTION_FLUSHING)
        flushed(c);
    else if (c->state == CONNECTION_STREAMING)
        c->deadline_ms = 0;
}

static void on_read(struct bufferevent *bev, void *ctx) { connection_arrived(ctx); }
static void on_write(struct bufferevent *bev, void *ctx) { connection_flushed(ctx); }

static void handshake_done(struct http_connection *c) {
    SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
    c->state = CONNECTION_READING;
    c->slow_ms = server_deadline(CONNECTION_SLOW_MS);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    c->peer.server_name = name ? name : "";
    c->peer.certificate = SSL_get1_peer_certificate(ssl);
    unsigned size = sizeof c->peer.thumbprint;
    c->peer.has_certificate = c->peer.certificate && X509_digest(c->peer.certificate, EVP_sha256(),
                                                                 c->peer.thumbprint, &size) == 1;
}

// End of file may be half a close: who asked and said "that is all" still gets
// the answer. A stream has nobody left to read it, though.
static void peer_sent_all(struct http_connection *c) {
    c->peer_is_done = true;
    switch (c->state) {
    case CONNECTION_ANSWERING:
    case CONNECTION_FLUSHING:
        if (c->bev) // libevent has stopped writing, too
            bufferevent_enable(c->bev, EV_WRITE);
        return;
    case CONNECTION_IDLE:
    case CONNECTION_READING:
        connection_advance(c);
        if (c->state == CONNECTION_IDLE || c->state == CONNECTION_READING)
            connection_close(c);
        return;
    case CONNECTION_HANDSHAKE:
    case CONNECTION_STREAMING:
    case CONNECTION_LINGERING:
    case CONNECTION_CLOSED:
        connection_close(c);
    }
}

void connection_ended(struct http_connection *c, bool is_error) {
    if (is_error)
        connection_close(c);
    else
        peer_sent_all(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx) {
    struct http_connection *c = ctx;
    if (what & BEV_EVENT_CONNECTED) {
        handshake_done(c);
        return;
    }
    if (c->state == CONNECTION_HANDSHAKE) {
        c->server->counters.tls_failures++;
        connection_log_no_tls(c);
    }
    connection_ended(c, what & BEV_EVENT_ERROR || !(what & BEV_EVENT_EOF));
}

void connection_expire(struct http_connection *c) {
    struct http_server *server = c->server;
    c->deadline_ms = 0;
    if (c->state != CONNECTION_IDLE && c->state != CONNECTION_LINGERING)
        server->counters.timeouts++;
    if (c->state == CONNECTION_READING && c->in.size > c->in_at) {
        connection_refuse(c, 408, "the request took too long to arrive");
    } else if (c->state == CONNECTION_ANSWERING) {
        c->exchange.was_abandoned = true;
        connection_refuse(c, 503, "the answer takes too long; try again");
    } else {
        connection_close(c);
    }
}
