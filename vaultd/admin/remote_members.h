// SPDX-License-Identifier: Apache-2.0
// Inside of admin_remote; for vaultd/admin/remote.c and permit.c only.
#ifndef VLT_ADMIN_REMOTE_MEMBERS_H
#define VLT_ADMIN_REMOTE_MEMBERS_H

#include "vaultd/admin/remote.h"
#include "vaultd/policy/policy_cache.h"

struct admin_remote {
    char tenant[RECORD_NAME_MAX + 1]; // whose issuers and policies admit administrators
    struct jwks_cache *jwks;
    struct issuer_book *book;
    struct policy_cache *policies;
    struct policy_request *request;   // reused
    const struct subject *subject;    // of the request in dispatch; NULL: none is
};

#endif
