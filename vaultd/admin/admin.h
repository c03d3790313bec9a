// SPDX-License-Identifier: Apache-2.0
// The admin role: who administers the vault, and what they may ask. It parses
// HTTP and JSON, authorizes the caller, checks every member and passes typed
// fields on to the keeper. It holds no key and sees no credential: values arrive
// sealed to the intake key and are passed on as they are.
//
// One loop, one thread. The store is open read-only, for what is not secret.
#ifndef VLT_ADMIN_ADMIN_H
#define VLT_ADMIN_ADMIN_H

#include "forward/core/profile.h"
#include "libvault/store/store.h"
#include "vaultd/ipc/channel.h"
#include "vaultd/net/http_router.h"

#define ADMIN_UIDS_MAX 64
#define ADMIN_CALLER_SIZE 257 // of audit_event.administrator
#define ADMIN_SOURCE_SIZE 65

struct admin_uid {
    uint32_t uid;
    char name[64]; // of the account, looked up before the sandbox; may be empty
};

// Who sent the request that is being dispatched.
struct admin_caller {
    char name[ADMIN_CALLER_SIZE];   // "uid 0 (root)", or issuer|subject
    char source[ADMIN_SOURCE_SIZE]; // "unix uid 0", or an address
};

struct admin_remote; // administrators over TLS, see remote.h

struct admin {
    struct event_base *base;
    char *store_path, *profiles_dir;
    struct admin_uid uids[ADMIN_UIDS_MAX];
    size_t uid_count;
    struct profile_set *profiles;
    struct recipe_set *recipes;
    uint8_t programs[2048]; // names of driver programs: list of texts
    size_t programs_bytes;
    struct store *store;         // NULL until it could be opened: use admin_store
    struct channel *keeper, *auditor; // NULL while that role restarts; owned by the role
    struct channel *shipper;          // NULL while it restarts, and where nothing is shipped
    bool ships;                       // something is
    struct http_server *server;
    struct http_router router;
    struct admin_caller caller;  // of the request in dispatch
    struct admin_remote *remote; // NULL: unix socket only
    struct jwks_cache *jwks;     // of issuers that an administrator has checked
};

// Also the first settings. On failure nothing is left. `frame` is a
// tell_settings_admin.
vlt_result admin_new(struct event_base *base, struct bytes frame, struct fault *fault,
                     struct admin **ret_admin) VLT_MUST_USE;
void admin_free(struct admin *admin); // NULL is fine
// New settings; on failure the old ones stay.
vlt_result admin_reload(struct admin *admin, struct bytes frame, struct fault *fault) VLT_MUST_USE;

// Takes who the peer is into admin->caller. False: nobody that is known by that alone to
// be an administrator.
bool admin_caller_take(struct admin *admin, const struct http_peer *peer);

// The store, opened on first use: before `vaultctl init` there may be none.
vlt_result admin_store(struct admin *admin, struct fault *fault,
                       struct store **ret_store) VLT_MUST_USE;

#endif
