// SPDX-License-Identifier: Apache-2.0
// vaultd-broker: started by the supervisor, never by hand.
#include <openssl/ssl.h>
#include <stdlib.h>

#include "libvault/crypto/jws_headers.h"
#include "libvault/identity/subject_cache.h"
#include "vaultd/broker/refusal.h"
#include "vaultd/log/log.h"
#include "vaultd/net/tls.h"
#include "vaultd/role/role_server.h"
#include "vaultd/role/role_transfer.h"
#include "vaultd/view/issuer_health.h"

#define ANSWER_MS 8000 // longer than fetching a key set takes

// ---- Settings ----

static vlt_result set_tls(struct broker *broker, const struct tell_settings_broker *got,
                          struct fault *fault) {
    struct ssl_ctx_st *tls = NULL;
    // A client's certificate binds its tokens (RFC 8705); nobody must have one.
    const struct tls_settings settings = {
        .chain_pem = got->tls_certificate, .key_pem = got->tls_key, .client = TLS_CLIENT_PINNED};
    VLT_TRY(tls_server_context(&settings, fault, &tls));
    http_server_set_tls(broker->server, tls);
    SSL_CTX_free(tls);
    return vlt_ok();
}

static vlt_result start_server(struct broker *broker, const struct tell_settings_broker *got) {
    struct http_server_settings settings = http_server_settings_default;
    broker->router =
        (struct http_router){broker_routes, broker_route_count, broker, refusal_too_large};
    settings.connections_max = got->max_connections;
    settings.request_ms = got->request_deadline_ms;
    settings.idle_ms = got->idle_ms;
    settings.answer_ms = ANSWER_MS;
    settings.handler = http_router_handler;
    settings.body_max = http_router_body_max_handler;
    settings.too_large = http_router_too_large_handler;
    settings.ctx = &broker->router;
    broker->server = http_server_new(role_base(broker->role), &settings);
    return broker->server ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static vlt_result start(struct broker *broker, const struct tell_settings_broker *got,
                        struct fault *fault) {
    VLT_TRY(jwks_cache_new(role_base(broker->role), got->issuer_ca, fault, &broker->jwks));
    issuer_health_log(broker->jwks);
    role_transfer_log();
    VLT_TRY(dpop_nonces_new(got->nonce_key, &broker->nonces));
    broker->book = issuer_book_new(broker->jwks);
    broker->subjects = subject_cache_new();
    broker->policies = policy_cache_new();
    broker->decider = decider_new();
    broker->headers = jws_headers_new();
    if (!broker->book || !broker->subjects || !broker->policies || !broker->decider ||
        !broker->headers)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return start_server(broker, got);
}

static vlt_result settings(struct role *role, struct bytes frame, bool is_first,
                           struct fault *fault) {
    struct broker *broker = role_context(role);
    struct tell_settings_broker got;
    VLT_TRY(tell_settings_broker_decode(frame, &got));
    broker->role = role;
    if (is_first)
        VLT_TRY(start(broker, &got, fault));
    else
        VLT_TRY(jwks_cache_set_roots(broker->jwks, got.issuer_ca, fault));
    VLT_TRY(set_tls(broker, &got, fault));
    if (!bytes_to_text(got.issuer, broker->issuer, sizeof broker->issuer) ||
        !bytes_to_text(got.store_path, broker->store_path, sizeof broker->store_path))
        return vlt_fail(VLT_MALFORMED, "a setting is not a text");
    broker->token_lifetime_s = got.token_lifetime_s;
    log_set_level((enum log_level)got.log_level);
    return vlt_ok();
}

// ---- Peers ----

static void set_peer(struct role *role, enum ipc_role peer, struct channel *channel) {
    struct broker *broker = role_context(role);
    if (peer == IPC_KEEPER)
        broker->keeper = channel;
    else if (peer == IPC_AUDITOR)
        broker->auditor = channel;
}
static void on_peer(struct role *role, enum ipc_role peer, unsigned number,
                    struct channel *channel) {
    struct broker *broker = role_context(role);
    set_peer(role, peer, channel);
    if (peer == IPC_KEEPER) // the one before it may have changed keys and not told
        broker->keys.is_stale = true;
}
static void on_peer_gone(struct role *role, enum ipc_role peer, unsigned number) {
    set_peer(role, peer, NULL);
}

static void on_told(struct role *role, enum ipc_role peer, unsigned message, struct bytes frame) {
    struct broker *broker = role_context(role);
    struct tell_generation tell;
    if (message == IPC_TELL_generation && vlt_is_ok(tell_generation_decode(frame, &tell)) &&
        (tell.kind == STORE_SIGNING_KEY || tell.kind == 0))
        broker->keys.is_stale = true;
}

static void on_listener(struct role *role, struct bytes name, int fd) {
    struct broker *broker = role_context(role);
    role_server_listen(role, broker->server, name, fd, "callers are served");
}

// ---- End ----

static void drain(struct role *role, unsigned within_ms) {
    struct broker *broker = role_context(role);
    role_server_drain(role, broker->server, within_ms);
}

static void done(struct broker *broker) {
    http_server_free(broker->server);
    subject_cache_free(broker->subjects);
    issuer_book_free(broker->book);
    jwks_cache_free(broker->jwks);
    signing_keys_done(&broker->keys);
    policy_cache_free(broker->policies);
    decider_free(broker->decider);
    dpop_nonces_free(broker->nonces);
    jws_headers_free(broker->headers);
    store_close(broker->store);
}

int main(void) {
    static struct broker broker;
    static const struct role_hooks hooks = {
        .self = IPC_BROKER,
        .settings = settings,
        .peer = on_peer,
        .peer_gone = on_peer_gone,
        .listener = on_listener,
        .told = on_told,
        .drain = drain,
    };
    int status = role_run(&hooks, &broker);
    done(&broker);
    return status;
}
