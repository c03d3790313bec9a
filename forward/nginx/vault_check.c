// SPDX-License-Identifier: Apache-2.0
// Refuses to start with a configuration that could send a credential to the
// wrong place, keep it on disk, or skip the decision.
#include "forward/nginx/vault_module.h"

extern ngx_module_t ngx_http_proxy_module;

typedef struct {
    ngx_conf_t *cf;
    const vault_main_conf_t *main_conf;
    vault_loc_conf_t *loc;
    const ngx_http_core_loc_conf_t *core;
    ngx_http_upstream_conf_t *proxy; // first member of the proxy's own, private struct
} check_t;

// nginx formats with its own letters, so that no attribute can check them.
#define REFUSE(check, ...)                                                                         \
    do {                                                                                           \
        ngx_log_error(NGX_LOG_EMERG, (check)->cf->log, 0, __VA_ARGS__);                            \
        return NGX_ERROR;                                                                          \
    } while (0)

static void check_init(check_t *check, vault_loc_conf_t *loc) {
    check->loc = loc;
    check->core = loc->loc_conf[ngx_http_core_module.ctx_index];
    check->proxy = loc->loc_conf[ngx_http_proxy_module.ctx_index];
}

static bool same(ngx_str_t a, ngx_str_t b) {
    return bytes_equal(vault_bytes(a), vault_bytes(b));
}

static ngx_int_t check_pass(const check_t *c) {
    ngx_str_t *name = (ngx_str_t *)(uintptr_t)&c->core->name, url = c->loc->pass_url;
    // Inside of "if" the handler of the location around it stays.
    bool inherits = c->core->noname && !c->core->handler;
    if (!url.len || (!inherits && c->core->handler != c->loc->pass_handler))
        REFUSE(c,
               "vault: location \"%V\": vault_redeem needs proxy_pass in the same location, and "
               "nothing else "
               "that answers",
               name);
    if (ngx_http_script_variables_count(&url) || !c->proxy->upstream)
        REFUSE(c,
               "vault: location \"%V\": proxy_pass with a variable is resolved at run time; name "
               "the upstream",
               name);
    if (ngx_strlchr(c->loc->pass_uri.data, c->loc->pass_uri.data + c->loc->pass_uri.len, '?'))
        REFUSE(c, "vault: location \"%V\": proxy_pass must not have a query", name);
    if (!c->loc->destination.len)
        REFUSE(c, "vault: location \"%V\": vault_destination is missing", name);
    if (c->loc->pass_is_https != c->loc->is_https)
        REFUSE(c,
               "vault: location \"%V\": proxy_pass and vault_destination differ in http and https",
               name);
    if (c->proxy->cache > 0 || c->proxy->store > 0)
        REFUSE(c,
               "vault: location \"%V\": proxy_cache and proxy_store are not possible with "
               "vault_redeem",
               name);
    if (c->loc->cut_streams && c->core->post_action.len)
        REFUSE(c, "vault: location \"%V\": post_action is not possible with vault_cut_streams",
               name);
    if (c->core->client_body_in_file_only)
        REFUSE(c, "vault: location \"%V\": client_body_in_file_only would leave prompts on disk",
               name);
    if (!(c->proxy->next_upstream & NGX_HTTP_UPSTREAM_FT_OFF))
        REFUSE(c,
               "vault: location \"%V\": the credential would be sent again: set "
               "\"proxy_next_upstream off\"",
               name);
    return NGX_OK;
}

// The name that nginx will compare with the certificate.
static ngx_int_t check_tls(const check_t *c) {
    ngx_str_t *name = (ngx_str_t *)(uintptr_t)&c->core->name;
    if (!c->loc->needs_verified_tls) {
        ngx_log_error(NGX_LOG_WARN, c->cf->log, 0,
                      "vault: location \"%V\": vault_require_verified_tls is off: credentials can "
                      "be stolen on the "
                      "way to \"%V\"",
                      name, &c->loc->destination);
        return NGX_OK;
    }
    if (!c->loc->is_https)
        REFUSE(c,
               "vault: location \"%V\": vault_destination is not https (see "
               "vault_require_verified_tls)",
               name);
    if (c->proxy->ssl_verify != 1)
        REFUSE(
            c,
            "vault: location \"%V\": set \"proxy_ssl_verify on\" and proxy_ssl_trusted_certificate",
            name);
    if (c->proxy->ssl_server_name != 1)
        REFUSE(c, "vault: location \"%V\": set \"proxy_ssl_server_name on\"", name);
    const ngx_http_complex_value_t *peer = c->proxy->ssl_name;
    if (peer && peer->lengths)
        REFUSE(c, "vault: location \"%V\": proxy_ssl_name must not have a variable", name);
    if (!same(peer ? peer->value : c->loc->pass_host, c->loc->host_name))
        REFUSE(c,
               "vault: location \"%V\": nginx would verify another name than \"%V\": set "
               "\"proxy_ssl_name %V\"",
               name, &c->loc->host_name, &c->loc->host_name);
    return NGX_OK;
}

static ngx_int_t check_vault(const check_t *c) {
    ngx_str_t *name = (ngx_str_t *)(uintptr_t)&c->core->name;
    if (!c->loc->redeemer)
        REFUSE(c, "vault: location \"%V\": vault_socket is missing", name);
    c->loc->redeemer->cuts |= c->loc->cut_streams;
    if (c->loc->cache_max_s == 0)
        return NGX_OK;
    if (!c->main_conf->zone || !c->main_conf->watch)
        REFUSE(c, "vault: location \"%V\": vault_cache needs vault_zone and vault_watch", name);
    if (c->loc->redeemer != c->main_conf->watch)
        REFUSE(c,
               "vault: location \"%V\": vault_cache needs vault_watch on the same socket as "
               "vault_socket",
               name);
    return NGX_OK;
}

// A kept connection was verified for the location that opened it, or not at all.
static ngx_int_t check_sharing(const check_t *c) {
    vault_loc_conf_t **locations = c->main_conf->locations.elts;
    if (!c->proxy->upstream->flags)
        return NGX_OK; // not an upstream{}: keeps no connections
    for (ngx_uint_t i = 0; i < c->main_conf->locations.nelts; i++) {
        const vault_loc_conf_t *other = locations[i];
        const ngx_http_upstream_conf_t *proxy = other->loc_conf[ngx_http_proxy_module.ctx_index];
        if (proxy->upstream != c->proxy->upstream)
            continue;
        if (!other->redeem || !same(other->destination, c->loc->destination) ||
            other->needs_verified_tls != c->loc->needs_verified_tls)
            REFUSE(
                c,
                "vault: upstream \"%V\" is used for more than one destination, or by a location "
                "without "
                "vault_redeem: its kept connections would be shared; write one upstream{} for each",
                &c->proxy->upstream->host);
    }
    return NGX_OK;
}

static ngx_int_t profiles_load(const check_t *c, vault_main_conf_t *main_conf) {
    struct fault fault = {0};
    ngx_str_t folder = main_conf->profiles_folder;
    if (main_conf->profiles)
        return NGX_OK;
    if (!folder.len)
        folder = (ngx_str_t)ngx_string(VAULT_PROFILES_DIR);
    char *path = ngx_pnalloc(c->cf->pool, folder.len + 1);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(c->cf->pool, 0);
    if (!path || !cleanup || !bytes_to_text(vault_bytes(folder), path, folder.len + 1))
        return NGX_ERROR;
    vlt_result result = profile_set_load(path, &fault, &main_conf->profiles);
    if (!vlt_is_ok(result))
        REFUSE(c, "vault: vault_profiles: %s", fault_or_reason(&fault, result));
    cleanup->handler = (ngx_pool_cleanup_pt)profile_set_free;
    cleanup->data = main_conf->profiles;
    return NGX_OK;
}

static ngx_int_t check_profile(const check_t *c, vault_main_conf_t *main_conf) {
    char name[PROFILE_NAME_MAX + 1], host[256];
    if (!c->loc->profile_name.len)
        return NGX_OK;
    if (profiles_load(c, main_conf) != NGX_OK)
        return NGX_ERROR;
    if (bytes_to_text(vault_bytes(c->loc->profile_name), name, sizeof name))
        c->loc->profile = profile_find(main_conf->profiles, name);
    if (!c->loc->profile)
        REFUSE(c, "vault: there is no profile \"%V\"", &c->loc->profile_name);
    // A stand-in for tests has another host; it is never reached by verified TLS.
    if (c->loc->needs_verified_tls &&
        (!bytes_to_text(vault_bytes(c->loc->host), host, sizeof host) ||
         !profile_permits_host(c->loc->profile, host)))
        REFUSE(c, "vault: \"%V\" is not a host of the profile \"%V\"", &c->loc->host,
               &c->loc->profile_name);
    return NGX_OK;
}

// At the levels info and debug nginx itself writes headers that clients send,
// the token among them.
static void quieten(const check_t *c) {
    vault_loc_conf_t **locations = c->main_conf->locations.elts;
    bool was_louder = false;
    for (ngx_uint_t i = 0; i < c->main_conf->locations.nelts; i++) {
        const ngx_http_core_loc_conf_t *core =
            locations[i]->loc_conf[ngx_http_core_module.ctx_index];
        for (ngx_log_t *log = core->error_log; log; log = log->next)
            if (log->log_level > NGX_LOG_NOTICE) {
                log->log_level = NGX_LOG_NOTICE;
                was_louder = true;
            }
    }
    if (was_louder)
        ngx_log_error(NGX_LOG_NOTICE, c->cf->log, 0,
                      "vault: error_log is limited to notice: info and debug would hold tokens");
}

static ngx_int_t check_location(check_t *c, vault_main_conf_t *main_conf) {
    if (check_pass(c) != NGX_OK || check_tls(c) != NGX_OK || check_vault(c) != NGX_OK ||
        check_sharing(c) != NGX_OK || check_profile(c, main_conf) != NGX_OK)
        return NGX_ERROR;
    head_strip_init(&c->loc->strip, c->loc->profile);
    if (!vault_meter_prepare(c->loc))
        REFUSE(c,
               "vault: location \"%V\": vault_meter needs a vault_profile that says where "
               "\"usage\" stands; with another one set \"vault_meter off\"",
               &c->core->name);
    main_conf->is_metered |= c->loc->meter;
    vault_echo_prepare(c->loc);
    main_conf->is_covered |= c->loc->cover_echoes;
    // An upstream must not steer nginx: X-Accel-Redirect reaches internal locations.
    c->proxy->ignore_headers |=
        NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT | NGX_HTTP_UPSTREAM_IGN_XA_EXPIRES |
        NGX_HTTP_UPSTREAM_IGN_XA_LIMIT_RATE | NGX_HTTP_UPSTREAM_IGN_XA_BUFFERING |
        NGX_HTTP_UPSTREAM_IGN_XA_CHARSET;
    return NGX_OK;
}

ngx_int_t vault_check(ngx_conf_t *cf, vault_main_conf_t *main_conf) {
    vault_loc_conf_t **locations = main_conf->locations.elts;
    check_t check = {.cf = cf, .main_conf = main_conf};
    for (ngx_uint_t i = 0; i < main_conf->locations.nelts; i++) {
        if (!locations[i]->redeem)
            continue;
        main_conf->is_used = 1;
        check_init(&check, locations[i]);
        if (check_location(&check, main_conf) != NGX_OK)
            return NGX_ERROR;
    }
    if (main_conf->is_used)
        quieten(&check);
    return NGX_OK;
}

// debug_connection would bring the debug log back for some clients.
ngx_int_t vault_check_cycle(ngx_cycle_t *cycle) {
    const vault_main_conf_t *conf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_vault_module);
    const ngx_event_conf_t *events = ngx_event_get_conf(cycle->conf_ctx, ngx_event_core_module);
    if (!conf || !conf->is_used)
        return NGX_OK;
#if (NGX_DEBUG)
    if (events && events->debug_connection.nelts) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "vault: debug_connection would write tokens to the log");
        return NGX_ERROR;
    }
#endif
    return NGX_OK;
}
