// SPDX-License-Identifier: Apache-2.0
// Files of expected decisions, for `vaultctl policy test` and our own starter
// policies. JSON: an array of
//   { "name": "…",
//     "principal": {"type": "User", "id": "iss|sub", "groups": ["ops"],
//                   "tenant": "acme", "acr": "…", "amr": ["mfa"],
//                   "tags": {"team": "blue"}},
//     "action": "issue",
//     "resource": {"type": "Credential", "id": "openai-prod", "provider": "openai",
//                  "tenant": "acme", "attrs": {…}},
//     "context": {… Cedar JSON …},
//     "entities": [… Cedar JSON, added to the above …],
//     "expect": "allow" | "deny" }
// issuer and subject are taken from the id; attributes that a case leaves out
// and the schema requires get an empty value; "provider", "groups", "entities",
// "attrs", "context" may be left out.
#ifndef VLT_POLICY_POLICY_TESTFILE_H
#define VLT_POLICY_POLICY_TESTFILE_H

#include "libvault/policy/policy_decide.h"

struct policy_testcase {
    const char *name;
    bool expects_allow;
    bool passed;
    const struct policy_decision *decision;
};
// Called once for each case in turn; pointers are valid in the call.
typedef void policy_testcase_fn(void *context, const struct policy_testcase *result);

// VLT_MALFORMED when the file is not of the form above (fault names the case);
// failing cases are not failures of the call: they are counted.
vlt_result policy_testfile_run(const struct policy_set *set, struct bytes json,
                               policy_testcase_fn *each, void *context, struct fault *fault,
                               size_t *ret_passed, size_t *ret_failed) VLT_MUST_USE;

// One case (`name` and `expect` may be left out) as the question of `request`,
// which is reset first: for `vaultctl policy explain`, which then calls
// policy_decide and policy_explain. VLT_MALFORMED, VLT_LIMIT.
vlt_result policy_testfile_ask(struct policy_request *request, struct bytes json,
                               struct fault *fault) VLT_MUST_USE;

#endif
