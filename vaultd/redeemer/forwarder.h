// SPDX-License-Identifier: Apache-2.0
// Which enrolled forwarder is at the other end: by the uid of its unix socket or
// by the thumbprint of its client certificate. Nobody else may redeem.
#ifndef VLT_REDEEMER_FORWARDER_H
#define VLT_REDEEMER_FORWARDER_H

#include "libvault/store/record_forwarder.h"
#include "vaultd/net/http_server.h"

// Within an open snapshot. VLT_DENIED when nobody is enrolled with that identity.
vlt_result forwarder_find(struct store *store, const struct http_peer *peer,
                          struct record_forwarder *ret_forwarder) VLT_MUST_USE;
bool forwarder_serves(const struct record_forwarder *forwarder, struct bytes tenant);

#endif
