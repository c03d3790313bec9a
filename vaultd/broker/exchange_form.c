// SPDX-License-Identifier: Apache-2.0
// The parameters of RFC 8693 section 2.1 and RFC 9396, before anything is
// verified; and the proof of possession that came with the request.
#include <stdio.h>

#include "libvault/base/clock.h"
#include "vaultd/broker/exchange.h"

#define GRANT_TYPE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TOKEN_TYPE "urn:ietf:params:oauth:token-type:"

static bool is_subject_type(struct bytes type) {
    return bytes_equal_text(type, TOKEN_TYPE "jwt") ||
           bytes_equal_text(type, TOKEN_TYPE "id_token") ||
           bytes_equal_text(type, TOKEN_TYPE "access_token");
}

static const struct oauth_error *check_tokens(const struct oauth_form *form,
                                              const char **ret_reason) {
    struct bytes actor = oauth_form_get(form, "actor_token"),
                 actor_type = oauth_form_get(form, "actor_token_type");
    struct bytes requested = oauth_form_get(form, "requested_token_type");
    *ret_reason = "subject_token is missing";
    if (oauth_form_get(form, "subject_token").size == 0)
        return &oauth_invalid_request;
    *ret_reason = "subject_token_type must be " TOKEN_TYPE "jwt, id_token or access_token";
    if (!is_subject_type(oauth_form_get(form, "subject_token_type")))
        return &oauth_invalid_request;
    *ret_reason = "actor_token and actor_token_type come together or not at all";
    if ((actor.size == 0) != (actor_type.size == 0))
        return &oauth_invalid_request;
    *ret_reason = "actor_token_type must be " TOKEN_TYPE "jwt, id_token or access_token";
    if (actor.size && !is_subject_type(actor_type))
        return &oauth_invalid_request;
    *ret_reason = "requested_token_type must be " TOKEN_TYPE "access_token or jwt, or left out";
    if (requested.size && !bytes_equal_text(requested, TOKEN_TYPE "access_token") &&
        !bytes_equal_text(requested, TOKEN_TYPE "jwt"))
        return &oauth_invalid_request;
    return NULL;
}

// Tokens are for the vault alone: it redeems them, nobody else accepts them.
static const struct oauth_error *check_targets(const struct exchange *e, const char **ret_reason) {
    const struct http_form *form = &e->form.form;
    for (size_t i = 0; i < form->count; i++) {
        bool is_target = bytes_equal_text(form->parameters[i].name, "audience") ||
                         bytes_equal_text(form->parameters[i].name, "resource");
        if (is_target && form->parameters[i].value.size &&
            !bytes_equal_text(form->parameters[i].value, e->issuer)) {
            *ret_reason = "audience and resource must be the issuer of this vault, or left out";
            return &oauth_invalid_target;
        }
    }
    *ret_reason = "scope is not used; authorization_details say what a token covers";
    return oauth_form_get(&e->form, "scope").size ? &oauth_invalid_scope : NULL;
}

const struct oauth_error *exchange_check_form(struct exchange *e, const char **ret_reason) {
    struct bytes details = oauth_form_get(&e->form, "authorization_details");
    *ret_reason = "grant_type must be " GRANT_TYPE;
    if (!bytes_equal_text(oauth_form_get(&e->form, "grant_type"), GRANT_TYPE))
        return oauth_form_get(&e->form, "grant_type").size ? &oauth_unsupported_grant
                                                           : &oauth_invalid_request;
    const struct oauth_error *error = check_tokens(&e->form, ret_reason);
    if (!error)
        error = check_targets(e, ret_reason);
    if (error)
        return error;
    *ret_reason = "authorization_details is missing: 1 to 4 objects of type credential_use";
    if (details.size == 0)
        return &oauth_invalid_details;
    vlt_result result = token_details_parse(details, &e->fault, &e->details);
    if (!vlt_is_ok(result) && strncmp(e->fault.text, "authorization_details", 21) != 0) {
        struct fault inner = e->fault;
        result = fault_set(&e->fault, result.class, result.reason, "authorization_details: %.400s",
                           fault_or_reason(&inner, result));
    }
    *ret_reason = result.reason;
    return vlt_is_ok(result) ? NULL : &oauth_invalid_details;
}

// ---- Proof of possession ----

static const struct oauth_error *prove_dpop(struct exchange *e, struct bytes proof,
                                            const char **ret_reason) {
    const struct http_request *request = http_exchange_request(e->x);
    char uri[IPC_TEXT_MAX + 1100];
    struct dpop_proof verified;
    if (snprintf(uri, sizeof uri, "%s%.*s", e->broker->issuer, (int)request->path.size,
                 (const char *)request->path.at) >= (int)sizeof uri)
        return &oauth_invalid_request;
    const struct dpop_expectation expected = {.method =
                                                  bytes_of_text(http_method_text(request->method)),
                                              .uri = bytes_of_text(uri),
                                              .now_s = clock_now_s(),
                                              .nonces = e->broker->nonces,
                                              .headers = e->broker->headers};
    switch (dpop_verify(proof, &expected, &verified, ret_reason)) {
    case DPOP_VALID:
        e->binding = TOKEN_BOUND_DPOP;
        memcpy(e->thumbprint, verified.thumbprint, sizeof e->thumbprint);
        memcpy(e->proof_id, verified.id, sizeof e->proof_id);
        e->proof_until = verified.until;
        return NULL;
    case DPOP_USE_NONCE:
        return &oauth_use_nonce;
    case DPOP_INVALID:
    default:
        return &oauth_invalid_proof;
    }
}

const struct oauth_error *exchange_prove(struct exchange *e, const char **ret_reason) {
    const struct http_peer *peer = http_exchange_peer(e->x);
    struct bytes proof;
    unsigned count = http_header_find(&http_exchange_request(e->x)->fields, "dpop", &proof);
    *ret_reason = "more than one DPoP header";
    if (count > 1)
        return &oauth_invalid_proof;
    if (count == 1)
        return prove_dpop(e, proof, ret_reason);
    if (peer->has_certificate) {
        e->binding = TOKEN_BOUND_MTLS;
        memcpy(e->thumbprint, peer->thumbprint, sizeof e->thumbprint);
    }
    return NULL;
}
