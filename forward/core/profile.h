// SPDX-License-Identifier: Apache-2.0
// What each provider expects, as files (forward/profiles/*.json, described by
// schemas/profile.schema.json): where its hosts are, how a credential is put
// into a request, where the model stands, which error shape its SDK
// understands, and which environment variables point that SDK at a forwarder.
//
// Used by the redeemer (profile_render), the admin role (profile_check), the
// CLI (profile_environment_…) and the nginx module (model places, carriers,
// error shape). A profile is immutable once loaded and may be shared by
// threads. Functions return and never print.
#ifndef VLT_FORWARD_PROFILE_H
#define VLT_FORWARD_PROFILE_H

#include <jansson.h>

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"

#define PROFILE_NAME_MAX 64
#define PROFILE_INJECT_MAX 8       // things that one profile puts into a request
#define PROFILE_LIMITS_MAX 8       // kinds of requests with a limit of tokens
#define PROFILE_LIMIT_MEMBERS_MAX 8
#define PROFILE_USAGE_DEPTH_MAX 2
#define PROFILE_USAGE_OBJECTS_MAX 4
#define PROFILE_USAGE_MEMBERS_MAX 8
#define PROFILE_USAGE_COUNTS_MAX (2 + PROFILE_USAGE_MEMBERS_MAX)
#define PROFILE_PLACES_MAX 8      // carriers, and places of the model
#define PROFILE_RENDERED_MAX 24576 // enough for any answer of profile_render
#define PROFILE_SECRET_MAX 8192    // longest credential that can be rendered

struct profile;
struct profile_set;

// Loads every *.json of a folder. The caller owns *ret_set. VLT_NOT_FOUND: no
// such folder; VLT_MALFORMED: a file is not a profile, or its name is not the
// name in it; `fault` (may be NULL) names file and member.
vlt_result profile_set_load(const char *folder, struct fault *fault,
                            struct profile_set **ret_set) VLT_MUST_USE;
void profile_set_free(struct profile_set *set); // NULL is fine
size_t profile_set_count(const struct profile_set *set);
const struct profile *profile_set_at(const struct profile_set *set, size_t index); // by name
// NULL when there is none of that name. Borrowed from the set.
const struct profile *profile_find(const struct profile_set *set, const char *name);
// "anthropic, azure-openai, …" for a message, cut to fit `room`; returns room.
const char *profile_set_names(const struct profile_set *set, char *room, size_t room_bytes);

// One profile from the text of its file. The caller owns *ret_profile.
vlt_result profile_parse(struct bytes text, struct fault *fault,
                         struct profile **ret_profile) VLT_MUST_USE;
void profile_free(struct profile *profile); // NULL is fine

const char *profile_name(const struct profile *profile);
const char *profile_title(const struct profile *profile);
const char *profile_upstream(const struct profile *profile); // "https://…"; NULL: no usual one
// May a credential of this profile name this upstream host? True for every host
// where the profile lists none. "*.example.com" stands for exactly one label.
bool profile_permits_host(const struct profile *profile, const char *host);

// Checks a credential's own parameters (an object of texts, or NULL) against
// the profile: nothing unknown, nothing missing, header and query names that
// may be injected. VLT_MALFORMED with a fault that names the parameter.
vlt_result profile_check(const struct profile *profile, const json_t *parameters,
                         struct fault *fault) VLT_MUST_USE;

// Does the credential stand in a request as it is? Else it is encoded first, as in
// HTTP Basic. Decides which values can be rendered.
bool profile_puts_secret_plain(const struct profile *profile);

// Writes the JSON text of the redeem answer's "inject" array straight into the
// caller's (secret) memory: no allocation, no copy of the secret elsewhere; on
// failure what was written is wiped. Parameters that were not checked are
// checked again as far as the text depends on them. VLT_MALFORMED: a parameter
// is missing, or the secret holds a byte that may not stand in a header (line
// break, control character, non-ASCII); VLT_LIMIT: too long.
vlt_result profile_render(const struct profile *profile, const json_t *parameters,
                          struct bytes secret, void *at, size_t capacity,
                          size_t *ret_size) VLT_MUST_USE;

// Where a client may put our token. The well-known headers (authorization,
// x-api-key, api-key, x-goog-api-key) are carriers for every profile; these are
// the ones beyond them and the query parameters.
enum profile_place { PROFILE_HEADER, PROFILE_QUERY, PROFILE_SUBPROTOCOL };
struct profile_carrier {
    enum profile_place in;
    const char *name; // lower case for headers; the prefix before the token for subprotocols
};
size_t profile_carrier_count(const struct profile *profile);
struct profile_carrier profile_carrier_at(const struct profile *profile, size_t index);
// Appends the JSON array of header names that a forwarder must take out.
void profile_put_remove(const struct profile *profile, struct buf *out);

// Where the model stands, in order of precedence: every path pattern first.
struct profile_model_place {
    bool in_path;     // else a member of the JSON body
    const char *text; // pattern (see model_path.h), or the name of the member
};
size_t profile_model_count(const struct profile *profile);
struct profile_model_place profile_model_at(const struct profile *profile, size_t index);
bool profile_has_tool(const struct profile *profile); // JSON-RPC tools/call, params.name

// Which members of a request's JSON body say how many tokens it may have produced.
enum profile_limit_use {
    PROFILE_LIMIT_MOST,  // so many, for one answer
    PROFILE_LIMIT_TIMES, // so many answers
    PROFILE_LIMIT_SINGLE // a list here asks for an answer to each of its items
};
struct profile_limit_member {
    enum profile_limit_use use;
    struct bytes parent, member; // parent: the object that it is in; empty: the top object
};
struct profile_limit {
    struct bytes path_end; // of the requests that this is about
    size_t member_count;
    struct profile_limit_member members[PROFILE_LIMIT_MEMBERS_MAX];
};
// Of the first kind that fits the path; NULL: nothing is known about such requests.
const struct profile_limit *profile_limit_find(const struct profile *profile, struct bytes path);

// Where an answer says how many tokens it cost. An object is found by one or two names from the
// top object of the answer, of an event, or of an item where the answer is a list.
struct profile_usage_object {
    size_t depth; // of names
    struct bytes names[PROFILE_USAGE_DEPTH_MAX];
};
// Of members with the same count, what was said last is the count.
struct profile_usage_member {
    struct bytes name;
    unsigned count; // below PROFILE_USAGE_COUNTS_MAX
};
struct profile_usage {
    size_t object_count, member_count;
    struct profile_usage_object objects[PROFILE_USAGE_OBJECTS_MAX];
    struct profile_usage_member members[PROFILE_USAGE_MEMBERS_MAX];
    unsigned outputs; // bit i: count i is of output, else of input
};
const struct profile_usage *profile_usage(const struct profile *profile); // NULL: nothing is known

enum profile_errors { PROFILE_ERRORS_OPENAI, PROFILE_ERRORS_GOOGLE };
enum profile_errors profile_errors(const struct profile *profile);

// Environment variables for a program that uses this provider through a
// forwarder; {forwarder} and {token} are filled in. VLT_LIMIT when out failed.
size_t profile_environment_count(const struct profile *profile);
const char *profile_environment_name(const struct profile *profile, size_t index);
vlt_result profile_environment_value(const struct profile *profile, size_t index,
                                     const char *forwarder, const char *token,
                                     struct buf *out) VLT_MUST_USE;

#endif
