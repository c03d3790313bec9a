// SPDX-License-Identifier: Apache-2.0
// Authenticates whoever asks about tokens or decisions (introspection, AuthZEN):
// an enrolled forwarder by its client certificate, or a principal of the tenant
// by a token of its identity provider as Bearer.
#ifndef VLT_BROKER_CALLER_H
#define VLT_BROKER_CALLER_H

#include "libvault/store/record_tenant.h"
#include "vaultd/broker/refusal.h"

// What is asked, as the audit log calls it. Static.
struct caller_question {
    enum audit_kind kind;
    const char *operation;
    enum refusal_form form; // of refusals, but for that of the caller itself
};

struct caller {
    struct broker *broker;
    struct http_exchange *x;
    const struct caller_question *question;
    char request_id[REQUEST_ID_SIZE];
    char tenant_name[RECORD_NAME_MAX + 1];
    struct record_tenant tenant;
    struct subject *subject;                 // NULL: a forwarder
    char forwarder[RECORD_NAME_MAX + 1];     // "" for a principal
};
// Calls `done` once, with a snapshot of the store open, when the caller is known.
// Otherwise answers itself, recorded first: 401 with a challenge, or 503. `done` must
// answer x; the caller is freed when it returns.
typedef void caller_done_fn(struct caller *caller);
void caller_authenticate(struct broker *broker, struct http_exchange *x,
                         const struct http_parameters *parameters,
                         const struct caller_question *question, caller_done_fn *done);
// What every entry about this question says of it; borrows from the caller.
struct audit_event caller_event(const struct caller *caller, enum audit_outcome outcome,
                                const char *reason);
// Refuses the question, recorded first; then the caller is done with its exchange.
void caller_refuse(const struct caller *caller, unsigned status, const char *description,
                   const char *reason);
// 400: what the caller is told, and for the log the rule that was broken and nothing of
// what was sent.
void caller_refuse_malformed(const struct caller *caller, const char *description,
                             const char *rule);

#endif
