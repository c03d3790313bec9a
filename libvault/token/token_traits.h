// SPDX-License-Identifier: Apache-2.0
// What verified claims say about one principal besides its groups, for the
// policies: how it signed in, tags, the posture of its device. Travels in the
// token, so that a redeem is decided by what the issue was decided by.
//
// In the JWT: `acr`, `amr`, `tags` {"NAME":"VALUE",…}, `device`
// {"compliant":true,"managed":false}; of the current actor inside `act`.
#ifndef VLT_TOKEN_TOKEN_TRAITS_H
#define VLT_TOKEN_TOKEN_TRAITS_H

#include "libvault/base/wire.h"

#define TOKEN_LIST_MAX 16
#define TOKEN_TAGS_MAX 16
#define TOKEN_TAG_NAME_MAX 64
#define TOKEN_TAG_VALUE_MAX 256

struct token_list {
    size_t count; // 0: not limited
    struct bytes items[TOKEN_LIST_MAX];
};

struct token_tag {
    struct bytes name;  // token_tag_name_is_valid
    struct bytes value; // may be empty
};

enum token_posture { TOKEN_POSTURE_UNKNOWN, TOKEN_POSTURE_NO, TOKEN_POSTURE_YES };

struct token_traits {
    struct bytes acr; // empty: unknown
    struct token_list amr;
    size_t tag_count;
    struct token_tag tags[TOKEN_TAGS_MAX]; // sorted by name, each name once
    uint8_t compliant, managed;            // enum token_posture, of the device
};

// 1 to 64 printable ASCII characters, so that the order of the bytes is the
// order of RFC 8785.
bool token_tag_name_is_valid(struct bytes name);
// Keeps the order; false (nothing added) when the name is there or there is no room.
bool token_traits_add_tag(struct token_traits *traits, struct bytes name, struct bytes value);

void token_traits_put(struct wire_writer *w, const struct token_traits *traits);
void token_traits_get(struct wire_reader *r, struct token_traits *ret_traits);
// Counts, lengths, UTF-8, order. VLT_MALFORMED, VLT_LIMIT.
vlt_result token_traits_check(const struct token_traits *traits) VLT_MUST_USE;

#endif
