// SPDX-License-Identifier: Apache-2.0
// A value comes in, sealed to the intake key: the change that stores it as a new
// version. For the calls that bring one: of an administrator, and of the rotator.
//
// Order: credential_put_prepare in a snapshot; when the data key is not loaded,
// park the call; else credential_put_fill and change_run. The change's `answer`
// must give its `context` to datakey_use_end.
#ifndef VLT_KEEPER_CREDENTIAL_PUT_H
#define VLT_KEEPER_CREDENTIAL_PUT_H

#include "vaultd/ipc/credential_change.h"
#include "vaultd/ipc/reasons.h"
#include "vaultd/keeper/credential_there.h"

struct credential_put {
    struct credential_there there; // becomes what it is to be
    uint32_t version;              // of the value that comes in
    uint32_t data_key;
    char *parameters; // canonical JSON, owned
};

// VLT_NOT_FOUND, VLT_CONFLICT, VLT_MALFORMED, VLT_LIMIT: said to the caller.
vlt_result credential_put_prepare(struct keeper *keeper, const struct ask_credential_put *ask,
                                  struct credential_put *ret_put) VLT_MUST_USE;
vlt_result credential_put_fill(struct keeper *keeper, const struct ask_credential_put *ask,
                               const struct credential_put *put,
                               struct change *change) VLT_MUST_USE;
void credential_put_done(struct credential_put *put);

#endif
