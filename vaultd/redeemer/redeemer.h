// SPDX-License-Identifier: Apache-2.0
// The redeemer: turns one token plus the facts of one request into what an
// enrolled forwarder must put into that request. It verifies the token and the
// proof of possession, asks the policies, and then the keeper, which verifies
// everything again before it decrypts. It sees one credential for one request,
// in locked memory.
//
// One loop, one thread. HTTP over a unix socket (peer credentials) and, when
// configured, over mutual TLS.
#ifndef VLT_REDEEMER_REDEEMER_H
#define VLT_REDEEMER_REDEEMER_H

#include "forward/core/profile.h"
#include "vaultd/net/http_router.h"
#include "vaultd/policy/decide.h"
#include "vaultd/redeemer/forwarder.h"
#include "vaultd/role/role.h"
#include "vaultd/view/signing_keys.h"
#include "vaultd/view/tenant_view.h"

// POST /v1/standing: how much a forwarder may ask about at once.
#define STANDING_GRANTS_MAX 128
#define STANDING_BODY_MAX 65536

struct watcher;
struct token_cache;
struct verdict_memo;

struct redeemer {
    struct role *role;
    char issuer[IPC_TEXT_MAX + 1], store_path[IPC_TEXT_MAX + 1];
    uint32_t cache_max_s;
    struct store *store;              // NULL until there is one: use redeemer_store
    struct profile_set *profiles;
    struct channel *keeper, *auditor; // NULL while that role restarts
    struct http_server *server;
    struct http_router router;
    struct signing_keys keys;
    struct token_cache *tokens;
    struct forwarders forwarders;
    struct tenant_view tenants;
    struct policy_cache *policies;
    struct decider *decider;
    struct verdict_memo *verdicts;
    struct jws_headers *headers; // of proofs
    struct secret *rendered;     // room for what a credential becomes, before its size is known
    uint64_t epoch;                   // grows with every change that may end an answer
    // The revision of the store when something that ends what has begun was last
    // changed: the same in every redeemer of this vault.
    uint64_t standing;
    struct watcher *watchers;
    struct event *heartbeat;
};

// The store, opened on first use, with a snapshot begun. VLT_UNAVAILABLE while
// there is none.
vlt_result redeemer_snapshot(struct redeemer *redeemer) VLT_MUST_USE;

http_route_handler op_redeem, op_standing, op_watch, op_health, op_ready;
void watchers_tell(struct redeemer *redeemer); // epoch or standing changed
void watchers_end(struct redeemer *redeemer);  // drain

#endif
