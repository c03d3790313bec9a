// SPDX-License-Identifier: Apache-2.0
// What the handwritten Cedar cases need of a schema: which attributes of which
// entity type are entities. Not a schema parser.
#ifndef VLT_TESTS_VECTORS_CEDAR_SCHEMA_H
#define VLT_TESTS_VECTORS_CEDAR_SCHEMA_H

#include "libvault/policy/policy_json.h"

// A copy of the array of entities in which {"type", "id"} stands inside
// {"__entity": …} wherever the schema declares an entity or a set of entities.
vlt_result cedar_schema_escape(struct policy_arena *arena, struct bytes schema,
                               const struct policy_json *entities,
                               const struct policy_json **ret_entities) VLT_MUST_USE;

#endif
