// SPDX-License-Identifier: Apache-2.0
// Inside of a profile; for forward/core/profile*.c only.
#ifndef VLT_FORWARD_PROFILE_MEMBERS_H
#define VLT_FORWARD_PROFILE_MEMBERS_H

#include "forward/core/profile.h"

// Something that is put into a request, by templates.
struct profile_item {
    const char *name, *format;
    bool in_query, is_optional;
    bool is_named; // the name has no placeholder, and was checked
};

struct profile {
    json_t *root; // owned; every text below is borrowed from it
    json_t *parameters, *inject, *token_in, *model, *environment; // never NULL, may be empty
    // What is looked at for each request, taken out of the JSON once.
    size_t item_count, carrier_count, model_count;
    struct profile_item items[PROFILE_INJECT_MAX];
    struct profile_carrier carriers[PROFILE_PLACES_MAX];
    struct profile_model_place models[PROFILE_PLACES_MAX];
    size_t limit_count;
    struct profile_limit limits[PROFILE_LIMITS_MAX];
    struct profile_usage usage; // of no objects: nothing is known
    enum profile_errors errors;
    bool has_tool;
};

// A placeholder of a template: the text up to it, and its name. Names are
// "secret", "basic:<parameter>" or a parameter.
struct profile_piece {
    struct bytes literal, placeholder; // placeholder.at is NULL at the end
};
// Takes the next piece off *template_left; false when a '{' is not closed.
bool profile_piece_next(const char **template_left, struct profile_piece *ret_piece);

#define PROFILE_BASIC "basic:"

// The value of a parameter of this credential, or the profile's default; NULL
// when there is neither.
const char *profile_parameter(const struct profile *profile, const json_t *parameters,
                              struct bytes name);
// profile_limit.c: takes the limits out of root.
vlt_result profile_take_limits(struct profile *profile, struct fault *fault) VLT_MUST_USE;
// profile_usage.c: takes the places of usage out of root.
vlt_result profile_take_usage(struct profile *profile, struct fault *fault) VLT_MUST_USE;
// May a credential be put into a header (query parameter) of this name?
bool profile_is_header_name(const char *name);
bool profile_is_query_name(const char *name);

#endif
