// SPDX-License-Identifier: Apache-2.0
// A provider that repeats what it was sent would hand the credential to the client. This
// covers it with asterisks in what passes, in pieces of any size, and changes no length:
// as it was sent, percent-encoded, and as a JSON text; without spaces at its ends. What is
// encoded in another way, or is shorter than ECHO_SECRET_MIN, is not found.
//
// The memory is the caller's, who wipes it: the forms of secrets, and what is held back,
// which may be the beginning of one.
#ifndef VLT_FORWARD_ECHO_SCAN_H
#define VLT_FORWARD_ECHO_SCAN_H

#include "libvault/base/bytes.h"

#define ECHO_SECRET_MIN 8 // bytes; shorter ones would be found in any text
#define ECHO_SECRETS_MAX 8
#define ECHO_FORMS 5 // of each

struct echo_scan {
    size_t count, longest;
    struct bytes needles[ECHO_SECRETS_MAX * ECHO_FORMS];
    uint8_t *held, *told; // of echo_scan_begin's room
    size_t held_size;
    uint64_t covered; // occurrences so far
};

// Room for the other forms of a secret.
size_t echo_forms_room(struct bytes secret);
// Of a scan that is all zero, at most ECHO_SECRETS_MAX times: looks for this one, too, which
// is printable ASCII (as answer_parse checks). Secret and room are used until the end.
void echo_scan_add(struct echo_scan *scan, struct bytes secret, uint8_t *room);
// Then, unless `count` is 0 and there is nothing to look for: with echo_stream_room bytes.
size_t echo_stream_room(const struct echo_scan *scan);
void echo_scan_begin(struct echo_scan *scan, uint8_t *room);

// The next piece of an answer. To be passed on: first `before`, which was held back and
// lies in the scan's memory until the next call, then the piece itself up to *ret_size.
// The rest is held back: printable bytes at its end, less than the longest form, as every
// form is made of these. Of the last piece, which may be empty, nothing is.
void echo_feed(struct echo_scan *scan, uint8_t *at, size_t size, bool is_last,
               struct bytes *ret_before, size_t *ret_size);
// Of a text that stands in one place. What is not whole yet is left, and found when more of it
// has come and this is called again.
void echo_cover(struct echo_scan *scan, uint8_t *at, size_t size);

#endif
