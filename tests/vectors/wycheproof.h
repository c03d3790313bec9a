// SPDX-License-Identifier: Apache-2.0
// Reading Wycheproof v1 files: {"testGroups":[{"type":…,"tests":[…]}]}.
#ifndef VLT_TESTS_VECTORS_WYCHEPROOF_H
#define VLT_TESTS_VECTORS_WYCHEPROOF_H

#include "tests/vectors/vectors.h"

struct wycheproof_case {
    const char *path;
    const json_t *file, *group, *test;
    const char *result;
    char what[160]; // "tcId 12: comment"
};

// Parses content and, when it is such a file, calls `run` for each group; a file
// without groups, or a group without tests, is a failure. Returns false when it is
// something else; *ret_root (owned by the caller, NULL when it is not JSON) is then
// what it is.
typedef void wycheproof_group(const char *path, const json_t *file, json_t *group);
bool wycheproof_each_group(const char *path, struct bytes content, wycheproof_group *run,
                           json_t **ret_root);
typedef void wycheproof_run(const struct wycheproof_case *c, void *context);
// A test that lacks one of the hexadecimal members (NULL-terminated, or NULL when
// there are none) is a failure and does not run.
void wycheproof_each_test(const char *path, const json_t *file, const json_t *group,
                          const char *const *hex_members, wycheproof_run *run, void *context);
unsigned wycheproof_count(const json_t *group);
// Skips the tests of a group that is not of this kind, or not for one of our algorithms.
void wycheproof_skip(const char *path, const json_t *file, const json_t *group);

// A visit of a kind that takes nothing but Wycheproof files.
void wycheproof_visit(const char *path, struct bytes content, wycheproof_group *run);

const char *wycheproof_text(const json_t *object, const char *name); // "" when absent
int wycheproof_number(const json_t *object, const char *name);       // 0 when absent
// Appends a hexadecimal member to out (init'ed by the caller) and returns it; only
// of a test whose members wycheproof_each_test has checked.
struct bytes wycheproof_hex(const json_t *object, const char *name, struct buf *out);
// Bytes from…to of a buffer that no longer grows.
struct bytes wycheproof_slice(const struct buf *octets, size_t from, size_t to);
// A hexadecimal member as a new secret; never NULL.
struct secret *wycheproof_secret(const json_t *object, const char *name);

#endif
