// SPDX-License-Identifier: Apache-2.0
// Asks the policies about one use of one credential: builds the entities and the
// context of schemas/vault.cedarschema from verified claims and from the request,
// and combines the answers.
//
// When an agent acts for somebody, both are asked (the person with the agent in
// context.actor, then the agent as principal) and both must be permitted. A
// redeem that names a model or a tool asks callModel or callTool besides.
#ifndef VLT_ROLE_DECIDE_H
#define VLT_ROLE_DECIDE_H

#include "libvault/token/claims.h"
#include "vaultd/policy/policy_cache.h"
#include "vaultd/policy/policy_words.h"

struct decide_party {
    struct bytes principal; // issuer|subject
    uint8_t kind;           // enum token_principal_kind
    const struct bytes *groups;
    size_t group_count;
    const struct token_traits *traits; // NULL: nothing is known
};

enum decide_action { DECIDE_ISSUE, DECIDE_REDEEM };

struct decide_question {
    enum decide_action action;
    struct bytes tenant; // its name
    struct decide_party subject;
    const struct decide_party *actor; // NULL: acts for itself
    // The credential.
    struct bytes credential, profile;
    const struct bytes *hosts;
    size_t host_count;
    // Context.
    struct bytes source; // address; empty or "unix": left out as 127.0.0.1
    struct bytes client;
    int64_t now_s;
    bool is_bound;
    const struct token_detail *detail; // issue: what is asked for; redeem: what the token covers
    uint32_t lifetime_s;               // issue
    struct bytes method, host, path, model, tool, forwarder; // redeem
    uint64_t max_tokens;               // redeem: that the request may produce; 0: not known
    int64_t token_age_s;               // redeem
};

struct decide_answer {
    bool is_allowed;
    bool allows_bearer;   // a determining permit of each party is annotated @bearer("allow")
    bool is_momentary;    // source, time or the token's age were looked at: not to be used again
    bool reads_max_tokens; // the request's number was looked at: good for the same number
    uint32_t lifetime_s;  // shortest @lifetime("<seconds>") of determining permits; 0: none
    char policies[POLICY_WORDS_SIZE]; // that determined it
    char reason[512];     // one sentence for audit and explain
};

struct decider; // the reusable memory of a request; one for each thread
struct decider *decider_new(void);
void decider_free(struct decider *decider);
// How far each policy came with each question that decide asks from now on, for
// `vaultctl policy explain`; NULL ends it. Never set in a daemon: it evaluates
// every policy.
struct policy_outcome;
typedef void decide_explain_fn(void *context, struct bytes principal, const char *action,
                               const struct policy_outcome *outcome);
void decider_explain(struct decider *decider, decide_explain_fn *each, void *context);
// Never fails: what can not be decided is denied, and the reason says so.
void decide(struct decider *decider, const struct policy_active *active,
            const struct decide_question *question, struct decide_answer *ret_answer);

#endif
