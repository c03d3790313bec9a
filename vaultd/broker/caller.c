// SPDX-License-Identifier: Apache-2.0
#include "vaultd/broker/caller.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/http/http_media.h"
#include "libvault/secret/secret.h"
#include "libvault/store/record_forwarder.h"

#define AWAITS_MAX 2

struct asking {
    struct caller caller;
    caller_done_fn *done;
    unsigned await_count;
};

struct audit_event caller_event(const struct caller *caller, enum audit_outcome outcome,
                                const char *reason) {
    struct audit_event event = {.kind = (uint8_t)caller->question->kind,
                                .outcome = (uint8_t)outcome,
                                .tenant = bytes_of_text(caller->tenant_name),
                                .operation = bytes_of_text(caller->question->operation),
                                .forwarder = bytes_of_text(caller->forwarder),
                                .reason = bytes_of_text(reason),
                                .source = bytes_of_text(http_exchange_peer(caller->x)->address),
                                .correlation = bytes_of_text(caller->request_id)};
    if (caller->subject) {
        event.principal = caller->subject->principal;
        event.client = caller->subject->client;
    }
    return event;
}

static struct refusal refusal_of(const struct caller *caller, unsigned status,
                                 const char *description) {
    struct refusal refusal = {.broker = caller->broker,
                              .x = caller->x,
                              .form = caller->question->form,
                              .status = status,
                              .code = "invalid_request"};
    snprintf(refusal.description, sizeof refusal.description, "%s", description);
    memcpy(refusal.request_id, caller->request_id, sizeof refusal.request_id);
    if (status == 503)
        refusal_set_unavailable(&refusal);
    return refusal;
}

void caller_refuse(const struct caller *caller, unsigned status, const char *description,
                   const char *reason) {
    const struct refusal refusal = refusal_of(caller, status, description);
    const struct audit_event event = caller_event(caller, AUDIT_DENY, reason);
    refusal_run(&refusal, &event, reason);
}

void caller_refuse_malformed(const struct caller *caller, const char *description,
                             const char *rule) {
    char reason[160];
    snprintf(reason, sizeof reason, REASON_MALFORMED ": %s", rule);
    caller_refuse(caller, 400, description, reason);
}

// Who sent nothing is told the scheme and no error (RFC 6750 section 3.1).
static void refuse_stranger(const struct caller *caller, const char *reason) {
    struct bytes sent;
    bool is_sent =
        http_header_find(&http_exchange_request(caller->x)->fields, "authorization", &sent) > 0;
    struct refusal refusal =
        refusal_of(caller, 401, "Send a token of a trusted identity provider as Bearer.");
    const struct audit_event event = caller_event(caller, AUDIT_DENY, reason);
    refusal.form = REFUSAL_OAUTH;
    refusal.code = "invalid_token";
    refusal.challenge = is_sent ? "Bearer error=\"invalid_token\"" : "Bearer";
    refusal_run(&refusal, &event, reason);
}

static void refuse(struct asking *asking, vlt_result why) {
    if (why.class == VLT_UNAVAILABLE)
        caller_refuse(&asking->caller, 503, "", why.reason);
    else
        refuse_stranger(&asking->caller, why.reason);
    subject_free(asking->caller.subject);
    free(asking);
}

static bool serves_tenant(const struct record_forwarder *forwarder, const char *tenant) {
    for (size_t i = 0; i < forwarder->tenant_count; i++)
        if (strcmp(forwarder->tenants[i], tenant) == 0)
            return true;
    return forwarder->tenant_count == 0;
}

static bool look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct caller *caller = context;
    const struct http_peer *peer = http_exchange_peer(caller->x);
    struct record_forwarder forwarder;
    if (vlt_is_ok(record_forwarder_parse(value, NULL, &forwarder)) && !forwarder.disabled &&
        forwarder.has_certificate &&
        secret_equal(bytes_of(forwarder.certificate, 32), bytes_of(peer->thumbprint, 32)) &&
        serves_tenant(&forwarder, caller->tenant_name))
        memcpy(caller->forwarder, forwarder.name, sizeof caller->forwarder);
    return !caller->forwarder[0];
}

static bool is_forwarder(struct caller *caller) {
    if (!http_exchange_peer(caller->x)->has_certificate)
        return false;
    vlt_result result = store_each(caller->broker->store, STORE_SYSTEM_TENANT, STORE_FORWARDER,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), look, caller);
    return vlt_is_ok(result) && caller->forwarder[0];
}

static vlt_result verify_bearer(struct caller *caller, struct jwks_entry **ret_await) {
    struct bytes value, scheme, token;
    if (http_header_find(&http_exchange_request(caller->x)->fields, "authorization", &value) != 1)
        return vlt_fail(VLT_DENIED, "no Authorization");
    VLT_TRY(http_authorization_parse(value, &scheme, &token));
    if (!bytes_equal_nocase(scheme, BYTES_LITERAL("Bearer")))
        return vlt_fail(VLT_DENIED, "not Bearer");
    const struct subject_expectation expected = {.book = caller->broker->book,
                                                 .cache = caller->broker->subjects,
                                                 .headers = caller->broker->headers,
                                                 .store = caller->broker->store,
                                                 .tenant = caller->tenant.number,
                                                 .now_s = clock_now_s(),
                                                 .type = SUBJECT_JWT};
    VLT_TRY(subject_verify(token, &expected, &caller->subject, ret_await));
    if (caller->subject->key_thumbprint.size == 0)
        return vlt_ok();
    // A token that is bound to a key is not a bearer token (RFC 9449 section 7.1), and who
    // sent it has not proven to be its subject: no entry names it.
    subject_free(caller->subject);
    caller->subject = NULL;
    return vlt_fail(VLT_DENIED, "bound to a key");
}

static void go_on(void *context) {
    struct asking *asking = context;
    struct caller *caller = &asking->caller;
    struct broker *broker = caller->broker;
    struct jwks_entry *await = NULL;
    vlt_result result = broker_snapshot(broker);
    if (!vlt_is_ok(result)) {
        refuse(asking, result);
        return;
    }
    result = broker_tenant(broker, bytes_of_text(caller->tenant_name), &caller->tenant);
    if (vlt_is_ok(result) && !is_forwarder(caller))
        result = verify_bearer(caller, &await);
    if (vlt_is_ok(result)) {
        asking->done(caller);
        subject_free(caller->subject);
        free(asking);
    } else if (!await) {
        refuse(asking, result);
    } else if (asking->await_count++ >= AWAITS_MAX ||
               !vlt_is_ok(jwks_entry_await(await, go_on, asking))) {
        refuse(asking, jwks_entry_refuse(await, NULL));
    }
    store_snapshot_end(broker->store);
}

void caller_authenticate(struct broker *broker, struct http_exchange *x,
                         const struct http_parameters *parameters,
                         const struct caller_question *question, caller_done_fn *done) {
    struct asking *asking = calloc(1, sizeof *asking);
    if (!asking) {
        http_exchange_reply_oauth_error(x, 503, "temporarily_unavailable", NULL, NULL, 0);
        return;
    }
    asking->caller.broker = broker;
    asking->caller.x = x;
    asking->caller.question = question;
    asking->done = done;
    request_id_take(x, asking->caller.request_id);
    if (!bytes_to_text(broker_tenant_name(parameters), asking->caller.tenant_name,
                       sizeof asking->caller.tenant_name))
        refuse(asking, vlt_fail(VLT_DENIED, "no such tenant, or it is disabled"));
    else
        go_on(asking);
}
