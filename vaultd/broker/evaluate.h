// SPDX-License-Identifier: Apache-2.0
// One AuthZEN 1.0 question in terms of our policies. The caller asks about
// itself: `subject` must be who the Bearer token is about; a question about
// somebody else has the answer no.
//
//   action issue, redeem       resource {"type":"credential","id":NAME}
//   action callModel, callTool resource {"type":"model"|"tool","id":NAME} and
//                              context.credential
//   context: bound; methods, paths, models, tools, max_tokens (issue);
//            method, host, path, model, tool (the others)
#ifndef VLT_BROKER_EVALUATE_H
#define VLT_BROKER_EVALUATE_H

#include "vaultd/broker/caller.h"

// The four members of a request; borrowed. NULL: absent.
struct evaluate_question {
    const json_t *subject, *action, *resource, *context;
};

struct evaluate_answer {
    struct decide_answer decision;
    char policy_hash[POLICY_HASH_TEXT_SIZE];
    struct bytes credential; // borrowed from the question
};

// Within the snapshot in which the caller was authenticated; the caller is a
// principal, not a forwarder. VLT_MALFORMED, VLT_LIMIT: the fault names the member.
// VLT_UNAVAILABLE: policies can not be read. Everything else is a decision.
vlt_result evaluate(const struct caller *caller, const struct evaluate_question *question,
                    struct fault *fault, struct evaluate_answer *ret_answer) VLT_MUST_USE;

#endif
