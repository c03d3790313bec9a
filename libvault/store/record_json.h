// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/store: reads typed members out of one JSON object.
// Failure sticks and the fault names the member: read everything, then ask once.
// Members that are absent leave their zeroed target alone unless required.
#ifndef VLT_STORE_RECORD_JSON_H
#define VLT_STORE_RECORD_JSON_H

#include <jansson.h>

#include "libvault/base/jsontext.h"

struct record_json {
    const json_t *object;
    struct fault *fault;
    vlt_result result; // of the first failure
};

// Parses and refuses members that are not in the NULL-terminated list. The
// caller owns *ret_root, which `ret_reader` borrows.
vlt_result record_json_open(struct bytes json, const char *const *members, struct fault *fault,
                            json_t **ret_root, struct record_json *ret_reader) VLT_MUST_USE;

enum record_need { RECORD_OPTIONAL, RECORD_REQUIRED };

// A text of at most capacity - 1 bytes without control characters.
void record_json_text(struct record_json *r, const char *member, enum record_need need, char *text,
                      size_t capacity);
// As text; a name by record_name_is_valid.
void record_json_name(struct record_json *r, const char *member, enum record_need need, char *text,
                      size_t capacity);
void record_json_number(struct record_json *r, const char *member, enum record_need need,
                        int64_t min, int64_t max, int64_t *ret_number);
void record_json_bool(struct record_json *r, const char *member, bool *ret_is_set);
// 64 hexadecimal digits.
void record_json_hash(struct record_json *r, const char *member, enum record_need need,
                      uint8_t ret_hash[32], bool *ret_is_present);
// The array (borrowed) of at most max entries, or NULL when absent or failed.
const json_t *record_json_array(struct record_json *r, const char *member, enum record_need need,
                                size_t max);
// The object (borrowed), or NULL.
const json_t *record_json_object(struct record_json *r, const char *member, enum record_need need);
// Entry of an array as text: `member` names the array in the fault.
void record_json_item(struct record_json *r, const char *member, const json_t *item, char *text,
                      size_t capacity);
void record_json_fail(struct record_json *r, const char *member, const char *expected);
bool record_json_failed(const struct record_json *r);

// Writing: adds a member unless the text is empty, the number 0, the flag false.
// `object` may be NULL (out of memory earlier): then nothing happens.
void record_json_put_text(json_t **object, const char *member, const char *text);
void record_json_put_number(json_t **object, const char *member, int64_t number);
void record_json_put_flag(json_t **object, const char *member, bool is_set);
void record_json_put(json_t **object, const char *member, json_t *value); // takes the value

#endif
