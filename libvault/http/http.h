// SPDX-License-Identifier: Apache-2.0
// Strict HTTP/1.1 (RFC 9110, RFC 9112): bytes in, typed message out. No socket,
// no clock, no allocation; the server (vaultd/net) and the redeem client feed it.
//
// What is read, and nothing else: HTTP/1.1 requests in origin-form ("*" for
// OPTIONS), exactly one valid Host, CRLF line ends, no folded fields, no space
// before a colon, Content-Length or exactly the coding `chunked`, never both,
// never twice. Responses also in HTTP/1.0, there without codings. Where a lenient
// reader and a strict one could see two different messages in the same bytes, this
// one refuses.
//
// A refusal names its cause; each has a status and a sentence for the answer.
#ifndef VLT_HTTP_HTTP_H
#define VLT_HTTP_HTTP_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

enum http_method {
    HTTP_METHOD_NONE,
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_COUNT
};

enum http_refusal {
    HTTP_REFUSAL_NONE,
    HTTP_LINE_END_INVALID,      // a bare CR or LF
    HTTP_REQUEST_LINE_INVALID,  // not METHOD SP target SP HTTP/x.y
    HTTP_REQUEST_LINE_SPACED,   // more than one space between its parts
    HTTP_STATUS_LINE_INVALID,   // not HTTP/x.y SP 3DIGIT [SP reason]
    HTTP_METHOD_UNKNOWN,        // none of enum http_method
    HTTP_TARGET_INVALID,        // not origin-form, or a character outside RFC 3986
    HTTP_TARGET_TOO_LONG,
    HTTP_VERSION_UNSUPPORTED,
    HTTP_FIELD_NAME_INVALID,    // not a token followed at once by a colon
    HTTP_FIELD_VALUE_INVALID,   // a control character
    HTTP_FIELD_FOLDED,          // a line that begins with white space
    HTTP_FIELDS_TOO_MANY,
    HTTP_HEAD_TOO_LARGE,
    HTTP_HOST_MISSING,
    HTTP_HOST_REPEATED,
    HTTP_HOST_INVALID,
    HTTP_LENGTH_INVALID,        // not 1*DIGIT, or beyond 2^63
    HTTP_LENGTH_REPEATED,
    HTTP_LENGTH_AND_CODING,     // Content-Length beside Transfer-Encoding
    HTTP_CODING_UNSUPPORTED,    // anything but one `chunked`
    HTTP_EXPECTATION_UNKNOWN,   // Expect: other than 100-continue
    HTTP_BODY_TOO_LARGE,
    HTTP_CHUNK_INVALID,         // size, extension or line end of a chunk
    HTTP_CHUNKS_TOO_MANY,       // more framing than content
    HTTP_TRAILER_FORBIDDEN,     // a trailer that would change framing or routing
    HTTP_MESSAGE_TRUNCATED,     // the peer closed in the middle (http_reader_finish)
    HTTP_REFUSAL_COUNT
};

unsigned http_refusal_status(enum http_refusal refusal);   // 400, 413, 414, 417, 431, 501, 505
const char *http_refusal_text(enum http_refusal refusal);  // one static sentence

const char *http_method_text(enum http_method method);     // "GET"; "" for NONE
enum http_method http_method_of(struct bytes text);         // case-sensitive; NONE when unknown

struct http_header {
    struct bytes name, value; // value without surrounding white space
};
#define HTTP_HEADER(name_text, value_bytes)                                                        \
    ((struct http_header){BYTES_LITERAL(name_text), value_bytes})

struct http_fields {
    const struct http_header *at;
    size_t count;
};

// How many fields have this name (ASCII case-insensitive). *ret_value (may be
// NULL) is the value of the first, untouched when there is none. A caller that
// must not be fooled by a repeated field asks for exactly 1.
unsigned http_header_find(const struct http_fields *fields, const char *name,
                          struct bytes *ret_value);

// Every view points into the bytes that the reader was given last.
struct http_request {
    enum http_method method;
    struct bytes target;     // as sent: path with query
    struct bytes path;       // begins with '/' (or is "*"); see http_path.h to normalise
    struct bytes query;      // after '?', without it
    bool has_query;
    struct bytes host;       // as sent: host with port
    struct http_fields fields;
    struct bytes body;       // decoded; empty until the message is complete
    bool keep_alive;
    bool expects_continue;
};

struct http_response {
    unsigned status;
    struct bytes reason;
    struct http_fields fields;
    struct bytes body;
    bool keep_alive;
};

struct http_limits {
    uint32_t line_bytes;   // request or status line
    uint32_t head_bytes;   // start line and fields; also a trailer section alone
    uint32_t header_count; // at most HTTP_HEADERS_MAX
    uint64_t body_bytes;   // decoded
};
#define HTTP_HEADERS_MAX 64
// 8 KiB, 16 KiB, 64 fields, 64 KiB.
extern const struct http_limits http_limits_default;

enum http_step {
    HTTP_STEP_MORE,     // feed more bytes
    HTTP_STEP_HEAD,     // once, when a body follows: fields are readable, the body limit may be
                        // set for this message, 100 Continue may be sent; then read again
    HTTP_STEP_COMPLETE, // message readable; the next one begins at http_reader_consumed
    HTTP_STEP_REFUSED   // for good: answer http_reader_refusal and close; the head is readable
                        // of HTTP_BODY_TOO_LARGE only
};

enum http_kind { HTTP_KIND_REQUEST, HTTP_KIND_RESPONSE };

struct http_span {
    uint32_t at, size;
};

// Caller's storage; nothing to free. Members are private: use the functions.
struct http_reader {
    struct http_limits limits;
    enum http_kind kind;
    unsigned stage;
    enum http_refusal refusal;
    size_t begin;          // of the start line, after empty lines
    size_t scanned;        // no LF between the line's begin and here
    size_t next;           // begin of the line or body part to be read
    size_t body_at, body_size;
    uint64_t body_left;    // of the body or of the current chunk
    size_t framing_bytes;  // chunk sizes, extensions, line ends, trailers
    size_t trailer_at;
    bool has_length, is_chunked, has_coding, until_close, answers_head;
    bool wants_close, wants_keep_alive, is_http_1_0;
    unsigned host_count;
    uint64_t length;
    struct http_span target, path, host, reason;
    struct http_span names[HTTP_HEADERS_MAX], values[HTTP_HEADERS_MAX];
    size_t field_count;
    struct http_header fields[HTTP_HEADERS_MAX];
    union {
        struct http_request request;
        struct http_response response;
    };
};

void http_reader_init(struct http_reader *reader, enum http_kind kind,
                      const struct http_limits *limits);
// Ready for the next message of the same connection; limits as given to init.
void http_reader_reset(struct http_reader *reader, const struct http_limits *limits);
// A response to HEAD has no body whatever its fields say. After reset.
void http_reader_expect_no_body(struct http_reader *reader);
// The limit for this message only (a route may allow less or more).
void http_reader_set_body_max(struct http_reader *reader, uint64_t body_bytes);

// `message` is everything since this message began, in one piece; it may lie
// elsewhere at each call and may hold the begin of the next message. A chunked
// body is joined in place, so the bytes of this message (never those behind it)
// are changed. The time for a message is linear in its size however it is cut.
enum http_step http_reader_read(struct http_reader *reader, uint8_t *message, size_t size);
// The peer will send nothing more: a response that ends with the connection is
// complete, everything else is HTTP_MESSAGE_TRUNCATED. `message` as in read.
enum http_step http_reader_finish(struct http_reader *reader, uint8_t *message, size_t size);

size_t http_reader_consumed(const struct http_reader *reader);
enum http_refusal http_reader_refusal(const struct http_reader *reader);
// The most bytes that a message within the limits occupies: room to provide.
size_t http_message_bytes_max(const struct http_limits *limits, uint64_t body_bytes);

// RFC 9110 character classes, for everybody who checks a field.
bool http_is_token(struct bytes text);       // 1*tchar
bool http_is_field_value(struct bytes text); // HTAB, SP, VCHAR, obs-text

#endif
