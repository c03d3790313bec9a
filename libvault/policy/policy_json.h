// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) as Cedar needs it: integers only, no name twice in an object,
// and names of any characters, U+0000 too, which jansson refuses. Into an arena,
// with the place of each value for messages.
#ifndef VLT_POLICY_POLICY_JSON_H
#define VLT_POLICY_POLICY_JSON_H

#include "libvault/base/fault.h"
#include "libvault/policy/policy_arena.h"

#define POLICY_JSON_DEPTH_MAX 128

enum policy_json_kind {
    POLICY_JSON_NULL,
    POLICY_JSON_BOOL,
    POLICY_JSON_INTEGER,
    POLICY_JSON_STRING,
    POLICY_JSON_ARRAY,
    POLICY_JSON_OBJECT,
};

struct policy_json_member;

struct policy_json {
    enum policy_json_kind kind;
    uint32_t line, column;
    union {
        bool boolean;
        int64_t integer;
        struct bytes text;
    };
    // Array: items. Object: members, sorted by policy_name_compare.
    size_t count;
    union {
        const struct policy_json *items;
        const struct policy_json_member *members;
    };
};

struct policy_json_member {
    struct bytes name;
    struct policy_json value;
};

// VLT_MALFORMED or VLT_LIMIT, with a fault. Everything lives in the arena.
vlt_result policy_json_parse(struct policy_arena *arena, struct bytes text, struct fault *fault,
                             const struct policy_json **ret_root) VLT_MUST_USE;

// The member of an object; NULL when it is absent or `json` is no object.
const struct policy_json *policy_json_get(const struct policy_json *json, const char *name);
// The same, when it is a string.
bool policy_json_get_text(const struct policy_json *json, const char *name,
                          struct bytes *ret_text);
// VLT_MALFORMED at the place of `json`.
vlt_result policy_json_fail(const struct policy_json *json, struct fault *fault,
                            const char *format, ...) VLT_PRINTF(3, 4) VLT_MUST_USE;

#endif
