// SPDX-License-Identifier: Apache-2.0
// The public halves of our signing keys, from the store, parsed once and kept
// until the store changes them. Used by the roles that verify our tokens without
// holding a key (broker, redeemer) and to publish the JWKS.
#ifndef VLT_VIEW_SIGNING_KEYS_H
#define VLT_VIEW_SIGNING_KEYS_H

#include "libvault/crypto/jwk.h"
#include "libvault/store/store.h"

struct signing_keys {
    struct jwk_set *set;       // NULL until loaded
    json_t *document;          // {"keys":[…]}: the JWKS as it is published
    bool is_stale;             // set when the store says that keys changed
};
// Within an open snapshot: loads when stale or not loaded. VLT_NOT_FOUND: the
// vault has no keys yet.
vlt_result signing_keys_load(struct signing_keys *keys, struct store *store) VLT_MUST_USE;
void signing_keys_done(struct signing_keys *keys);

#endif
