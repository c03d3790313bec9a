// SPDX-License-Identifier: Apache-2.0
// vaultd-redeemer: started by the supervisor, never by hand.
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "libvault/crypto/jws_headers.h"
#include "libvault/secret/secret.h"
#include "vaultd/log/log.h"
#include "vaultd/net/tls.h"
#include "vaultd/redeemer/redeem.h"
#include "vaultd/redeemer/token_cache.h"
#include "vaultd/redeemer/verdict_memo.h"
#include "vaultd/role/role_server.h"

#define HEAP_BYTES (16u << 20)
#define BODY_MAX_BYTES 32768
#define ANSWER_MS 2000

static const struct http_route routes[] = {
    {HTTP_POST, "/v1/redeem", op_redeem, BODY_MAX_BYTES},
    {HTTP_POST, "/v1/standing", op_standing, STANDING_BODY_MAX},
    {HTTP_GET, "/v1/watch", op_watch, 0},
    {HTTP_GET, "/v1/health", op_health, 0},
    {HTTP_GET, "/v1/ready", op_ready, 0},
};

static void too_large(struct http_exchange *x, const struct http_route *route,
                      const struct http_parameters *parameters, void *ctx) {
    if (route->handler == op_redeem)
        redeem_refuse_too_large(ctx, x, "token.redeem");
    else if (route->handler == op_standing)
        redeem_refuse_too_large(ctx, x, "forwarder.standing");
    else if (route->handler == op_watch)
        redeem_refuse_too_large(ctx, x, "forwarder.watch");
    else
        http_exchange_reply_too_large(x);
}

vlt_result redeemer_snapshot(struct redeemer *redeemer) {
    struct fault fault = {0};
    if (!redeemer->store)
        VLT_TRY(store_open(redeemer->store_path, STORE_READ, &fault, &redeemer->store));
    return store_snapshot_begin(redeemer->store);
}

// ---- Settings ----

static vlt_result set_tls(struct redeemer *redeemer, const struct tell_settings_redeemer *got,
                          struct fault *fault) {
    struct ssl_ctx_st *tls = NULL;
    if (got->tls_certificate.size == 0)
        return vlt_ok();
    const struct tls_settings settings = {.chain_pem = got->tls_certificate,
                                          .key_pem = got->tls_key,
                                          .client = TLS_CLIENT_PINNED,
                                          .client_required = true};
    VLT_TRY(tls_server_context(&settings, fault, &tls));
    http_server_set_tls(redeemer->server, tls);
    SSL_CTX_free(tls);
    return vlt_ok();
}

static vlt_result start_server(struct redeemer *redeemer,
                               const struct tell_settings_redeemer *got) {
    struct http_server_settings settings = http_server_settings_default;
    redeemer->router =
        (struct http_router){routes, sizeof routes / sizeof *routes, redeemer, too_large};
    settings.connections_max = got->max_connections;
    settings.request_ms = got->request_deadline_ms;
    settings.idle_ms = got->idle_ms;
    settings.answer_ms = ANSWER_MS;
    settings.handler = http_router_handler;
    settings.body_max = http_router_body_max_handler;
    settings.too_large = http_router_too_large_handler;
    settings.ctx = &redeemer->router;
    redeemer->server = http_server_new(role_base(redeemer->role), &settings);
    return redeemer->server ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static void on_heartbeat(evutil_socket_t fd, short what, void *context) { watchers_tell(context); }

static vlt_result start(struct redeemer *redeemer, const struct tell_settings_redeemer *got) {
    static const struct timeval second = {1, 0};
    redeemer->tokens = token_cache_new();
    redeemer->policies = policy_cache_new();
    redeemer->decider = decider_new();
    redeemer->verdicts = verdict_memo_new();
    redeemer->rendered = secret_new(PROFILE_RENDERED_MAX);
    redeemer->headers = jws_headers_new();
    // Not the same numbers again after a restart: forwarders may hold old answers.
    redeemer->epoch = (uint64_t)clock_now_us();
    redeemer->heartbeat =
        event_new(role_base(redeemer->role), -1, EV_PERSIST, on_heartbeat, redeemer);
    if (!redeemer->tokens || !redeemer->policies || !redeemer->decider || !redeemer->verdicts ||
        !redeemer->rendered || !redeemer->headers || !redeemer->heartbeat ||
        event_add(redeemer->heartbeat, &second) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return start_server(redeemer, got);
}

static vlt_result load_profiles(struct redeemer *redeemer, struct bytes folder,
                                struct fault *fault) {
    char path[IPC_TEXT_MAX + 1];
    struct profile_set *profiles = NULL;
    if (!bytes_to_text(folder, path, sizeof path))
        return vlt_fail(VLT_MALFORMED, "profiles is not a path");
    VLT_TRY(profile_set_load(path, fault, &profiles));
    profile_set_free(redeemer->profiles);
    redeemer->profiles = profiles;
    return vlt_ok();
}

static vlt_result settings(struct role *role, struct bytes frame, bool is_first,
                           struct fault *fault) {
    struct redeemer *redeemer = role_context(role);
    struct tell_settings_redeemer got;
    VLT_TRY(tell_settings_redeemer_decode(frame, &got));
    VLT_TRY(load_profiles(redeemer, got.profiles_dir, fault));
    redeemer->role = role;
    if (is_first)
        VLT_TRY(start(redeemer, &got));
    VLT_TRY(set_tls(redeemer, &got, fault));
    if (!bytes_to_text(got.issuer, redeemer->issuer, sizeof redeemer->issuer) ||
        !bytes_to_text(got.store_path, redeemer->store_path, sizeof redeemer->store_path))
        return vlt_fail(VLT_MALFORMED, "a setting is not a text");
    redeemer->cache_max_s = got.cache_max_s;
    log_set_level((enum log_level)got.log_level);
    return vlt_ok();
}

// ---- Peers ----

static void set_peer(struct role *role, enum ipc_role peer, struct channel *channel) {
    struct redeemer *redeemer = role_context(role);
    if (peer == IPC_KEEPER)
        redeemer->keeper = channel;
    else if (peer == IPC_AUDITOR)
        redeemer->auditor = channel;
}
static void forget_keys(struct redeemer *redeemer) {
    redeemer->keys.is_stale = true;
    if (redeemer->tokens) // else there are no settings yet
        token_cache_clear(redeemer->tokens);
}

static void end_answers(struct redeemer *redeemer) {
    redeemer->epoch++;
    watchers_tell(redeemer);
}

// Of what has begun, what is left? While there is no store, nothing has.
static void doubt_standing(struct redeemer *redeemer) {
    if (!vlt_is_ok(redeemer_snapshot(redeemer)))
        return;
    redeemer->standing = store_snapshot_revision(redeemer->store);
    store_snapshot_end(redeemer->store);
}

// 0: of several kinds, or of a kind that is not told.
static bool ends_what_began(unsigned kind) {
    return kind == 0 || kind == STORE_REVOKED_TOKEN || kind == STORE_REVOKED_RULE ||
           kind == STORE_TENANT || kind == STORE_CREDENTIAL_STATE || kind == STORE_SIGNING_KEY ||
           kind == STORE_FORWARDER;
}

static void on_peer(struct role *role, enum ipc_role peer, unsigned number,
                    struct channel *channel) {
    set_peer(role, peer, channel);
    if (peer != IPC_KEEPER)
        return;
    // What the keeper before it committed as its last, it may not have told.
    forget_keys(role_context(role));
    doubt_standing(role_context(role));
    end_answers(role_context(role));
}
static void on_peer_gone(struct role *role, enum ipc_role peer, unsigned number) {
    set_peer(role, peer, NULL);
}

static void on_told(struct role *role, enum ipc_role peer, unsigned message, struct bytes frame) {
    struct redeemer *redeemer = role_context(role);
    struct tell_generation tell;
    if (message != IPC_TELL_generation || !vlt_is_ok(tell_generation_decode(frame, &tell)))
        return;
    if (tell.kind == STORE_SIGNING_KEY || tell.kind == 0)
        forget_keys(redeemer);
    if (ends_what_began(tell.kind))
        doubt_standing(redeemer);
    end_answers(redeemer);
}

static void on_listener(struct role *role, struct bytes name, int fd) {
    struct redeemer *redeemer = role_context(role);
    role_server_listen(role, redeemer->server, name, fd, "forwarders are served");
}

// ---- End ----

static void drain(struct role *role, unsigned within_ms) {
    struct redeemer *redeemer = role_context(role);
    watchers_end(redeemer);
    role_server_drain(role, redeemer->server, within_ms);
}

static void done(struct redeemer *redeemer) {
    http_server_free(redeemer->server);
    if (redeemer->heartbeat)
        event_free(redeemer->heartbeat);
    signing_keys_done(&redeemer->keys);
    token_cache_free(redeemer->tokens);
    policy_cache_free(redeemer->policies);
    decider_free(redeemer->decider);
    verdict_memo_free(redeemer->verdicts);
    secret_free(redeemer->rendered);
    jws_headers_free(redeemer->headers);
    profile_set_free(redeemer->profiles);
    store_close(redeemer->store);
}

int main(void) {
    static struct redeemer redeemer;
    static const struct role_hooks hooks = {
        .self = IPC_REDEEMER,
        .secret_heap_bytes = HEAP_BYTES,
        .adopt_heaps = true,
        .settings = settings,
        .peer = on_peer,
        .peer_gone = on_peer_gone,
        .listener = on_listener,
        .told = on_told,
        .drain = drain,
    };
    int status = role_run(&hooks, &redeemer);
    done(&redeemer);
    return status;
}
