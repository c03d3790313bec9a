// SPDX-License-Identifier: Apache-2.0
// What other verbs share with `credential put` and `credential rotate`.
#ifndef VLT_CLI_CREDENTIAL_PUT_H
#define VLT_CLI_CREDENTIAL_PUT_H

#include "cli/command.h"

// --parameter NAME=VALUE as an object, owned by the caller; NULL when there is none.
vlt_result credential_parameters(const struct command *command, json_t **ret_parameters,
                                 struct fault *fault) VLT_MUST_USE;
// What a call that changed the credential of the first argument came to: with --json the
// answer, else "Credential NAME " and `said`. Takes the answer; returns the exit status.
int credential_answered(struct command *command, int status, json_t *answer, const char *said);
// `credential rotate`: brings a new value by hand.
int credential_rotate(struct command *command);

#endif
