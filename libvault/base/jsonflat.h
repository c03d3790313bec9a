// SPDX-License-Identifier: Apache-2.0
// A JSON object whose members are all texts, read without building a tree: for
// requests on a hot path. As strict as jsontext_parse with its token limits.
#ifndef VLT_BASE_JSONFLAT_H
#define VLT_BASE_JSONFLAT_H

#include "libvault/base/jsontext.h"

struct jsonflat_member {
    const char *name;
    struct bytes *to;  // where the text goes; untouched when the member is absent
    size_t max_bytes;  // of the text, unescaped
    bool is_required;  // must be there and not be empty
};

// Texts are views into `json`, or into `room` (json.size bytes, which must live as
// long as they) where they held an escape. VLT_MALFORMED: not such an object, an
// unknown or repeated member, a member that is missing or no text; VLT_LIMIT: too
// long. The fault names the member.
vlt_result jsonflat_parse(struct bytes json, size_t max_bytes,
                          const struct jsonflat_member *members, size_t count, uint8_t *room,
                          struct fault *fault) VLT_MUST_USE;

#endif
