// SPDX-License-Identifier: Apache-2.0
#include "vaultd/broker/caller.h"

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

static void refuse(struct asking *asking, unsigned status) {
    // Who sent nothing is told the scheme and no error (RFC 6750 section 3.1).
    struct bytes sent;
    const struct http_header headers[] = {HTTP_HEADER(
        "www-authenticate",
        bytes_of_text(http_header_find(&http_exchange_request(asking->caller.x)->fields,
                                       "authorization", &sent)
                          ? "Bearer error=\"invalid_token\""
                          : "Bearer"))};
    if (status == 401)
        http_exchange_reply_oauth_error(asking->caller.x, 401, "invalid_token",
                                        "Send a token of a trusted identity provider as Bearer.",
                                        headers, 1);
    else
        http_exchange_reply_oauth_error(asking->caller.x, 503, "temporarily_unavailable",
                                        "The vault can not decide at the moment.", NULL, 0);
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
    // A token that is bound to a key is not a bearer token (RFC 9449 section 7.1).
    return caller->subject->key_thumbprint.size ? vlt_fail(VLT_DENIED, "bound to a key") : vlt_ok();
}

static void go_on(void *context) {
    struct asking *asking = context;
    struct caller *caller = &asking->caller;
    struct broker *broker = caller->broker;
    struct jwks_entry *await = NULL;
    if (!vlt_is_ok(broker_snapshot(broker))) {
        refuse(asking, 503);
        return;
    }
    vlt_result result = broker_tenant(broker, bytes_of_text(caller->tenant_name), &caller->tenant);
    if (vlt_is_ok(result) && !is_forwarder(caller))
        result = verify_bearer(caller, &await);
    if (vlt_is_ok(result)) {
        asking->done(caller);
        subject_free(caller->subject);
        free(asking);
    } else if (!await) {
        refuse(asking, result.class == VLT_UNAVAILABLE ? 503 : 401);
    } else if (asking->await_count++ >= AWAITS_MAX ||
               !vlt_is_ok(jwks_entry_await(await, go_on, asking))) {
        result = jwks_entry_refuse(await, NULL);
        refuse(asking, result.class == VLT_UNAVAILABLE ? 503 : 401);
    }
    store_snapshot_end(broker->store);
}

void caller_authenticate(struct broker *broker, struct http_exchange *x,
                         const struct http_parameters *parameters, caller_done_fn *done) {
    struct asking *asking = calloc(1, sizeof *asking);
    if (!asking) {
        http_exchange_reply_oauth_error(x, 503, "temporarily_unavailable", NULL, NULL, 0);
        return;
    }
    asking->caller.broker = broker;
    asking->caller.x = x;
    asking->done = done;
    if (!bytes_to_text(broker_tenant_name(parameters), asking->caller.tenant_name,
                       sizeof asking->caller.tenant_name))
        refuse(asking, 401);
    else
        go_on(asking);
}
