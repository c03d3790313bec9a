// SPDX-License-Identifier: Apache-2.0
// The vectors runner: `vectors KIND PATH…` holds published test files, as they
// are, against the functions that the daemon calls. One file for each kind, one
// row for each kind in main.c.
//
// A vector passes when we accept what is valid and refuse what is invalid;
// "acceptable" passes either way. It is skipped, visibly, when it is valid but
// uses something that we refuse by design or do not have.
#ifndef VLT_TESTS_VECTORS_VECTORS_H
#define VLT_TESTS_VECTORS_VECTORS_H

#include <jansson.h>

#include "libvault/base/buf.h"
#include "libvault/base/result.h"
#include "libvault/secret/secret.h"

struct vectors_tally {
    unsigned passed, failed, skipped;
};
extern struct vectors_tally vectors_tally;

// One line on standard output for each failure and for each run of skips.
void vectors_pass(void);
void vectors_fail(const char *path, const char *format, ...) VLT_PRINTF(2, 3);
void vectors_skip(const char *path, unsigned count, const char *format, ...) VLT_PRINTF(3, 4);
// A file that the kind has no use for: a skip when it was found in a folder, a
// failure when it was named, or when it can not be parsed (is_whole: it can).
void vectors_foreign(const char *path, bool is_whole, const char *reason);
// Passes when `accepted` is what `result` ("valid", "invalid", "acceptable") says.
void vectors_judge(const char *path, const char *what, const char *result, bool accepted);

// Visits each path that is a file, and below each folder every file whose name
// ends in one of the NULL-terminated suffixes, in the order of their names; never
// one that ends in an earlier suffix written with a "!". What can not be read, and
// what counts nothing, is a failure.
typedef void vectors_visit(const char *path, struct bytes content);
void vectors_walk(int count, char **paths, const char *const *suffixes, vectors_visit *visit);
bool vectors_read(const char *path, struct buf *content); // up to 64 MiB

// The kinds.
void vectors_aead(int count, char **paths);
void vectors_hkdf(int count, char **paths);
void vectors_ecdsa(int count, char **paths);
void vectors_jwk(int count, char **paths);
void vectors_jws(int count, char **paths);
void vectors_jwe(int count, char **paths);
void vectors_json(int count, char **paths);
void vectors_merkle(int count, char **paths);
void vectors_note(int count, char **paths);
void vectors_http1(int count, char **paths); // built when http1.c is there
void vectors_cedar(int count, char **paths); // built when cedar.c is there

#endif
