// SPDX-License-Identifier: Apache-2.0
// The keeper and the auditor that the admin role meets in admin_harness: they answer the real
// messages, commit into a real store, and share one state.
#ifndef VLT_TESTS_UNIT_ADMIN_HARNESS_KEEPER_H
#define VLT_TESTS_UNIT_ADMIN_HARNESS_KEEPER_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "libvault/base/buf.h"
#include "libvault/store/store.h"
#include "vaultd/ipc/channel.h"

struct harness_keeper {
    enum keeper_state state;
    const char *init_fails; // as harness_settings has it
    struct store *store;
    EVP_PKEY *intake;
    uint32_t tenants;
    char opened[65]; // SHA-256 of the last value
    char rule[600];  // the last revocation
    struct buf log;  // JSON lines
    uint64_t log_count;
};

// Ends the process and says what does not hold.
void must(bool holds, const char *what);
// For struct channel_events; `context` is the struct harness_keeper.
void harness_auditor_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                           void *context);
void harness_keeper_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                          void *context);
bool harness_keeper_permits(unsigned states, void *context);

#endif
