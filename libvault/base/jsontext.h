// SPDX-License-Identifier: Apache-2.0
// Strict JSON (RFC 8259, I-JSON RFC 7493), read into jansson's trees, and its
// canonical form (RFC 8785).
//
// Jansson's own parser is lenient where a token must not be: it takes 2048 levels,
// lets a real number underflow to zero, and tells nothing about size. This one walks
// the text, refuses with the position, and only then builds the tree.
#ifndef VLT_BASE_JSONTEXT_H
#define VLT_BASE_JSONTEXT_H

#include <jansson.h>

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"

struct jsontext_limits {
    size_t max_bytes;
    unsigned max_depth;      // [] is depth 1
    bool allow_duplicates;   // refuse two members of one name unless set
    bool allow_scalar_root;  // else the root must be an object or an array
    bool allow_nul;          // else \u0000 is refused: our strings are C strings
};

// Tokens and requests: 16 KiB, depth 16.
extern const struct jsontext_limits jsontext_token_limits;
// Documents from an administrator or a trusted issuer: 1 MiB, depth 32.
extern const struct jsontext_limits jsontext_document_limits;

// The caller owns *ret_root (json_decref). VLT_MALFORMED or VLT_LIMIT; `fault`
// (may be NULL) gets line, column and what was expected there. VLT_UNAVAILABLE: no
// memory.
vlt_result jsontext_parse(struct bytes text, const struct jsontext_limits *limits,
                          struct fault *fault, json_t **ret_root) VLT_MUST_USE;

// The grammar and the limits alone: what jsontext_parse does before it builds
// the tree. (Duplicates, and \u0000 in a name, are found only there.)
vlt_result jsontext_check(struct bytes text, const struct jsontext_limits *limits,
                          struct fault *fault) VLT_MUST_USE;

// Appends the canonical form of RFC 8785. Reals are refused (VLT_MALFORMED):
// nothing that we sign or log has one. Integers beyond 2^53 are refused too.
vlt_result jsontext_canonical(const json_t *root, struct buf *out) VLT_MUST_USE;

// Appends text as a JSON string with its quotes, escaped as RFC 8785 says.
void jsontext_put_string(struct buf *out, struct bytes text);

// How many bytes from `from` on stand for themselves inside a JSON string: no
// quote, no backslash, no control character.
size_t jsontext_plain_run(struct bytes text, size_t from);

// Refuses (VLT_MALFORMED, naming the member) when `object` has a member that is
// not in the NULL-terminated list.
vlt_result jsontext_only_members(const json_t *object, const char *const *names,
                                 struct fault *fault) VLT_MUST_USE;

#endif
