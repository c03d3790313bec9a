// SPDX-License-Identifier: Apache-2.0
// POST /oauth2/token: form → proof of the client's key → who is it → do the
// policies permit it → ask the keeper to sign.
#include <stdio.h>
#include <stdlib.h>

#include "vaultd/broker/exchange.h"

void exchange_free(struct exchange *e) {
    subject_free(e->subject);
    subject_free(e->actor);
    token_details_done(&e->details);
    oauth_form_done(&e->form);
    free(e);
}

static void go_on(void *context);

// Steps that need the store, from the start each time: key sets may have arrived
// in between, and everything else may have changed.
static const struct oauth_error *decide_exchange(struct exchange *e, struct jwks_entry **ret_await,
                                                 const char **ret_reason) {
    vlt_result result = broker_tenant(e->broker, bytes_of_text(e->tenant_name), &e->tenant);
    if (!vlt_is_ok(result)) {
        *ret_reason = result.reason;
        return result.class == VLT_DENIED ? &oauth_denied : &oauth_unavailable;
    }
    const struct oauth_error *error = exchange_identify(e, ret_await, ret_reason);
    return error || *ret_await ? error : exchange_permit(e, ret_reason);
}

static void go_on(void *context) {
    struct exchange *e = context;
    struct broker *broker = e->broker; // e may be gone after its answer
    struct jwks_entry *await = NULL;
    const char *reason = "";
    if (!vlt_is_ok(broker_snapshot(broker))) {
        exchange_refuse(e, &oauth_unavailable, "there is no store yet");
        return;
    }
    const struct oauth_error *error = decide_exchange(e, &await, &reason);
    if (await && (e->await_count++ >= EXCHANGE_AWAITS_MAX ||
                  !vlt_is_ok(jwks_entry_await(await, go_on, e)))) {
        vlt_result result = jwks_entry_refuse(await, &e->fault);
        error = result.class == VLT_UNAVAILABLE ? &oauth_unavailable : &oauth_denied;
        reason = e->fault.text;
        await = NULL;
    }
    if (error)
        exchange_refuse(e, error, reason);
    else if (!await)
        exchange_sign(e);
    store_snapshot_end(broker->store);
}

// The same error, with what is wrong instead of the constant description. Quotes
// may not stand in one (RFC 6749 section 5.2). It may quote what was sent, so it is for
// the client only: the log has the rule that was broken.
static const struct oauth_error *name_mistake(struct exchange *e, const struct oauth_error *error,
                                              const char *mistake) {
    char said[sizeof e->fault.text];
    snprintf(said, sizeof said, "%s", mistake); // may view the fault itself
    for (char *c = said; *c; c++)
        if (*c == '"')
            *c = '\'';
    memcpy(e->fault.text, said, sizeof said);
    e->form_error = (struct oauth_error){error->status, error->code, e->fault.text};
    return &e->form_error;
}

static const struct oauth_error *begin(struct exchange *e, const char **ret_reason) {
    vlt_result result = oauth_form_read(e->x, &e->fault, &e->form);
    if (!vlt_is_ok(result)) {
        *ret_reason = result.reason;
        return result.class == VLT_UNAVAILABLE
                   ? &oauth_unavailable
                   : name_mistake(e, &oauth_invalid_request, fault_or_reason(&e->fault, result));
    }
    const struct oauth_error *error = exchange_check_form(e, ret_reason);
    return error ? name_mistake(e, error, e->fault.text[0] ? e->fault.text : *ret_reason)
                 : exchange_prove(e, ret_reason);
}

void op_token(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct exchange *e = calloc(1, sizeof *e);
    const char *reason = "";
    if (!e) {
        http_exchange_reply_oauth_error(x, 503, "temporarily_unavailable", NULL, NULL, 0);
        return;
    }
    e->broker = ctx;
    e->x = x;
    request_id_take(x, e->correlation);
    if (!bytes_to_text(broker_tenant_name(parameters), e->tenant_name, sizeof e->tenant_name) ||
        !token_issuer_text(bytes_of_text(e->broker->issuer), bytes_of_text(e->tenant_name),
                           e->issuer)) {
        exchange_refuse(e, &oauth_denied, "no such tenant");
        return;
    }
    const struct oauth_error *error = begin(e, &reason);
    if (error)
        exchange_refuse(e, error, reason);
    else
        go_on(e);
}
