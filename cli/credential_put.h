// SPDX-License-Identifier: Apache-2.0
// What other verbs share with `credential put` and `credential rotate`.
#ifndef VLT_CLI_CREDENTIAL_PUT_H
#define VLT_CLI_CREDENTIAL_PUT_H

#include "cli/command.h"

// --parameter NAME=VALUE as an object, owned by the caller; NULL when there is none.
vlt_result credential_parameters(const struct command *command, json_t **ret_parameters,
                                 struct fault *fault) VLT_MUST_USE;
// `credential rotate`: brings a new value by hand.
int credential_rotate(struct command *command);

#endif
