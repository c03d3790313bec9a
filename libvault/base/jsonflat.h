// SPDX-License-Identifier: Apache-2.0
// A JSON object whose members are all texts or numbers, read without building a tree: for
// requests on a hot path. As strict as jsontext_parse with its token limits.
#ifndef VLT_BASE_JSONFLAT_H
#define VLT_BASE_JSONFLAT_H

#include "libvault/base/jsontext.h"

#define JSONFLAT_NUMBER_MAX (UINT64_C(1) << 53)

struct jsonflat_member {
    const char *name;
    struct bytes *to;  // where the text goes; untouched when the member is absent
    size_t max_bytes;  // of the text, unescaped
    bool is_required;  // must be there and not be empty
    uint64_t *number;  // instead of a text: a whole number from 1 to 2^53, written as such
};

// Texts are views into `json`, or into `room` (json.size bytes, which must live as
// long as they) where they held an escape. VLT_MALFORMED: not such an object, an
// unknown or repeated member, a member that is missing or of the wrong type; VLT_LIMIT: too
// long. The fault names the member.
vlt_result jsonflat_parse(struct bytes json, size_t max_bytes,
                          const struct jsonflat_member *members, size_t count, uint8_t *room,
                          struct fault *fault) VLT_MUST_USE;

#endif
