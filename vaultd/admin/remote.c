// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/http/http_media.h"
#include "vaultd/admin/remote_members.h"
#include "vaultd/admin/work.h"
#include "vaultd/view/issuer_health.h"

#define AWAITS_MAX 2 // of key sets, for one request

struct asking {
    struct admin *admin;
    struct http_exchange *x;
    unsigned await_count;
    bool is_at_gate; // there is no body yet
};

// ---- Life ----

void admin_remote_free(struct admin_remote *remote) {
    if (!remote)
        return;
    policy_request_free(remote->request);
    policy_cache_free(remote->policies);
    issuer_book_free(remote->book);
    jwks_cache_free(remote->jwks);
    free(remote);
}

vlt_result admin_remote_new(struct event_base *base, const char *tenant, struct bytes roots,
                            struct fault *fault, struct admin_remote **ret_remote) {
    struct admin_remote *remote = calloc(1, sizeof *remote);
    if (!remote)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    snprintf(remote->tenant, sizeof remote->tenant, "%s", tenant);
    vlt_result result = jwks_cache_new(base, roots, fault, &remote->jwks);
    if (vlt_is_ok(result)) {
        issuer_health_log(remote->jwks);
        remote->book = issuer_book_new(remote->jwks);
        remote->policies = policy_cache_new();
        remote->request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
        if (!remote->book || !remote->policies || !remote->request)
            result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    if (!vlt_is_ok(result)) {
        admin_remote_free(remote);
        return result;
    }
    *ret_remote = remote;
    return result;
}

vlt_result admin_remote_reload(struct admin_remote *remote, const char *tenant, struct bytes roots,
                               struct fault *fault) {
    VLT_TRY(jwks_cache_set_roots(remote->jwks, roots, fault));
    snprintf(remote->tenant, sizeof remote->tenant, "%s", tenant);
    return vlt_ok();
}

// ---- Who is it ----

static vlt_result bearer_verify(struct asking *asking, struct store *store,
                                struct subject **ret_subject, struct jwks_entry **ret_await) {
    struct admin_remote *remote = asking->admin->remote;
    struct bytes value, scheme, token;
    struct record_tenant tenant;
    VLT_TRY(record_tenant_find(store, bytes_of_text(remote->tenant), &tenant));
    if (tenant.disabled)
        return vlt_fail(VLT_DENIED, "the tenant of the administrators is disabled");
    if (http_header_find(&http_exchange_request(asking->x)->fields, "authorization", &value) != 1)
        return vlt_fail(VLT_DENIED, "no Authorization, or more than one");
    VLT_TRY(http_authorization_parse(value, &scheme, &token));
    if (!bytes_equal_nocase(scheme, BYTES_LITERAL("Bearer")))
        return vlt_fail(VLT_DENIED, "the scheme of Authorization is not Bearer");
    const struct subject_expectation expected = {.book = remote->book,
                                                 .store = store,
                                                 .tenant = tenant.number,
                                                 .now_s = clock_now_s(),
                                                 .type = SUBJECT_JWT};
    VLT_TRY(subject_verify(token, &expected, ret_subject, ret_await));
    // A token that is bound to a key is not a bearer token (RFC 9449 section 7.1).
    if (!(*ret_subject)->key_thumbprint.size)
        return vlt_ok();
    subject_free(*ret_subject);
    *ret_subject = NULL;
    return vlt_fail(VLT_DENIED, "the token is bound to a key");
}

static void caller_set(struct admin *admin, struct http_exchange *x, struct bytes name) {
    snprintf(admin->caller.name, sizeof admin->caller.name, "%.*s", (int)name.size,
             (const char *)name.at);
    snprintf(admin->caller.source, sizeof admin->caller.source, "%s",
             http_exchange_peer(x)->address);
}

static void refuse(struct asking *asking, unsigned status, const char *reason) {
    caller_set(asking->admin, asking->x, BYTES_LITERAL("unknown"));
    struct admin_work *work = work_new(asking->admin, asking->x, "admin.connect");
    if (work)
        work_deny(work, status, reason);
    free(asking);
}

static void refuse_keyless(struct asking *asking, const struct jwks_entry *entry) {
    vlt_result result = jwks_entry_refuse(entry, NULL); // the log has the rest already
    refuse(asking, result.class == VLT_UNAVAILABLE ? 503 : 401, result.reason);
}

static void serve(struct asking *asking, struct subject *subject) {
    struct admin *admin = asking->admin;
    if (asking->is_at_gate) {
        http_exchange_read_body(asking->x);
    } else {
        caller_set(admin, asking->x, subject->principal);
        admin->remote->subject = subject;
        http_router_dispatch(&admin->router, asking->x);
        admin->remote->subject = NULL;
    }
    subject_free(subject);
    free(asking);
}

static void go_on(void *context) {
    struct asking *asking = context;
    struct store *store;
    struct subject *subject = NULL;
    struct jwks_entry *await = NULL;
    if (!store_begin(asking->admin, asking->x, &store)) {
        free(asking);
        return;
    }
    vlt_result result = bearer_verify(asking, store, &subject, &await);
    store_snapshot_end(store);
    if (vlt_is_ok(result))
        serve(asking, subject);
    else if (!await)
        refuse(asking, 401, result.reason);
    else if (asking->await_count++ >= AWAITS_MAX ||
             !vlt_is_ok(jwks_entry_await(await, go_on, asking)))
        refuse_keyless(asking, await);
}

static void ask(struct admin *admin, struct http_exchange *x, bool is_at_gate) {
    struct asking *asking = calloc(1, sizeof *asking);
    if (!asking) {
        answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
        return;
    }
    asking->admin = admin;
    asking->x = x;
    asking->is_at_gate = is_at_gate;
    caller_set(admin, x, BYTES_LITERAL("unknown"));
    go_on(asking);
}

void admin_remote_dispatch(struct admin *admin, struct http_exchange *x) { ask(admin, x, false); }
void admin_remote_gate(struct admin *admin, struct http_exchange *x) { ask(admin, x, true); }
