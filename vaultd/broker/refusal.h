// SPDX-License-Identifier: Apache-2.0
// A request that the broker refuses without asking anybody: the entry of the audit log
// first, then the answer.
#ifndef VLT_BROKER_REFUSAL_H
#define VLT_BROKER_REFUSAL_H

#include "libvault/audit/event.h"
#include "vaultd/broker/broker.h"
#include "vaultd/broker/request_id.h"
#include "vaultd/ipc/reasons.h"

enum refusal_form {
    REFUSAL_OAUTH,   // an OAuth error
    REFUSAL_PROBLEM, // problem+json
    REFUSAL_SILENT   // 200 without a body: the caller does not learn that it was refused
};

struct refusal {
    struct broker *broker;
    struct http_exchange *x;
    enum refusal_form form;
    unsigned status;
    const char *code;      // static; of an OAuth error
    const char *challenge; // static; WWW-Authenticate. NULL: none
    char description[480];
    char request_id[REQUEST_ID_SIZE];
    bool names_entry;      // the answer says which entry of the audit log it is
};
// What the broker says when nobody can decide: 503.
void refusal_set_unavailable(struct refusal *refusal);
// Has `event` recorded as a denial (of a 503: as an error) with the reason, and answers;
// with 503 when it can not be recorded. Copies what it needs.
void refusal_run(const struct refusal *refusal, const struct audit_event *event,
                 const char *reason);

// For http_router.too_large.
http_route_too_large refusal_too_large;

#endif
