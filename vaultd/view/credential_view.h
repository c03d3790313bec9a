// SPDX-License-Identifier: Apache-2.0
// What is public of a credential's version in use: what policies are asked about
// and where it may be sent. Roles that hold no key read it (broker, redeemer);
// the keeper binds the same facts into the ciphertext.
#ifndef VLT_VIEW_CREDENTIAL_VIEW_H
#define VLT_VIEW_CREDENTIAL_VIEW_H

#include "libvault/store/record_credential.h"

struct credential_view {
    uint32_t version;
    uint64_t created_at;
    struct bytes profile; // borrowed from the snapshot, as are the hosts
    struct bytes hosts[RECORD_HOSTS_MAX];
    size_t host_count;
};
// Within an open snapshot. VLT_NOT_FOUND; VLT_DENIED when it is disabled.
vlt_result credential_view_read(struct store *store, uint32_t tenant, struct bytes name,
                                struct credential_view *ret_view) VLT_MUST_USE;
bool credential_view_serves(const struct credential_view *view, struct bytes host);

#endif
