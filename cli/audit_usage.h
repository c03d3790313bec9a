// SPDX-License-Identifier: Apache-2.0
// Who and what was used, as the log of issued and redeemed tokens of one tenant
// says it: for `audit unused` and `audit inventory`.
#ifndef VLT_CLI_AUDIT_USAGE_H
#define VLT_CLI_AUDIT_USAGE_H

#include "cli/audit_search.h"

struct audit_usage {
    json_t *credentials; // name: time of the last use that was allowed
    json_t *policies;    // id: time when it last determined that something was allowed
    json_t *issuers;     // issuer of a principal or an agent: time
    json_t *identities;  // issuer|subject: {"first","last","allowed","denied","groups":[…],
                         // "credentials":{name: time},"as_agent": bool}
    char begins[CLOCK_TEXT_SIZE]; // when the log begins that was looked at; "": it is empty
};
// Exit status; failures are said. `since` may be NULL: the whole log. audit_usage_done
// frees.
int audit_usage_read(struct command *command, const char *since, struct audit_usage *ret_usage);
void audit_usage_done(struct audit_usage *usage);

#endif
