// SPDX-License-Identifier: Apache-2.0
// Cedar policies (language 4.x): a set of policies parsed once, and decisions
// over requests. The evaluation is exactly the specification's; what we add
// around it (deny when a forbid errored) is in policy_decide.h, our vocabulary
// in policy_vocabulary.h, how a request is built in policy_request.h.
//
// Called by: broker and redeemer (policy_decide), admin and vaultctl (parse,
// check, explain). No I/O, no locks, no globals but a hash seed. A set that is
// not being changed may be shared by threads; a request belongs to one thread.
#ifndef VLT_POLICY_POLICY_H
#define VLT_POLICY_POLICY_H

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"
#include "libvault/policy/policy_request.h"

#define POLICY_SET_MAX 10000                      // policies, templates and links in a set
#define POLICY_TEXT_MAX_BYTES (8u * 1024 * 1024)  // all documents of a set together
#define POLICY_LITERAL_MAX_BYTES 4096             // one string literal, unescaped
#define POLICY_DEPTH_MAX 128                      // nested expressions
#define POLICY_STEPS_MAX 2000000u                 // of one authorize call

struct policy_set;

// One text with any number of policies. The name appears in faults and ids.
struct policy_document {
    struct bytes name; // "main.cedar"
    struct bytes text;
};

// How policies are called. NAMED: the value of @id("…"), else
// `<document>.policy<N>`, N counting from 0 in each document. NUMBERED:
// `policy<N>` over the whole set, as the official command line does.
enum policy_ids { POLICY_IDS_NAMED, POLICY_IDS_NUMBERED };

// Parses all documents into one set; everything is copied. The caller owns
// *ret_set. VLT_MALFORMED (syntax, not UTF-8, unknown function), VLT_CONFLICT
// (two policies of one id), VLT_LIMIT. `fault` (may be NULL) gets line and
// column in the document, whose name begins the text.
vlt_result policy_set_parse(const struct policy_document *documents, size_t document_count,
                            enum policy_ids ids, struct fault *fault,
                            struct policy_set **ret_set) VLT_MUST_USE;
void policy_set_free(struct policy_set *set); // NULL is fine

// Adds an instance of the template `template_id` with its slots filled.
// `principal` and `resource` must be given exactly when the template has that
// slot, else NULL. VLT_NOT_FOUND, VLT_CONFLICT, VLT_MALFORMED, VLT_LIMIT. The set
// answers correctly at once, but without its index until policy_set_index.
vlt_result policy_set_link(struct policy_set *set, struct bytes template_id, struct bytes new_id,
                           const struct policy_uid *principal, const struct policy_uid *resource,
                           struct fault *fault) VLT_MUST_USE;
// Rebuilds the index after links (parse does it itself). VLT_UNAVAILABLE (memory).
vlt_result policy_set_index(struct policy_set *set) VLT_MUST_USE;

// What one policy is; borrowed from the set.
struct policy_view {
    struct bytes id;
    struct bytes document; // its name
    unsigned line, column; // where it begins
    bool is_forbid;
    bool is_template; // has slots: never evaluated itself
};
size_t policy_set_count(const struct policy_set *set); // with templates and links
struct policy_view policy_set_view(const struct policy_set *set, size_t index);
// The value of @name("…") of policy `index`; false when it has none. An
// annotation without a value has the empty one.
bool policy_set_annotation(const struct policy_set *set, size_t index, const char *name,
                           struct bytes *ret_value);
// Index of the policy with this id (a determining policy's, say); false when there is none.
bool policy_set_find_index(const struct policy_set *set, struct bytes id, size_t *ret_index);

struct policy_error {
    struct bytes id; // the policy that was skipped
    bool is_forbid;
    struct bytes message; // one sentence for people: what, and where in the text
};

// Arrays are in the order of the set. They live in the request's arena until
// policy_request_reset; ids are the set's.
struct policy_answer {
    bool is_allowed;
    size_t reason_count;
    const struct bytes *reasons; // ids of the determining policies
    size_t error_count;
    const struct policy_error *errors;
    // A policy about this principal, action and resource looks at context.sourceIp,
    // now or tokenAge: the answer is good for this request only.
    bool is_momentary;
    bool reads_max_tokens; // at context.maxTokens: good for requests with the same number
};

// The specification's authorizer: allowed when a permit and no forbid is
// satisfied; a policy that errors is skipped and reported. VLT_LIMIT when the
// request's arena or the step budget ran out, VLT_MALFORMED when the request was
// built wrong (see policy_request.h). On any failure the caller must deny:
// policy_decide does all of that.
vlt_result policy_authorize(const struct policy_set *set, struct policy_request *request,
                            struct policy_answer *ret_answer) VLT_MUST_USE;

#endif
