// SPDX-License-Identifier: Apache-2.0
// Does a grant still stand? It ends when something was taken back: the token, its
// principal, an actor or client, a credential that it names, its tenant, the keys
// that sign tokens, or the forwarder's own enrolment. It does not end because the
// token expired, a policy changed, or another version of the credential came:
// those bind the next request.
#ifndef VLT_REDEEMER_STANDING_H
#define VLT_REDEEMER_STANDING_H

#include "vaultd/redeemer/grant.h"
#include "vaultd/redeemer/redeemer.h"

// Within an open snapshot. *ret_why is NULL while it stands, else why it does not:
// static, for logs. A failure says that it could not be found out.
vlt_result standing_check(struct redeemer *redeemer, const struct record_forwarder *forwarder,
                          const struct grant *grant, const char **ret_why) VLT_MUST_USE;

#endif
