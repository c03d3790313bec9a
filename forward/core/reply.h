// SPDX-License-Identifier: Apache-2.0
// What comes back from the redeemer over HTTP/1.1 (RFC 9112): the head of an
// answer, and the endless stream of the watch. Strict: the redeemer is ours.
#ifndef VLT_FORWARD_REPLY_H
#define VLT_FORWARD_REPLY_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define REPLY_HEAD_MAX 4096
#define REPLY_BODY_MAX 32768

struct reply_head {
    unsigned status;
    size_t head_bytes; // including the empty line
    bool is_chunked;
    size_t body_bytes; // 0 when is_chunked
    bool stays_open;
};
// *ret_is_whole is false (and the head untouched) while the empty line is
// missing. VLT_MALFORMED, or VLT_LIMIT for a head or body that is too long.
vlt_result reply_head_parse(struct bytes text, struct reply_head *ret_head,
                            bool *ret_is_whole) VLT_MUST_USE;

// GET /v1/watch: a chunked stream of lines "epoch N\n" and "standing N\n". Feed it
// as it comes.
struct watch_reader {
    uint8_t head[REPLY_HEAD_MAX];
    size_t head_size, chunk_left;
    uint8_t state, line[32];
    size_t line_size;
    bool has_epoch, has_standing;
    uint64_t epoch, standing; // the last ones read
    vlt_result result; // failure sticks
};
void watch_reader_init(struct watch_reader *reader);
// *ret_line_count: lines that were completed by these bytes.
vlt_result watch_reader_feed(struct watch_reader *reader, struct bytes bytes,
                             unsigned *ret_line_count) VLT_MUST_USE;

#endif
