// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/forwarder.h"

#include "libvault/secret/secret.h"

struct search {
    const struct http_peer *peer;
    struct record_forwarder *found;
    bool is_found;
};

static bool is_the_peer(const struct record_forwarder *forwarder, const struct http_peer *peer) {
    if (forwarder->disabled)
        return false;
    if (peer->is_unix)
        return forwarder->has_uid && forwarder->uid == peer->uid;
    return peer->has_certificate && forwarder->has_certificate &&
           secret_equal(bytes_of(peer->thumbprint, 32), bytes_of(forwarder->certificate, 32));
}

static bool look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct search *search = context;
    search->is_found = vlt_is_ok(record_forwarder_parse(value, NULL, search->found)) &&
                       is_the_peer(search->found, search->peer);
    return !search->is_found;
}

vlt_result forwarder_find(struct store *store, const struct http_peer *peer,
                          struct record_forwarder *ret_forwarder) {
    struct record_forwarder candidate;
    struct search search = {.peer = peer, .found = &candidate};
    VLT_TRY(store_each(store, STORE_SYSTEM_TENANT, STORE_FORWARDER, bytes_of(NULL, 0), bytes_of(NULL, 0), look, &search));
    if (!search.is_found)
        return vlt_fail(VLT_DENIED, "no forwarder is enrolled with this uid or certificate");
    *ret_forwarder = candidate;
    return vlt_ok();
}

bool forwarder_serves(const struct record_forwarder *forwarder, struct bytes tenant) {
    for (size_t i = 0; i < forwarder->tenant_count; i++)
        if (bytes_equal_text(tenant, forwarder->tenants[i]))
            return true;
    return forwarder->tenant_count == 0;
}
