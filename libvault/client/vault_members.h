// SPDX-License-Identifier: Apache-2.0
// Inside of a vault; for libvault/client/*.c only.
#ifndef VLT_CLIENT_VAULT_MEMBERS_H
#define VLT_CLIENT_VAULT_MEMBERS_H

#include "libvault/client/client_http.h"

struct vault {
    struct client_http *http;
    json_t *problem; // owned; of the last error answer
    unsigned status;
    char dpop_nonce[256]; // the broker's newest
};

// Sends, and turns the answer into a result as vault.h says. *ret_body as in
// vault_call.
vlt_result vault_send(struct vault *vault, const struct client_request *request,
                      struct fault *fault, json_t **ret_body, uint64_t *ret_revision) VLT_MUST_USE;

// Appends name=value to an application/x-www-form-urlencoded body.
void vault_put_parameter(struct buf *out, const char *name, const char *value);

#endif
