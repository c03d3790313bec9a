// SPDX-License-Identifier: Apache-2.0
// What the store has about one credential, and writing it back: description and
// state always change together. For the keeper's calls that change a credential.
#ifndef VLT_KEEPER_CREDENTIAL_THERE_H
#define VLT_KEEPER_CREDENTIAL_THERE_H

#include "libvault/store/record_credential.h"
#include "vaultd/keeper/change.h"

struct credential_there {
    struct record_credential record; // owned
    struct record_credential_state state;
    uint64_t record_revision, state_revision;
};

// Within a snapshot. VLT_NOT_FOUND also for one that was deleted; VLT_CONFLICT
// when it has another revision than the expected one (0: any).
vlt_result credential_there_read(struct keeper *keeper, uint32_t tenant, struct bytes name,
                                 uint64_t expected_revision,
                                 struct credential_there *ret_there) VLT_MUST_USE;
// The same for one that was deleted, too: its numbers count on.
vlt_result credential_there_read_any(struct keeper *keeper, uint32_t tenant, struct bytes name,
                                     struct credential_there *ret_there) VLT_MUST_USE;
void credential_there_done(struct credential_there *there);

// Profile, hosts and parameters belong to a value: they come into use with it.
vlt_result credential_there_take(struct credential_there *there,
                                 const struct record_credential_secret *secret) VLT_MUST_USE;
// Adds both records as `there.record` is now. VLT_UNAVAILABLE: out of memory.
vlt_result credential_there_add(const struct credential_there *there, uint32_t tenant,
                                struct change *change) VLT_MUST_USE;

#endif
