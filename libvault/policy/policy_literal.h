// SPDX-License-Identifier: Apache-2.0
// What stands between two quotes in a policy: escapes undone, patterns of like
// taken apart. Escapes are those of Rust's strings: \n \r \t \\ \0 \' \" \xHH
// (below 80) and \u{1 to 6 digits}; in a pattern also \*.
#ifndef VLT_POLICY_POLICY_LITERAL_H
#define VLT_POLICY_POLICY_LITERAL_H

#include "libvault/base/result.h"
#include "libvault/policy/policy_tree.h"

// VLT_MALFORMED (*ret_bad_at, which may be NULL, is the offset of the escape),
// VLT_LIMIT.
vlt_result policy_literal_string(struct policy_arena *arena, struct bytes raw, size_t *ret_bad_at,
                                 struct bytes *ret_text) VLT_MUST_USE;
vlt_result policy_literal_pattern(struct policy_arena *arena, struct bytes raw, size_t *ret_bad_at,
                                  struct policy_pattern *ret_pattern) VLT_MUST_USE;

// Whether the whole text matches. `work` grows by what it cost.
bool policy_pattern_matches(const struct policy_pattern *pattern, struct bytes text, size_t *work);

// An identifier that names nothing of the language: not reserved, not __cedar.
bool policy_name_is_free(struct bytes name);
// One or more free identifiers with :: between them, and nothing else.
bool policy_path_is_valid(struct bytes path);

#endif
