// SPDX-License-Identifier: Apache-2.0
// Administrators over TLS: they present a token of an identity provider that one
// tenant (admin.oidc_tenant) trusts, and that tenant's policies decide about
// every call with the Cedar actions of group `administer`. Whoever comes over
// the unix socket was admitted by uid and is asked no policy.
#ifndef VLT_ADMIN_REMOTE_H
#define VLT_ADMIN_REMOTE_H

#include "libvault/identity/subject.h"
#include "vaultd/admin/admin.h"

// `roots` are PEM for fetching key sets, empty: the system's. Before the sandbox.
vlt_result admin_remote_new(struct event_base *base, const char *tenant, struct bytes roots,
                            struct fault *fault, struct admin_remote **ret_remote) VLT_MUST_USE;
void admin_remote_free(struct admin_remote *remote); // NULL is fine
// On failure the old ones stay.
vlt_result admin_remote_reload(struct admin_remote *remote, const char *tenant, struct bytes roots,
                               struct fault *fault) VLT_MUST_USE;

// Verifies who sent x and dispatches it as them, now or when keys have arrived;
// or records the refusal and replies 401.
void admin_remote_dispatch(struct admin *admin, struct http_exchange *x);

// The same before the body is there: reads it, or records the refusal and replies 401.
void admin_remote_gate(struct admin *admin, struct http_exchange *x);

// May the caller in dispatch do this? `action` is of the vocabulary, or
// NULL for what every known administrator may do. true at once for the unix socket. false: the
// refusal is being recorded and answered.
bool admin_permit(struct admin *admin, struct http_exchange *x,
                  const struct http_parameters *parameters, const char *action);

#endif
