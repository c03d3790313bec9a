// SPDX-License-Identifier: Apache-2.0
// Authenticates whoever asks about tokens or decisions (introspection, AuthZEN):
// an enrolled forwarder by its client certificate, or a principal of the tenant
// by a token of its identity provider as Bearer.
#ifndef VLT_BROKER_CALLER_H
#define VLT_BROKER_CALLER_H

#include "libvault/store/record_tenant.h"
#include "vaultd/broker/broker.h"

struct caller {
    struct broker *broker;
    struct http_exchange *x;
    char tenant_name[RECORD_NAME_MAX + 1];
    struct record_tenant tenant;
    struct subject *subject;                 // NULL: a forwarder
    char forwarder[RECORD_NAME_MAX + 1];     // "" for a principal
};
// Calls `done` once, with a snapshot of the store open, when the caller is known.
// Otherwise answers itself: 401 with a challenge, or 503. `done` must answer x;
// the caller is freed when it returns.
typedef void caller_done_fn(struct caller *caller);
void caller_authenticate(struct broker *broker, struct http_exchange *x,
                         const struct http_parameters *parameters, caller_done_fn *done);

#endif
