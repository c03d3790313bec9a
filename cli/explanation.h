// SPDX-License-Identifier: Apache-2.0
// What `policy explain` tells of the policies: collected while the question is
// decided, then printed question by question.
#ifndef VLT_CLI_EXPLANATION_H
#define VLT_CLI_EXPLANATION_H

#include "cli/policy_files.h"
#include "libvault/policy/policy_decide.h"

// One object for each policy and question: {"principal","action","policy",
// "effect","document","line","column","stage","applies","message","missing":[…]}.
json_t *explanation_of_outcome(const struct policy_files *files, struct bytes principal,
                               const char *action, const struct policy_outcome *outcome);

// For each question: the verdict, who decided it, and for a denial without a
// forbid the permits that came nearest, with everything that they lacked.
void explanation_print(const json_t *outcomes);
// Every policy and how far it came, as a table.
void explanation_print_all(const json_t *outcomes);

#endif
