// SPDX-License-Identifier: Apache-2.0
// One request of the program, on its way to the forwarder and back. The head is
// read strictly and written anew; bodies pass as they come. The connection ends
// with the answer, on both sides, so that nothing else can follow in it.
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/bind_members.h"
#include "libvault/http/http_media.h"
#include "libvault/http/http_write.h"

#define HEAD_MAX_BYTES 65536
#define PIECE_BYTES 16384
#define HEAD_WAIT_MS 30000
#define IDLE_MS 600000 // between pieces: a model may think for long
#define CONNECT_MS 10000L

struct relay {
    struct bind *bind;
    int client;
    uint8_t *in; // the request as it came
    size_t in_size;
    struct http_reader reader;
    const struct http_request *request;
    bool is_chunked, has_length;
    uint64_t length;
    size_t body_at;     // of what came with the head
    uint64_t body_left; // still to be read from the client; UINT64_MAX: chunked, to its end
    CURL *upstream;
    curl_socket_t upstream_fd;
};

static bool socket_wait(int fd, short what, int wait_ms) {
    struct pollfd poller = {.fd = fd, .events = what};
    int ready;
    do
        ready = poll(&poller, 1, wait_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static bool client_send(int client, const uint8_t *at, size_t size) {
    while (size) {
        ssize_t sent = send(client, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

// In the shape that SDKs turn into their own exceptions.
static void error_send(const struct relay *relay, unsigned status, const char *code,
                       const char *message) {
    char body[512], text[768];
    int body_bytes = snprintf(
        body, sizeof body,
        "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\",\"code\":\"%s\"}}",
        status == 401 ? "authentication_error" : "api_error", message, code);
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                        "x-should-retry: false\r\nConnection: close\r\n\r\n%s",
                        status, http_status_text(status), body_bytes, body);
    client_send(relay->client, (const uint8_t *)text, (size_t)size);
}

// ---- The request ----

static bool head_read(struct relay *relay) {
    const struct http_limits limits = {.line_bytes = 16384, .head_bytes = 32768,
                                       .header_count = HTTP_HEADERS_MAX, .body_bytes = INT64_MAX};
    http_reader_init(&relay->reader, HTTP_KIND_REQUEST, &limits);
    for (;;) {
        ssize_t got = socket_wait(relay->client, POLLIN, HEAD_WAIT_MS)
                          ? recv(relay->client, relay->in + relay->in_size,
                                 HEAD_MAX_BYTES - relay->in_size, 0)
                          : -1;
        if (got <= 0)
            return false;
        relay->in_size += (size_t)got;
        enum http_step step = http_reader_read(&relay->reader, relay->in, relay->in_size);
        if (step == HTTP_STEP_HEAD || step == HTTP_STEP_COMPLETE) {
            relay->request = &relay->reader.request;
            return true;
        }
        if (step == HTTP_STEP_REFUSED || relay->in_size == HEAD_MAX_BYTES) {
            error_send(relay, 400, "invalid_request",
                       "the request is not HTTP as it is understood here");
            return false;
        }
    }
}

// The codec has let through `chunked` alone, or one length of digits.
static void framing_read(struct relay *relay) {
    struct bytes value;
    char digits[24];
    relay->is_chunked = http_header_find(&relay->request->fields, "transfer-encoding", &value) > 0;
    relay->has_length = http_header_find(&relay->request->fields, "content-length", &value) > 0 &&
                        bytes_to_text(value, digits, sizeof digits);
    relay->length = relay->has_length ? strtoull(digits, NULL, 10) : 0;
}

// Where the body begins in what was read, and how much of it is still to come.
static void body_measure(struct relay *relay) {
    const struct http_request *request = relay->request;
    struct bytes rest = bytes_from(bytes_of(relay->in, relay->in_size),
                                   (size_t)(request->target.at - relay->in));
    const uint8_t *end = memmem(rest.at, rest.size, "\r\n\r\n", 4);
    relay->body_at = (size_t)(end - relay->in) + 4;
    size_t here = relay->in_size - relay->body_at;
    framing_read(relay);
    if (relay->is_chunked) {
        relay->body_left = UINT64_MAX;
    } else {
        if (here > relay->length)
            relay->in_size =
                relay->body_at + (size_t)relay->length; // what follows is no part of it
        relay->body_left = relay->length > here ? relay->length - here : 0;
    }
}

// ---- Who is it ----

static bool is_carrier(const struct relay *relay, struct bytes name) {
    static const char *const known[] = {"authorization", "x-api-key", "api-key", "x-goog-api-key",
                                        NULL};
    const struct profile *profile = relay->bind->settings.profile;
    for (size_t i = 0; known[i]; i++)
        if (bytes_equal_nocase(name, bytes_of_text(known[i])))
            return true;
    for (size_t i = 0; i < profile_carrier_count(profile); i++) {
        struct profile_carrier carrier = profile_carrier_at(profile, i);
        if (carrier.in == PROFILE_HEADER && bytes_equal_nocase(name, bytes_of_text(carrier.name)))
            return true;
    }
    return false;
}

static bool is_secret(const struct relay *relay, struct bytes value) {
    struct bytes scheme, token;
    if (vlt_is_ok(http_authorization_parse(value, &scheme, &token)))
        value = token;
    return secret_equal(value, bytes_of_text(relay->bind->secret));
}

static bool is_ours(const struct relay *relay) {
    const struct http_fields *fields = &relay->request->fields;
    bool found = false;
    for (size_t i = 0; i < fields->count; i++)
        found |= is_carrier(relay, fields->at[i].name) && is_secret(relay, fields->at[i].value);
    return found;
}

// ---- Sending it on ----

static bool is_hop(struct bytes name) {
    static const char *const names[] = {"host",
                                        "content-length",
                                        "transfer-encoding",
                                        "connection",
                                        "keep-alive",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "expect",
                                        "proxy-connection",
                                        "proxy-authorization",
                                        "dpop",
                                        "date",
                                        NULL};
    for (size_t i = 0; names[i]; i++)
        if (bytes_equal_nocase(name, bytes_of_text(names[i])))
            return true;
    return false;
}

static bool head_write(const struct relay *relay, struct buf *out) {
    const struct http_request *request = relay->request;
    struct http_header headers[HTTP_HEADERS_MAX + 2];
    struct buf authorization, proof;
    size_t count = 0;
    buf_init(&authorization, 16384);
    buf_init(&proof, 8192);
    buf_put_text(&authorization, "DPoP ");
    bool is_written = bind_authorize(relay->bind, http_method_text(request->method),
                                     request->target, &authorization, &proof) == EXIT_OK;
    for (size_t i = 0; i < request->fields.count; i++)
        if (!is_hop(request->fields.at[i].name) && !is_carrier(relay, request->fields.at[i].name))
            headers[count++] = request->fields.at[i];
    headers[count++] = HTTP_HEADER("Authorization", buf_bytes(&authorization));
    headers[count++] = HTTP_HEADER("DPoP", buf_bytes(&proof));
    const struct http_head head = {
        .headers = headers,
        .header_count = count,
        .framing = relay->is_chunked   ? HTTP_BODY_CHUNKED
                   : relay->has_length ? HTTP_BODY_LENGTH
                                       : HTTP_BODY_NONE,
        .body_bytes = relay->length,
        .close = true,
    };
    is_written = is_written &&
                 vlt_is_ok(http_write_request_head(request->method, request->target,
                                                   bytes_of_text(relay->bind->host), &head, out));
    secret_cleanse(authorization.at, authorization.size);
    buf_done(&authorization);
    buf_done(&proof);
    return is_written && !buf_failed(out);
}

static bool upstream_open(struct relay *relay) {
    relay->upstream = curl_easy_init();
    if (!relay->upstream)
        return false;
    curl_easy_setopt(relay->upstream, CURLOPT_URL, relay->bind->origin);
    curl_easy_setopt(relay->upstream, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(relay->upstream, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(relay->upstream, CURLOPT_PROXY, "");
    curl_easy_setopt(relay->upstream, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(relay->upstream, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(relay->upstream, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(relay->upstream, CURLOPT_SSL_ENABLE_ALPN, 0L);
    if (relay->bind->settings.ca_file)
        curl_easy_setopt(relay->upstream, CURLOPT_CAINFO, relay->bind->settings.ca_file);
    return curl_easy_perform(relay->upstream) == CURLE_OK &&
           curl_easy_getinfo(relay->upstream, CURLINFO_ACTIVESOCKET, &relay->upstream_fd) ==
               CURLE_OK;
}

static bool upstream_send(struct relay *relay, const uint8_t *at, size_t size) {
    while (size) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(relay->upstream, at, size, &sent);
        if (code == CURLE_AGAIN) {
            if (!socket_wait(relay->upstream_fd, POLLOUT, IDLE_MS))
                return false;
            continue;
        }
        if (code != CURLE_OK)
            return false;
        at += sent;
        size -= sent;
    }
    return true;
}

// ---- Bodies ----

// A piece of the program's body. false: it is gone.
static bool request_piece(struct relay *relay, uint8_t *piece) {
    size_t want = relay->body_left < PIECE_BYTES ? (size_t)relay->body_left : PIECE_BYTES;
    if (!want) // it should be silent now: bytes belong to no request, an end is an end
        return recv(relay->client, piece, PIECE_BYTES, MSG_PEEK) > 0;
    ssize_t got = recv(relay->client, piece, want, 0);
    if (got <= 0 || !upstream_send(relay, piece, (size_t)got))
        return false;
    if (relay->body_left != UINT64_MAX)
        relay->body_left -= (uint64_t)got;
    return true;
}

// Everything that has come of the answer. false: it has ended.
static bool answer_pieces(struct relay *relay, uint8_t *piece, bool *ret_any) {
    for (;;) {
        size_t got = 0;
        CURLcode code = curl_easy_recv(relay->upstream, piece, PIECE_BYTES, &got);
        if (code == CURLE_AGAIN)
            return true;
        if (code != CURLE_OK || !got)
            return false;
        *ret_any = true;
        if (!client_send(relay->client, piece, got))
            return false;
    }
}

static void bodies_pump(struct relay *relay) {
    uint8_t *piece = malloc(PIECE_BYTES);
    bool has_answer = false, is_silent = false;
    while (piece && answer_pieces(relay, piece, &has_answer)) {
        struct pollfd polled[2] = {{.fd = relay->upstream_fd, .events = POLLIN},
                                   {.fd = is_silent ? -1 : relay->client, .events = POLLIN}};
        int ready = poll(polled, 2, IDLE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            break;
        if (polled[1].revents && !request_piece(relay, piece))
            break;
        // Bytes after the body stay unread; an end of the connection still shows
        // when the answer can not be sent.
        is_silent = polled[1].revents && relay->body_left == 0;
    }
    if (!has_answer)
        error_send(relay, 502, "forwarder_unavailable",
                   "the forwarder closed the connection without an answer");
    free(piece);
}

static void relay_request(struct relay *relay) {
    struct buf head;
    buf_init(&head, 2 * HEAD_MAX_BYTES);
    static const uint8_t go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    body_measure(relay);
    if (!head_write(relay, &head))
        error_send(relay, 502, "vault_unavailable",
                   "no token for this request: see the output of vaultctl");
    else if (!upstream_open(relay) || !upstream_send(relay, head.at, head.size) ||
             !upstream_send(relay, relay->in + relay->body_at, relay->in_size - relay->body_at))
        error_send(relay, 502, "forwarder_unavailable", "the forwarder does not answer");
    else if (!relay->request->expects_continue ||
             client_send(relay->client, go_on, sizeof go_on - 1))
        bodies_pump(relay);
    if (head.at)
        secret_cleanse(head.at, head.size);
    buf_done(&head);
}

void bind_relay(struct bind *bind, int client) {
    struct relay *relay = calloc(1, sizeof *relay);
    uint8_t *in = malloc(HEAD_MAX_BYTES);
    if (relay && in) {
        *relay = (struct relay){.bind = bind, .client = client, .in = in};
        if (head_read(relay)) {
            if (is_ours(relay))
                relay_request(relay);
            else
                error_send(relay, 401, "invalid_api_key",
                           "this listener serves only the program that vaultctl runs");
        }
        curl_easy_cleanup(relay->upstream);
        secret_cleanse(in, HEAD_MAX_BYTES);
    }
    free(in);
    free(relay);
}
