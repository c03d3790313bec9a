// SPDX-License-Identifier: Apache-2.0
// Help texts, made from the verb table.
#ifndef VLT_CLI_HELP_H
#define VLT_CLI_HELP_H

#include <stdio.h>

#include "cli/verb.h"

void help_overview(FILE *out);
void help_verb(FILE *out, const struct verb *verb);
// The verbs of the first word that is a noun; false when there is none.
bool help_noun(FILE *out, int argc, char **argv);

#endif
