// SPDX-License-Identifier: Apache-2.0
// Cedar's JSON, already read, into a request. For programs that find entities
// and context as members of a larger document.
#ifndef VLT_POLICY_POLICY_ENTITY_JSON_H
#define VLT_POLICY_POLICY_ENTITY_JSON_H

#include "libvault/policy/policy_entity.h"
#include "libvault/policy/policy_json.h"

// Nothing is copied: `json` must live as long as the request's content, best in
// its own arena (policy_request_arena).
vlt_result policy_entity_json_all(struct policy_request *request, const struct policy_json *json,
                                  struct fault *fault) VLT_MUST_USE;
vlt_result policy_entity_json_record(struct policy_record *record, const struct policy_json *json,
                                     struct fault *fault) VLT_MUST_USE;
// {"type": …, "id": …}, or that inside {"__entity": …}.
vlt_result policy_entity_json_uid(const struct policy_json *json, struct fault *fault,
                                  struct policy_uid *ret_uid) VLT_MUST_USE;
struct policy_arena *policy_request_arena(struct policy_request *request);

#endif
