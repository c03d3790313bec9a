// SPDX-License-Identifier: Apache-2.0
// Which enrolled forwarder is at the other end: by the uid of its unix socket or
// by the thumbprint of its client certificate. Nobody else may redeem.
#ifndef VLT_REDEEMER_FORWARDER_H
#define VLT_REDEEMER_FORWARDER_H

#include "libvault/store/record_forwarder.h"
#include "vaultd/net/http_server.h"

// Who was found lately: good until the store changes.
#define FORWARDERS_KNOWN 8
struct forwarders {
    uint64_t revision; // of the store that `known` was read from
    size_t next;
    struct {
        bool is_used, is_unix;
        uid_t uid;
        uint8_t thumbprint[32];
        struct record_forwarder forwarder;
    } known[FORWARDERS_KNOWN];
};

// Within an open snapshot; the forwarder is borrowed until the next call. VLT_DENIED when
// nobody is enrolled with that identity.
vlt_result forwarder_find(struct forwarders *forwarders, struct store *store,
                          const struct http_peer *peer,
                          const struct record_forwarder **ret_forwarder) VLT_MUST_USE;
bool forwarder_serves(const struct record_forwarder *forwarder, struct bytes tenant);

#endif
