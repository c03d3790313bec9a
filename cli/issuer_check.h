// SPDX-License-Identifier: Apache-2.0
// What `issuer add` and `issuer check` share.
#ifndef VLT_CLI_ISSUER_CHECK_H
#define VLT_CLI_ISSUER_CHECK_H

#include <jansson.h>

#include "cli/command.h"

// After `issuer add`: warns on standard error when the keys of the issuer that was just
// stored can not be fetched, and adds "problem" to `answer`. What was stored stays
// stored: the provider may come later.
void issuer_check_added(struct command *command, json_t *answer);

#endif
