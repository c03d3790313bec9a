// SPDX-License-Identifier: Apache-2.0
// The broker: speaks OAuth 2.0 with agents, people and CI jobs. It verifies who
// they are, asks the policies what they may, and asks the keeper to sign. It
// holds no secret but the key of its TLS certificate.
//
// One loop, one thread; several workers may share the listening socket.
#ifndef VLT_BROKER_BROKER_H
#define VLT_BROKER_BROKER_H

#include "libvault/identity/dpop.h"
#include "libvault/identity/subject.h"
#include "vaultd/net/http_router.h"
#include "vaultd/policy/decide.h"
#include "vaultd/role/role.h"
#include "vaultd/view/signing_keys.h"
#include "vaultd/view/tenant_view.h"

struct broker {
    struct role *role;
    char issuer[IPC_TEXT_MAX + 1], store_path[IPC_TEXT_MAX + 1];
    uint32_t token_lifetime_s;
    struct store *store;              // NULL until there is one: use broker_snapshot
    struct channel *keeper, *auditor; // NULL while that role restarts
    struct http_server *server;
    struct http_router router;
    struct signing_keys keys;
    struct tenant_view tenants;
    struct jwks_cache *jwks;
    struct issuer_book *book;
    struct subject_cache *subjects;
    struct policy_cache *policies;
    struct decider *decider;
    struct dpop_nonces *nonces;
    struct jws_headers *headers; // of subject tokens and proofs
};

// The store, opened on first use, with a snapshot begun. VLT_UNAVAILABLE while
// there is none.
vlt_result broker_snapshot(struct broker *broker) VLT_MUST_USE;

// The tenant of a request's path: {tenant} of /t/{tenant}/…, else "default".
struct bytes broker_tenant_name(const struct http_parameters *parameters);
// Within a snapshot: that tenant when it is there and enabled, else VLT_DENIED,
// so that nobody learns which tenants there are.
vlt_result broker_tenant(struct broker *broker, struct bytes name,
                         struct record_tenant *ret_tenant) VLT_MUST_USE;

http_route_handler op_token, op_introspect, op_revoke, op_metadata, op_jwks, op_health, op_ready;
http_route_handler op_evaluation, op_evaluations, op_authzen_metadata;
extern const struct http_route broker_routes[];
extern const size_t broker_route_count;

#endif
