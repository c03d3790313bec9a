// SPDX-License-Identifier: Apache-2.0
// One request: who, what, on what, in which context, and the entities that the
// policies may look at. Built from C without an allocation for each part, or
// from Cedar's JSON (tests, vaultctl).
//
// Failure sticks: build everything, then policy_authorize says what was wrong
// (VLT_LIMIT, or VLT_MALFORMED for a duplicate, a cycle, a bad address). Every
// text and uid given here is borrowed until policy_request_reset or _free, and
// taken to be UTF-8 (claims come from strict JSON); only the JSON loaders copy.
#ifndef VLT_POLICY_POLICY_REQUEST_H
#define VLT_POLICY_POLICY_REQUEST_H

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"

#define POLICY_REQUEST_MAX_BYTES (1024u * 1024)         // arena that a daemon should allow
#define POLICY_REQUEST_JSON_MAX_BYTES (16u * 1024 * 1024) // one JSON document

struct policy_request;
struct policy_entity;
struct policy_record; // attributes, tags, context, or a record inside them

struct policy_uid {
    struct bytes type; // "User", "Namespace::Type"
    struct bytes id;   // "https://idp.example|alice"
};
static inline struct policy_uid policy_uid_of(const char *type, struct bytes id) {
    return (struct policy_uid){bytes_of_text(type), id};
}

// `max_bytes` bounds what one request may take, including its evaluation. NULL
// when memory is short. Reuse it: reset keeps the memory.
struct policy_request *policy_request_new(size_t max_bytes);
void policy_request_free(struct policy_request *request); // NULL is fine
void policy_request_reset(struct policy_request *request);

// The question. May be asked again with other uids over the same entities.
void policy_request_ask(struct policy_request *request, struct policy_uid principal,
                        struct policy_uid action, struct policy_uid resource);

// A new entity; the same uid twice makes the request malformed. Parents need
// not be entities of the request themselves. Never NULL: after a failure the
// calls go nowhere.
struct policy_entity *policy_entity_add(struct policy_request *request, const char *type,
                                        struct bytes id);
void policy_entity_parent(struct policy_entity *entity, const char *type, struct bytes id);
struct policy_record *policy_entity_attributes(struct policy_entity *entity);
struct policy_record *policy_entity_tags(struct policy_entity *entity);
struct policy_record *policy_request_context(struct policy_request *request);
// Empties the context, for another question over the same entities.
void policy_request_context_clear(struct policy_request *request);

// One name once for each record (twice is malformed).
void policy_put_bool(struct policy_record *record, const char *name, bool value);
void policy_put_long(struct policy_record *record, const char *name, int64_t value);
void policy_put_string(struct policy_record *record, const char *name, struct bytes value);
void policy_put_strings(struct policy_record *record, const char *name,
                        const struct bytes *values, size_t count); // a set
void policy_put_entity(struct policy_record *record, const char *name, struct policy_uid uid);
// "10.1.2.3", "2001:db8::1", "10.0.0.0/8", as ip("…") takes it.
void policy_put_ip(struct policy_record *record, const char *name, struct bytes text);
void policy_put_datetime(struct policy_record *record, const char *name, int64_t epoch_ms);
void policy_put_duration(struct policy_record *record, const char *name, int64_t value_ms);
// A record inside: put into what is returned (never NULL).
struct policy_record *policy_put_record(struct policy_record *record, const char *name);
// The same, but the name is not a C string (tags named by a claim).
void policy_put_string_named(struct policy_record *record, struct bytes name, struct bytes value);

// Cedar's JSON: an array of {uid, attrs, parents, tags}; an object for the
// context. `__entity` and `__extn` escapes. Numbers must be integers of 64
// bits. VLT_MALFORMED or VLT_LIMIT with a fault; the request is then unusable
// until reset.
vlt_result policy_request_load_entities(struct policy_request *request, struct bytes json,
                                        struct fault *fault) VLT_MUST_USE;
vlt_result policy_request_load_context(struct policy_request *request, struct bytes json,
                                       struct fault *fault) VLT_MUST_USE;

#endif
