// SPDX-License-Identifier: Apache-2.0
// Policy documents from files and folders, for the verbs of `policy`.
#ifndef VLT_CLI_POLICY_FILES_H
#define VLT_CLI_POLICY_FILES_H

#include "cli/command.h"
#include "libvault/policy/policy.h"

#define POLICY_FILES_MAX 64

struct policy_files {
    size_t count;
    char *paths[POLICY_FILES_MAX]; // for people
    char *names[POLICY_FILES_MAX]; // the last part of each path
    struct buf texts[POLICY_FILES_MAX];
};
// Files as they are; of a folder every *.cedar in the order of their names.
vlt_result policy_files_read(const char *const *paths, size_t path_count,
                             struct policy_files *ret_files, struct fault *fault) VLT_MUST_USE;
// Documents of the Admin API (?text=1).
vlt_result policy_files_of_json(const json_t *set, struct policy_files *ret_files,
                                struct fault *fault) VLT_MUST_USE;
// Those of --policies, else those in force. EXIT_OK, or the failure was said.
int policy_files_of_command(struct command *command, struct policy_files *ret_files);
// What stands at a place, in one line: a part of a scope, or an expression up to
// where its `&&` (of a true one: `||`), bracket or clause ends. "" when not found.
#define POLICY_QUOTE_SIZE 200
void policy_files_quote(const struct policy_files *files, struct bytes document, unsigned line,
                        unsigned column, bool is_true, char quote[POLICY_QUOTE_SIZE]);
void policy_files_done(struct policy_files *files);

// Parses and checks against the vocabulary; prints each fault with the line and a
// caret below the place to standard error. NULL: there were faults. The caller
// frees the set.
struct policy_set *policy_files_compile(const struct policy_files *files, bool wants_json);

#endif
