// SPDX-License-Identifier: Apache-2.0
// The lines of a message head, taken apart. Inside vault_http only: http_reader.c
// finds the lines and keeps the order.
#ifndef VLT_HTTP_HTTP_HEAD_H
#define VLT_HTTP_HTTP_HEAD_H

#include "libvault/http/http.h"

// Each takes one line without its CRLF, which begins at offset `at` of the
// message, and notes what it says as offsets in the reader.
enum http_refusal http_head_request_line(struct http_reader *reader, struct bytes line, size_t at);
enum http_refusal http_head_status_line(struct http_reader *reader, struct bytes line, size_t at);
enum http_refusal http_head_field(struct http_reader *reader, struct bytes line, size_t at);
enum http_refusal http_head_trailer(struct bytes line);
// After the empty line: do the fields agree, and what kind of body follows?
enum http_refusal http_head_end(struct http_reader *reader);
// The size of a chunk from its line; extensions are checked and dropped.
enum http_refusal http_chunk_line(struct bytes line, uint64_t *ret_size);

#endif
