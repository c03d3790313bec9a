// SPDX-License-Identifier: Apache-2.0
// Inside libvault/policy: what is said of a policy that can not be evaluated.
#ifndef VLT_POLICY_POLICY_AUTHORIZE_H
#define VLT_POLICY_POLICY_AUTHORIZE_H

#include "libvault/policy/policy_eval.h"

// "main.cedar:3:14: there is no such attribute (owner)", in the request's arena;
// empty when memory ran out.
struct bytes policy_error_message(const struct policy_set *set, const struct policy *policy,
                                  const struct policy_eval *eval, vlt_result result);

#endif
