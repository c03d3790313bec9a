// SPDX-License-Identifier: Apache-2.0
// Reads JSON in place: texts are decoded where they stand, nothing is copied
// or allocated, so a credential stays in the one buffer that its owner wipes.
// Failure sticks: read everything, then look at `failed` once.
#ifndef VLT_FORWARD_JSON_CURSOR_H
#define VLT_FORWARD_JSON_CURSOR_H

#include "libvault/base/bytes.h"

struct json_cursor {
    uint8_t *at, *end;
    bool failed;
    bool is_first; // right after '{' or '['
};

void json_cursor_init(struct json_cursor *c, uint8_t *at, size_t size);
void json_object_begin(struct json_cursor *c);
// The next member's name; false at the end of the object and after a failure.
bool json_member_next(struct json_cursor *c, struct bytes *ret_name);
void json_array_begin(struct json_cursor *c);
bool json_item_next(struct json_cursor *c);
// Views into the cursor's memory. Empty after a failure.
struct bytes json_text(struct json_cursor *c);
uint64_t json_number(struct json_cursor *c); // not negative, no fraction
bool json_boolean(struct json_cursor *c);
void json_skip(struct json_cursor *c); // one value of any kind
// Only white space left, and nothing failed?
bool json_cursor_is_done(struct json_cursor *c);

#endif
