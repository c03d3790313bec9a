// SPDX-License-Identifier: Apache-2.0
// One token exchange (RFC 8693) under way: from the form to the token.
#ifndef VLT_BROKER_EXCHANGE_H
#define VLT_BROKER_EXCHANGE_H

#include "libvault/audit/event.h"
#include "libvault/store/record_tenant.h"
#include "libvault/token/token_details.h"
#include "vaultd/broker/broker.h"
#include "vaultd/broker/form.h"
#include "vaultd/broker/refusal.h"
#include "vaultd/policy/policy_words.h"

#define EXCHANGE_AWAITS_MAX 3 // fetches of key sets that one request may wait for

// What the client is told. Descriptions are constant for each code, so that they
// tell nothing about why (RFC 8693 section 2.2.2: 400, and invalid_request for
// tokens that are not accepted). Only mistakes in the form of the request, which
// depend on nothing but what the client sent, are named.
struct oauth_error {
    unsigned status;
    const char *code, *description;
};

struct exchange {
    struct broker *broker;
    struct http_exchange *x;
    struct oauth_form form;
    char tenant_name[RECORD_NAME_MAX + 1];
    struct record_tenant tenant;
    char issuer[TOKEN_ISSUER_SIZE]; // of the tenant
    char correlation[REQUEST_ID_SIZE];
    struct subject *subject, *actor; // actor NULL: none
    struct token_details details;
    enum token_binding binding;
    uint8_t thumbprint[32], proof_id[32];
    uint64_t proof_until;
    uint32_t lifetime_s;
    struct token_actor actors[TOKEN_ACTORS_MAX]; // outermost first
    size_t actor_count;
    char actor_texts[TOKEN_ACTORS_MAX][TOKEN_PRINCIPAL_MAX + 1]; // of actors named inside `act`
    struct policy_active active;
    char policies[POLICY_WORDS_SIZE];
    unsigned await_count;
    struct fault fault;            // what is wrong with the form
    struct oauth_error form_error; // says it
};

extern const struct oauth_error oauth_invalid_request, oauth_unsupported_grant,
    oauth_invalid_target, oauth_invalid_scope, oauth_invalid_details, oauth_invalid_proof,
    oauth_use_nonce, oauth_denied, oauth_unavailable;

// Each step returns NULL when it went well, else what the client is told;
// *ret_reason is for the log.
const struct oauth_error *exchange_check_form(struct exchange *e, const char **ret_reason);
const struct oauth_error *exchange_prove(struct exchange *e, const char **ret_reason);
// *ret_await: the keys of an issuer must be fetched first.
const struct oauth_error *exchange_identify(struct exchange *e, struct jwks_entry **ret_await,
                                            const char **ret_reason);
const struct oauth_error *exchange_permit(struct exchange *e, const char **ret_reason);

// client_id: the client that the identity provider named in the token of who
// acts; else who acts stands for itself (RFC 9068: for a pure machine grant, sub
// is the client).
struct bytes exchange_client(const struct exchange *e);
// The end: refuse (recorded first), or ask the keeper and answer. Both take the exchange.
void exchange_refuse(struct exchange *e, const struct oauth_error *error, const char *reason);
void exchange_sign(struct exchange *e);
void exchange_free(struct exchange *e);

#endif
