// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 server of the roles that listen (broker, admin, redeemer): one
// libevent loop, one thread, TLS 1.3 through bufferevents, or plain sockets.
//
// What keeps a peer from hurting us: one request of a connection at a time
// (pipelined ones wait in order), a deadline for the whole request however it
// drips, for idle connections, for taking our answer and for our own answer;
// limits on heads, bodies and connections; when connections run out, the
// longest idle one makes room, or one whose handshake or request is not whole after a
// second. A refused request is answered and the connection closed.
//
// All calls on the loop's thread. Ignores SIGPIPE for the process.
#ifndef VLT_NET_HTTP_SERVER_H
#define VLT_NET_HTTP_SERVER_H

#include <sys/types.h>

#include "libvault/base/fault.h"
#include "libvault/http/http.h"
#include "libvault/http/http_problem.h"

struct event_base;
struct ssl_ctx_st;
struct x509_st;
struct http_server;
struct http_exchange; // one request and its answer

// Called when a request is complete. Must lead to exactly one reply (or one
// stream), now or later from the loop.
typedef void http_handler(struct http_exchange *x, void *ctx);
// Asked when a head is complete and a body follows: the limit for this request.
typedef uint64_t http_body_max(const struct http_request *head, void *ctx);
typedef void http_release(void *ctx);

struct http_server_settings {
    struct http_limits limits;  // http_limits_default
    unsigned connections_max;
    unsigned request_ms;        // from the first byte (first request: from accept) to the last
    unsigned idle_ms;           // between requests
    unsigned write_ms;          // from a reply until the peer has taken it
    unsigned answer_ms;         // from request to reply; then 503. 0: no limit
    http_handler *handler;
    http_body_max *body_max;    // NULL: limits.body_bytes for all
    // Who sends a body of more than gate_bytes, or one of unknown size, must pass the
    // gate: it sees the head and calls http_exchange_read_body or replies, now or later.
    // NULL: everybody passes.
    http_handler *gate;
    uint64_t gate_bytes;
    // In place of the handler for a request whose body is too large: its head is there, a
    // body is not. NULL: the server refuses with http_exchange_reply_too_large. The
    // connection closes after the reply.
    http_handler *too_large;
    void *ctx;                  // of handler, body_max, gate and too_large
    struct ssl_ctx_st *tls;     // NULL: plain. The server takes its own reference
};
// 1024 connections, 10 s, 60 s, 30 s, 30 s, no handler, plain.
extern const struct http_server_settings http_server_settings_default;

struct http_server_counters {
    uint64_t connections;         // accepted since start
    uint64_t connections_now;
    uint64_t connections_refused; // at the maximum and none to make room, or no memory
    uint64_t requests;            // given to the handler
    uint64_t requests_refused;    // answered by the codec with an error
    uint64_t timeouts;            // connections closed by a deadline
    uint64_t tls_failures;        // handshakes
};

// NULL when out of memory.
struct http_server *http_server_new(struct event_base *base,
                                    const struct http_server_settings *settings);
// Closes listeners and connections at once. Exchanges whose reply is still owed
// stay valid until it comes; it is dropped then. Not from inside a handler.
void http_server_free(struct http_server *server);
// Takes the descriptor (closed by the server): bound, listening, stream, TCP or
// unix. `with_tls` false on a TLS server is for its unix sockets.
vlt_result http_server_listen_fd(struct http_server *server, int fd, bool with_tls,
                                 struct fault *fault) VLT_MUST_USE;
// New connections use this context; open ones keep theirs. Takes a reference.
void http_server_set_tls(struct http_server *server, struct ssl_ctx_st *tls);
// No more accepting; idle connections close, others after their answer in
// flight. `drained` runs once from the loop when the last one is gone (at once
// from the loop when there is none).
void http_server_drain(struct http_server *server, http_release *drained, void *ctx);
void http_server_counters(const struct http_server *server, struct http_server_counters *ret);

struct http_peer {
    bool is_unix;
    uid_t uid; // unix only: SO_PEERCRED, of the moment when the peer connected
    gid_t gid;
    pid_t pid;
    char address[64];        // "192.0.2.1", "2001:db8::1" or "unix"
    uint16_t port;           // 0 for unix
    bool is_tls;
    bool has_certificate;    // TLS: the peer proved that it holds the key of a certificate
    uint8_t thumbprint[32];  // SHA-256 of that certificate (RFC 8705)
    struct x509_st *certificate; // borrowed; NULL when there is none
    const char *server_name; // SNI or ""
};

// Views of a request are valid until the reply (stream: until its end).
const struct http_request *http_exchange_request(const struct http_exchange *x);
const struct http_peer *http_exchange_peer(const struct http_exchange *x);
// The peer has closed, as far as is known: a reply is still due and is dropped.
bool http_exchange_peer_is_gone(const struct http_exchange *x);

// What the log calls its path: a static text, such as the path of a route; NULL: none.
// What a client sends as a path may hold a token by mistake.
void http_exchange_set_route(struct http_exchange *x, const char *route);

// From a gate only: the body may come. The handler is called when it is there.
void http_exchange_read_body(struct http_exchange *x);

// Ends the exchange: x must not be used any more. Body and headers are copied.
void http_exchange_reply(struct http_exchange *x, unsigned status,
                         const struct http_header *headers, size_t header_count,
                         struct bytes body);
// The same for bytes that must not be copied into ordinary memory: `body` stays
// the caller's until release(ctx), called exactly once, when the last byte was
// handed to the kernel or to TLS, or when the answer was dropped.
void http_exchange_reply_secret(struct http_exchange *x, unsigned status,
                                const struct http_header *headers, size_t header_count,
                                const void *body, size_t body_bytes, http_release *release,
                                void *ctx);
// Content-Type and Cache-Control: no-store.
void http_exchange_reply_typed(struct http_exchange *x, unsigned status, const char *media_type,
                               struct bytes body);
void http_exchange_reply_problem(struct http_exchange *x, const struct http_problem *problem);
void http_exchange_reply_too_large(struct http_exchange *x); // 413, as a problem
// At most 8 headers beside its own.
void http_exchange_reply_oauth_error(struct http_exchange *x, unsigned status, const char *error,
                                     const char *description,
                                     const struct http_header *headers, size_t header_count);

// Stands between an answer and its leaving, for who must do something first with each
// refusal. Set by a handler or before it, for one exchange.
struct http_review {
    // In place of a reply of status 400 and more. Ends x with http_exchange_reply, now or
    // later, with this answer or another; that one is not reviewed. The views end with
    // the call.
    void (*refused)(struct http_exchange *x, unsigned status, const struct http_header *headers,
                    size_t header_count, struct bytes body, void *ctx);
    http_release *passed; // another answer leaves now: the context is not needed any more
};
void http_exchange_set_review(struct http_exchange *x, const struct http_review *review, void *ctx);
// The context that was set with this review; NULL: none was, or it has ended.
void *http_exchange_review_context(const struct http_exchange *x, const struct http_review *review);

// A long answer in chunks. begin ends neither x nor its request views. `gone`
// (may be NULL) is called once when the peer goes before the end; the caller
// still has to call end. VLT_UNAVAILABLE: the peer is gone. VLT_LIMIT: it does
// not read; more than 1 MiB waits and the connection was cut. When begin fails
// the exchange is still owed its reply or its end.
vlt_result http_exchange_stream_begin(struct http_exchange *x, unsigned status,
                                      const struct http_header *headers, size_t header_count,
                                      http_release *gone, void *ctx) VLT_MUST_USE;
vlt_result http_exchange_stream_chunk(struct http_exchange *x, struct bytes chunk) VLT_MUST_USE;
void http_exchange_stream_end(struct http_exchange *x);

#endif
