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

static const struct record_forwarder *find_known(const struct forwarders *forwarders,
                                                 const struct http_peer *peer) {
    for (size_t i = 0; i < FORWARDERS_KNOWN; i++) {
        bool is_same = forwarders->known[i].is_used &&
                       forwarders->known[i].is_unix == peer->is_unix &&
                       forwarders->known[i].uid == peer->uid &&
                       secret_equal(bytes_of(forwarders->known[i].thumbprint, 32),
                                    bytes_of(peer->thumbprint, 32));
        if (is_same)
            return &forwarders->known[i].forwarder;
    }
    return NULL;
}

static const struct record_forwarder *remember(struct forwarders *forwarders,
                                               const struct http_peer *peer,
                                               const struct record_forwarder *forwarder) {
    size_t i = forwarders->next++ % FORWARDERS_KNOWN;
    forwarders->known[i].is_used = true;
    forwarders->known[i].is_unix = peer->is_unix;
    forwarders->known[i].uid = peer->uid;
    memcpy(forwarders->known[i].thumbprint, peer->thumbprint, 32);
    forwarders->known[i].forwarder = *forwarder;
    return &forwarders->known[i].forwarder;
}

vlt_result forwarder_find(struct forwarders *forwarders, struct store *store,
                          const struct http_peer *peer,
                          const struct record_forwarder **ret_forwarder) {
    struct record_forwarder candidate;
    struct search search = {.peer = peer, .found = &candidate};
    uint64_t revision = store_snapshot_revision(store);
    if (forwarders->revision != revision)
        *forwarders = (struct forwarders){.revision = revision};
    const struct record_forwarder *known = find_known(forwarders, peer);
    if (known) {
        *ret_forwarder = known;
        return vlt_ok();
    }
    VLT_TRY(store_each(store, STORE_SYSTEM_TENANT, STORE_FORWARDER, bytes_of(NULL, 0),
                       bytes_of(NULL, 0), look, &search));
    if (!search.is_found)
        return vlt_fail(VLT_DENIED, "no forwarder is enrolled with this uid or certificate");
    *ret_forwarder = remember(forwarders, peer, &candidate);
    return vlt_ok();
}

bool forwarder_serves(const struct record_forwarder *forwarder, struct bytes tenant) {
    for (size_t i = 0; i < forwarder->tenant_count; i++)
        if (bytes_equal_text(tenant, forwarder->tenants[i]))
            return true;
    return forwarder->tenant_count == 0;
}
