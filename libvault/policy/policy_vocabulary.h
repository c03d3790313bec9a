// SPDX-License-Identifier: Apache-2.0
// The words that our policies may use: entity types, actions, attributes and
// context members. One C table; a test proves that schemas/vault.cedarschema
// says the same. Not a type checker: the official validator does that with the
// published schema.
#ifndef VLT_POLICY_POLICY_VOCABULARY_H
#define VLT_POLICY_POLICY_VOCABULARY_H

#include "libvault/base/buf.h"
#include "libvault/policy/policy.h"

// Names as the programs spell them.
#define POLICY_TYPE_TENANT "Tenant"
#define POLICY_TYPE_GROUP "Group"
#define POLICY_TYPE_USER "User"
#define POLICY_TYPE_WORKLOAD "Workload"
#define POLICY_TYPE_AGENT "Agent"
#define POLICY_TYPE_PROVIDER "Provider"
#define POLICY_TYPE_CREDENTIAL "Credential"
#define POLICY_TYPE_MODEL "Model"
#define POLICY_TYPE_TOOL "Tool"
#define POLICY_TYPE_ACTION "Action"

struct policy_word_type {
    const char *name;
    const char *const *parents;    // NULL-terminated names of types; NULL: none
    const char *const *attributes; // NULL-terminated "name: Type" or "name?: Type"; NULL: none
    const char *tags;              // type of the tags, or NULL
    bool is_record;                // a named record, not an entity
};
struct policy_word_action {
    const char *name;
    const char *group;             // the action group that it is in, or NULL
    const char *const *principals; // NULL-terminated; NULL for a group
    const char *const *resources;
    const char *const *context;    // as attributes
};
extern const struct policy_word_type policy_word_types[];   // ends with a NULL name
extern const struct policy_word_action policy_word_actions[]; // ends with a NULL name

// VLT_MALFORMED at the first policy that names an entity type, action or
// attribute outside the vocabulary; the fault has document, line, column and
// the nearest known name.
vlt_result policy_vocabulary_check(const struct policy_set *set, struct fault *fault) VLT_MUST_USE;

// Adds the action as an entity below its group, so that `action in
// Action::"use"` holds. `name` is one of the table; once for each request.
void policy_vocabulary_action(struct policy_request *request, const char *name);

// Appends the vocabulary as a Cedar schema: the content of
// schemas/vault.cedarschema.
void policy_vocabulary_schema(struct buf *out);

#endif
