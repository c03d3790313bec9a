// SPDX-License-Identifier: Apache-2.0
// The inside of a request: its entities, their hierarchy, and the builder's
// records. Everything lives in the request's arena.
#ifndef VLT_POLICY_POLICY_ENTITY_H
#define VLT_POLICY_POLICY_ENTITY_H

#include "libvault/base/result.h"
#include "libvault/policy/policy_value.h"

struct policy_record {
    struct policy_request *request;
    struct policy_fields fields; // always sorted
    size_t capacity;
};

// A parent, and the entity of that uid when the request has one.
struct policy_parent {
    struct policy_key key;
    struct policy_entity *entity;
};

struct policy_entity {
    struct policy_key key;
    struct policy_record attributes, tags;
    struct policy_parent *parents;
    size_t parent_count, parent_capacity;
    // Everything reachable over parents; sorted by hash when there are many.
    const struct policy_key **ancestors;
    size_t ancestor_count;
    bool knows_ancestors, is_sorted;
    enum { ENTITY_NEW, ENTITY_ON_PATH, ENTITY_DONE } mark; // of the search for cycles
    uint32_t visit;                                        // last walk that came by
    struct policy_entity *next;
};

struct policy_request {
    struct policy_arena arena;
    vlt_result failure; // the first one
    struct policy_entity *first, **last;
    size_t entity_count;
    struct policy_entity **slots; // hash table, NULL while there are few
    size_t slot_count;
    bool is_ready;
    uint32_t visits;
    struct policy_record context;
    struct policy_key party[3]; // principal, action, resource
    struct policy_entity *party_entity[3];
    struct policy_entity lost; // where calls go after a failure
};

// Remembers the first failure.
void policy_request_fail(struct policy_request *request, enum vlt_class class, const char *reason);
// Before evaluation: finds duplicates, joins parents, refuses cycles. Cheap when
// nothing was added since.
vlt_result policy_request_ready(struct policy_request *request) VLT_MUST_USE;

// NULL when there is none.
struct policy_entity *policy_request_entity(const struct policy_request *request,
                                                  const struct policy_key *key);
// Whether `key` is an ancestor of the entity (not itself). Costs into *work.
// False also when memory ran out, which the arena remembers.
bool policy_entity_is_below(struct policy_request *request, struct policy_entity *entity,
                            const struct policy_key *key, size_t *work);
void policy_entity_find_ancestors(struct policy_request *request, struct policy_entity *entity);

struct policy_entity *policy_entity_add_key(struct policy_request *request, struct policy_key key);
void policy_entity_add_parent(struct policy_entity *entity, struct policy_key key);
void policy_record_put(struct policy_record *record, struct bytes name, struct policy_value value);

#endif
