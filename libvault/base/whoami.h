// SPDX-License-Identifier: Apache-2.0
// As whom this process runs, for messages: files that can not be read have owners.
#ifndef VLT_BASE_WHOAMI_H
#define VLT_BASE_WHOAMI_H

#define WHOAMI_SIZE 64

struct whoami {
    char text[WHOAMI_SIZE]; // "vault-keeper", or "uid 998" where /etc/passwd has no name for it
};

// Looks into /etc/passwd alone and loads nothing, so that it works in a sandbox.
struct whoami whoami(void);

#endif
