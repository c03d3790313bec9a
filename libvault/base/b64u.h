// SPDX-License-Identifier: Apache-2.0
// base64url without padding, exactly as RFC 4648 section 5 and RFC 7515 write
// it: no padding, no white space, no '+' or '/', unused trailing bits zero. One
// byte string has one spelling, so a token cannot be respelled.
// Also standard base64 with padding (section 4), as signed notes and PEM use.
#ifndef VLT_BASE_B64U_H
#define VLT_BASE_B64U_H

#include "libvault/base/buf.h"

#define B64U_SIZE(bytes) (((bytes)*4 + 2) / 3)
// The most bytes that `chars` characters can stand for.
#define B64U_DECODED_MAX(chars) ((chars)*3 / 4)

void b64u_encode(struct bytes bytes, struct buf *out);
// Writes B64U_SIZE(bytes.size) characters and a NUL.
void b64u_encode_text(struct bytes bytes, char *text);
// Decodes into out (capacity given); VLT_MALFORMED or VLT_LIMIT.
vlt_result b64u_decode(struct bytes text, uint8_t *out, size_t capacity,
                       size_t *ret_size) VLT_MUST_USE;
// Decodes to *next, which has room for B64U_DECODED_MAX(text.size) bytes, and moves it
// behind them: several texts into one room, one after the other.
vlt_result b64u_decode_next(struct bytes text, uint8_t **next,
                            struct bytes *ret_part) VLT_MUST_USE;

void b64_encode(struct bytes bytes, struct buf *out);
vlt_result b64_decode(struct bytes text, uint8_t *out, size_t capacity,
                      size_t *ret_size) VLT_MUST_USE;

#endif
