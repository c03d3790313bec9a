// SPDX-License-Identifier: Apache-2.0
// authorization_details (RFC 9396) of our one type, credential_use:
//
//   {"type":"credential_use","credential":"openai-prod","methods":["POST"],
//    "paths":["/v1/chat/completions"],"models":["gpt-*"],"tools":["search"],
//    "max_tokens":4096}
//
// type and credential are required; an absent list does not limit; an empty list
// is refused (it would read as "nothing" and mean "everything"), as are unknown
// types and members. To the client each failure is invalid_authorization_details.
#ifndef VLT_TOKEN_TOKEN_DETAILS_H
#define VLT_TOKEN_TOKEN_DETAILS_H

#include <jansson.h>

#include "libvault/token/claims.h"

#define TOKEN_DETAIL_TYPE "credential_use"
#define TOKEN_DETAILS_TEXT_MAX 8192 // of the request parameter

struct token_details {
    size_t count;                                  // 1 … TOKEN_DETAILS_MAX
    struct token_detail items[TOKEN_DETAILS_MAX];  // views into root
    json_t *root;                                  // owned
};

// VLT_MALFORMED or VLT_LIMIT; the fault (may be NULL) names the member.
vlt_result token_details_parse(struct bytes json, struct fault *fault,
                               struct token_details *ret_details) VLT_MUST_USE;
void token_details_done(struct token_details *details);

// The same for an array that was parsed already and that outlives the result.
vlt_result token_details_of_json(const json_t *array, struct fault *fault,
                                 struct token_detail ret_items[TOKEN_DETAILS_MAX],
                                 size_t *ret_count) VLT_MUST_USE;

// VLT_MALFORMED unless every text of the detail has the form that it must have:
// a credential name, methods of capital letters, paths that begin with '/', and
// '*' nowhere but at an end.
vlt_result token_detail_check(const struct token_detail *detail) VLT_MUST_USE;

// Appends the array, canonical (RFC 8785).
void token_details_put_json(const struct token_detail *items, size_t count, struct buf *out);

#endif
