// SPDX-License-Identifier: Apache-2.0
// Message heads as bytes. Every name and value is checked, so that nothing that
// came from outside can add a field or end a head (response splitting).
#ifndef VLT_HTTP_HTTP_WRITE_H
#define VLT_HTTP_HTTP_WRITE_H

#include "libvault/base/buf.h"
#include "libvault/http/http.h"

const char *http_status_text(unsigned status); // "Not Found"; "Unknown" when it has none

enum http_body_framing {
    HTTP_BODY_LENGTH,  // Content-Length
    HTTP_BODY_CHUNKED, // Transfer-Encoding: chunked
    HTTP_BODY_NONE     // 1xx, 204, 304: no framing field
};

struct http_head {
    unsigned status;                  // responses
    const struct http_header *headers; // without Content-Length, Transfer-Encoding,
    size_t header_count;              // Connection, Date: those are written here
    enum http_body_framing framing;
    uint64_t body_bytes;              // for HTTP_BODY_LENGTH
    bool close;                       // Connection: close
    const char *date;                 // IMF-fixdate or NULL
};

// Status line, fields and the empty line. VLT_BUG when a name or value could
// not be one field (nothing is written then), VLT_LIMIT when out is full.
vlt_result http_write_response_head(const struct http_head *head, struct buf *out) VLT_MUST_USE;
// Request line, Host, fields, framing and the empty line; status and date are
// ignored. target in origin-form.
vlt_result http_write_request_head(enum http_method method, struct bytes target,
                                   struct bytes host, const struct http_head *head,
                                   struct buf *out) VLT_MUST_USE;
// "1f\r\n" before a chunk; the caller adds the bytes and CRLF. Text needs 20.
size_t http_write_chunk_size(size_t size, char text[20]);
#define HTTP_DATE_SIZE 32
void http_write_date(int64_t at_s, char text[HTTP_DATE_SIZE]); // Sun, 06 Nov 1994 08:49:37 GMT

#endif
