// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/admin.h"

#include <openssl/ssl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/identity/jwks_cache.h"
#include "libvault/recipe/recipe.h"
#include "vaultd/admin/answer.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/refusal.h"
#include "vaultd/admin/remote.h"
#include "vaultd/admin/work.h"
#include "vaultd/log/log.h"
#include "vaultd/net/tls.h"

#define BODY_MEMORY_MAX (8u << 20) // the largest route; each has its own limit
#define BODY_UNKNOWN_MAX (16u << 10) // of somebody who may turn out to be nobody

// ---- Who asks ----

static const struct admin_uid *uid_find(const struct admin *admin, uint32_t uid) {
    for (size_t i = 0; i < admin->uid_count; i++)
        if (admin->uids[i].uid == uid)
            return &admin->uids[i];
    return NULL;
}

static void caller_of_uid(struct admin *admin, const struct http_peer *peer) {
    const struct admin_uid *known = uid_find(admin, peer->uid);
    const char *name = known ? known->name : "";
    snprintf(admin->caller.name, sizeof admin->caller.name, "uid %u%s%s%s", (unsigned)peer->uid,
             name[0] ? " (" : "", name, name[0] ? ")" : "");
    snprintf(admin->caller.source, sizeof admin->caller.source, "unix uid %u", (unsigned)peer->uid);
}

bool admin_caller_take(struct admin *admin, const struct http_peer *peer) {
    if (peer->is_unix) {
        caller_of_uid(admin, peer);
        return uid_find(admin, peer->uid) != NULL;
    }
    snprintf(admin->caller.name, sizeof admin->caller.name, "unknown");
    snprintf(admin->caller.source, sizeof admin->caller.source, "%s", peer->address);
    return false;
}

static void unix_deny(struct admin *admin, struct http_exchange *x) {
    struct admin_work *work = work_new(admin, x, "admin.connect");
    if (work)
        work_deny(work, 403,
                  "this account may not administer the vault: ask for its user to be added to "
                  "admin.allow_users in vaultd.conf");
}

static void unix_dispatch(struct admin *admin, struct http_exchange *x,
                          const struct http_peer *peer) {
    caller_of_uid(admin, peer);
    if (uid_find(admin, peer->uid))
        http_router_dispatch(&admin->router, x);
    else
        unix_deny(admin, x);
}

static void refuse_network(struct admin *admin, struct http_exchange *x) {
    (void)admin_caller_take(admin, http_exchange_peer(x));
    struct admin_work *work = work_new(admin, x, "admin.connect");
    if (work)
        work_deny(work, 403,
                  "administration over the network is off: set admin.oidc_tenant in the "
                  "configuration, or use the unix socket");
}

static void dispatch(struct http_exchange *x, void *ctx) {
    struct admin *admin = ctx;
    const struct http_peer *peer = http_exchange_peer(x);
    if (peer->is_unix)
        unix_dispatch(admin, x, peer);
    else if (admin->remote)
        admin_remote_dispatch(admin, x);
    else
        refuse_network(admin, x);
}

// Megabytes are read only for an administrator. What they may do is asked when all of
// it is there.
static void gate(struct http_exchange *x, void *ctx) {
    struct admin *admin = ctx;
    const struct http_peer *peer = http_exchange_peer(x);
    if (peer->is_unix && uid_find(admin, peer->uid)) {
        http_exchange_read_body(x);
    } else if (peer->is_unix) {
        caller_of_uid(admin, peer);
        unix_deny(admin, x);
    } else if (admin->remote) {
        admin_remote_gate(admin, x);
    } else {
        refuse_network(admin, x);
    }
}

static void too_large(struct http_exchange *x, void *ctx) {
    const struct admin *admin = ctx;
    http_router_too_large(&admin->router, x);
}

static uint64_t body_max(const struct http_request *head, void *ctx) {
    const struct admin *admin = ctx;
    return http_router_body_max(&admin->router, head);
}

// ---- Settings ----

static char *text_of(struct bytes text) { return strndup((const char *)text.at, text.size); }

static void uid_add(struct admin *admin, uint32_t uid) {
    if (admin->uid_count == ADMIN_UIDS_MAX || uid_find(admin, uid))
        return;
    struct admin_uid *slot = &admin->uids[admin->uid_count++];
    const struct passwd *account = getpwuid(uid);
    *slot = (struct admin_uid){.uid = uid};
    if (account)
        snprintf(slot->name, sizeof slot->name, "%s", account->pw_name);
}

static vlt_result uids_take(struct admin *admin, struct bytes list) {
    struct wire_reader r;
    wire_reader_init(&r, list);
    admin->uid_count = 0;
    while (!r.failed && r.next < r.size) {
        uint32_t uid = wire_get_u32(&r);
        if (!r.failed)
            uid_add(admin, uid);
    }
    return r.failed ? vlt_fail(VLT_MALFORMED, "the list of administrators is damaged") : vlt_ok();
}

static vlt_result tls_take(struct admin *admin, const struct tell_settings_admin *settings,
                           struct fault *fault) {
    if (!settings->tls_certificate.size)
        return vlt_ok();
    const struct tls_settings wanted = {.chain_pem = settings->tls_certificate,
                                        .key_pem = settings->tls_key,
                                        .client = TLS_CLIENT_NONE};
    struct ssl_ctx_st *tls = NULL;
    VLT_TRY(tls_server_context(&wanted, fault, &tls));
    http_server_set_tls(admin->server, tls);
    SSL_CTX_free(tls);
    return vlt_ok();
}

static vlt_result server_make(struct admin *admin, const struct tell_settings_admin *settings) {
    struct http_server_settings server = http_server_settings_default;
    server.limits.body_bytes = BODY_MEMORY_MAX;
    server.handler = dispatch;
    server.body_max = body_max;
    server.gate = gate;
    server.too_large = too_large;
    server.gate_bytes = BODY_UNKNOWN_MAX;
    server.ctx = admin;
    if (settings->max_connections)
        server.connections_max = settings->max_connections;
    if (settings->request_deadline_ms)
        server.request_ms = settings->request_deadline_ms;
    if (settings->idle_ms)
        server.idle_ms = settings->idle_ms;
    admin->router = (struct http_router){admin_routes, admin_route_count, admin, refusal_too_large};
    admin->server = http_server_new(admin->base, &server);
    return admin->server ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static vlt_result remote_take(struct admin *admin, const struct tell_settings_admin *settings,
                              struct fault *fault) {
    char tenant[IPC_NAME_MAX + 1];
    VLT_TRY(admin->jwks ? jwks_cache_set_roots(admin->jwks, settings->issuer_ca, fault)
                        : jwks_cache_new(admin->base, settings->issuer_ca, fault, &admin->jwks));
    if (!bytes_to_text(settings->oidc_tenant, tenant, sizeof tenant))
        return vlt_fail(VLT_MALFORMED, "the name of the administrators' tenant is not one");
    if (!tenant[0]) {
        // Requests in flight may wait for its keys: without a tenant it admits nobody.
        return admin->remote ? admin_remote_reload(admin->remote, "", settings->issuer_ca, fault)
                             : vlt_ok();
    }
    return admin->remote
               ? admin_remote_reload(admin->remote, tenant, settings->issuer_ca, fault)
               : admin_remote_new(admin->base, tenant, settings->issuer_ca, fault, &admin->remote);
}

static vlt_result recipes_load(struct bytes folder, struct fault *fault,
                               struct recipe_set **ret_set) {
    char *path = text_of(folder);
    vlt_result result = path ? recipe_set_load(path, fault, ret_set)
                             : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    free(path);
    return result;
}

// What can fail comes first, so that a bad reload leaves the old settings.
static vlt_result settings_take(struct admin *admin, const struct tell_settings_admin *settings,
                                struct fault *fault) {
    struct profile_set *profiles = NULL;
    struct recipe_set *recipes = NULL;
    char *folder = text_of(settings->profiles_dir), *store_path = text_of(settings->store_path);
    vlt_result result =
        folder && store_path ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = profile_set_load(folder, fault, &profiles);
    if (vlt_is_ok(result))
        result = recipes_load(settings->recipes_dir, fault, &recipes);
    if (vlt_is_ok(result) && !admin->server)
        result = server_make(admin, settings);
    if (vlt_is_ok(result))
        result = tls_take(admin, settings, fault);
    if (vlt_is_ok(result))
        result = remote_take(admin, settings, fault);
    if (vlt_is_ok(result))
        result = uids_take(admin, settings->allowed_uids);
    if (!vlt_is_ok(result)) {
        profile_set_free(profiles);
        recipe_set_free(recipes);
        free(folder);
        free(store_path);
        return result;
    }
    profile_set_free(admin->profiles);
    free(admin->profiles_dir);
    admin->profiles = profiles;
    recipe_set_free(admin->recipes);
    admin->recipes = recipes;
    memcpy(admin->programs, settings->programs.at, settings->programs.size);
    admin->programs_bytes = settings->programs.size;
    admin->profiles_dir = folder;
    if (!admin->store_path)
        admin->store_path = store_path;
    else
        free(store_path); // the place of the store does not change while it is open
    admin->ships = settings->ships;
    log_set_level((enum log_level)settings->log_level);
    return vlt_ok();
}

vlt_result admin_reload(struct admin *admin, struct bytes frame, struct fault *fault) {
    struct tell_settings_admin settings;
    VLT_TRY(tell_settings_admin_decode(frame, &settings));
    return settings_take(admin, &settings, fault);
}

vlt_result admin_new(struct event_base *base, struct bytes frame, struct fault *fault,
                     struct admin **ret_admin) {
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    admin->base = base;
    vlt_result result = admin_reload(admin, frame, fault);
    if (!vlt_is_ok(result)) {
        admin_free(admin);
        return result;
    }
    // Opened now, while nothing is forbidden yet; absent before init.
    struct store *store;
    result = admin_store(admin, fault, &store);
    if (!vlt_is_ok(result))
        log_notice("the store is not open yet: %s", fault_or_reason(fault, result));
    *ret_admin = admin;
    return vlt_ok();
}

void admin_free(struct admin *admin) {
    if (!admin)
        return;
    if (admin->server)
        http_server_free(admin->server);
    admin_remote_free(admin->remote);
    jwks_cache_free(admin->jwks);
    if (admin->store)
        store_close(admin->store);
    recipe_set_free(admin->recipes);
    profile_set_free(admin->profiles);
    free(admin->profiles_dir);
    free(admin->store_path);
    free(admin);
}

vlt_result admin_store(struct admin *admin, struct fault *fault, struct store **ret_store) {
    if (!admin->store)
        VLT_TRY(store_open(admin->store_path, STORE_READ, fault, &admin->store));
    *ret_store = admin->store;
    return vlt_ok();
}
