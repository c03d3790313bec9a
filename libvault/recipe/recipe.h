// SPDX-License-Identifier: Apache-2.0
// How a provider's API makes, tries and revokes one credential: data, not code
// (libvault/recipe/recipes/NAME.json, schemas/recipe.schema.json). A recipe has up
// to four steps:
//
//   list    which keys there are, by id: finds one that was made and never stored
//   mint    makes a key; says where in the answer its value and its id are
//   verify  a harmless call with the new key
//   revoke  ends a key by its id
//
// Templates: "{name}" is a parameter, or {id} (of the key that the step is about)
// or {mark} (a name of ours for the new key). The provider's secret is in no
// template: `auth` alone says how it travels.
//
// No sockets here: bytes in, typed request or answer out. Callers: rotator
// (everything), admin (what parameters a recipe takes).
#ifndef VLT_RECIPE_RECIPE_H
#define VLT_RECIPE_RECIPE_H

#include <jansson.h>

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"
#include "libvault/secret/secret.h"

#define RECIPE_NAME_MAX 64
#define RECIPE_ID_MAX 256 // of a key at the provider
#define RECIPE_IDS_MAX 100 // of keys that a list may name
#define RECIPE_ANSWER_MAX 65536
#define RECIPE_VALUE_MAX 16384

enum recipe_step { RECIPE_LIST, RECIPE_MINT, RECIPE_VERIFY, RECIPE_REVOKE, RECIPE_STEP_COUNT };

struct recipe;
// VLT_MALFORMED with a fault that names the member; unknown members are refused.
vlt_result recipe_parse(struct bytes json, struct fault *fault,
                        struct recipe **ret_recipe) VLT_MUST_USE;
// The recipe of a program (exec driver) called `name`: what it answers is fixed,
// see docs/rotation.md.
vlt_result recipe_of_program(const char *name, struct recipe **ret_recipe) VLT_MUST_USE;
void recipe_free(struct recipe *recipe); // NULL is fine
const char *recipe_name(const struct recipe *recipe);
bool recipe_has_step(const struct recipe *recipe, enum recipe_step step);
// Its list tells names: a key of ours is known by its mark. Else a new one is one
// that was not there before.
bool recipe_names_keys(const struct recipe *recipe);
// Another credential of the tenant makes and revokes the keys; else each its own
// successor.
bool recipe_needs_manager(const struct recipe *recipe);
// VLT_MALFORMED: a parameter that it does not take, or lacks one that it needs.
vlt_result recipe_check_parameters(const struct recipe *recipe, const json_t *parameters,
                                   struct fault *fault) VLT_MUST_USE;

struct recipe_set;
// Every NAME.json of the folder; none where there is no folder: nothing is rotated
// by recipe then.
vlt_result recipe_set_load(const char *folder, struct fault *fault,
                           struct recipe_set **ret_set) VLT_MUST_USE;
void recipe_set_free(struct recipe_set *set); // NULL is fine
const struct recipe *recipe_find(const struct recipe_set *set, const char *name);

// ---- Requests ----

enum recipe_auth { RECIPE_AUTH_HEADER, RECIPE_AUTH_SIGV4 };
struct recipe_request {
    char method[8], host[256]; // host as credentials name theirs: with :port unless 443
    char content_type[64];     // "" without a body
    struct buf target, body;   // path with query
    enum recipe_auth auth;
    char header[64], prefix[32];   // RECIPE_AUTH_HEADER: "authorization", "Bearer "
    char service[32], region[32];  // RECIPE_AUTH_SIGV4
};
struct recipe_values {
    const json_t *parameters;
    const char *id, *mark; // NULL: the step has none
};
vlt_result recipe_render(const struct recipe *recipe, enum recipe_step step,
                         const struct recipe_values *values, struct fault *fault,
                         struct recipe_request *ret_request) VLT_MUST_USE;
void recipe_request_done(struct recipe_request *request);

// ---- Answers ----

enum recipe_verdict {
    RECIPE_DONE,    // the provider did it
    RECIPE_REFUSED, // it said no: 401, 403
    RECIPE_UNCLEAR  // anything else: it may have done it
};
enum recipe_verdict recipe_judge(const struct recipe *recipe, enum recipe_step step,
                                 unsigned status);
struct recipe_keys {
    size_t count;
    char ids[RECIPE_IDS_MAX][RECIPE_ID_MAX + 1];
    char names[RECIPE_IDS_MAX][RECIPE_ID_MAX + 1]; // "" where the API tells none
};
// VLT_MALFORMED, VLT_LIMIT (more keys than RECIPE_IDS_MAX, or another page).
vlt_result recipe_read_keys(const struct recipe *recipe, struct bytes answer,
                            struct recipe_keys *ret_keys) VLT_MUST_USE;
// The new value and its id. On failure `value` is wiped.
vlt_result recipe_read_minted(const struct recipe *recipe, struct bytes answer,
                              struct secret *value,
                              char ret_id[RECIPE_ID_MAX + 1]) VLT_MUST_USE;
// The id that a value itself has, where the recipe says so; else "".
vlt_result recipe_read_id(const struct recipe *recipe, struct bytes value,
                          char ret_id[RECIPE_ID_MAX + 1]) VLT_MUST_USE;

#endif
