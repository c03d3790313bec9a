// SPDX-License-Identifier: Apache-2.0
// Directives and the module's table.
#include "forward/nginx/vault_module.h"

#include <sys/prctl.h>

#define ANYWHERE (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)

static char *set_zone(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
    const ngx_str_t *value = cf->args->elts;
    return vault_cache_zone(cf, conf, value[1]);
}

// One redeemer for each socket, so that all its locations share connections.
static vault_redeemer_t *redeemer_find(ngx_conf_t *cf, ngx_str_t url) {
    vault_main_conf_t *main_conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_vault_module);
    vault_redeemer_t **known = main_conf->redeemers.elts;
    ngx_url_t parsed = {.url = url};
    if (url.len < 6 || ngx_strncmp(url.data, "unix:", 5) ||
        ngx_parse_url(cf->pool, &parsed) != NGX_OK)
        return NULL;
    for (ngx_uint_t i = 0; i < main_conf->redeemers.nelts; i++)
        if (known[i]->addr.name.len == parsed.addrs[0].name.len &&
            !ngx_strncmp(known[i]->addr.name.data, parsed.addrs[0].name.data,
                         parsed.addrs[0].name.len))
            return known[i];
    vault_redeemer_t **slot = ngx_array_push(&main_conf->redeemers);
    vault_redeemer_t *redeemer = ngx_pcalloc(cf->pool, sizeof *redeemer);
    if (!slot || !redeemer)
        return NULL;
    redeemer->addr = parsed.addrs[0];
    ngx_queue_init(&redeemer->idle);
    ngx_queue_init(&redeemer->standing_requests);
    ngx_queue_init(&redeemer->doubtful_requests);
    ngx_queue_init(&redeemer->asked_requests);
    return *slot = redeemer;
}

static char *set_watch(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
    vault_main_conf_t *main_conf = conf;
    const ngx_str_t *value = cf->args->elts;
    main_conf->watch = redeemer_find(cf, value[1]);
    return main_conf->watch ? NGX_CONF_OK : "needs unix:PATH of the redeemer";
}

static char *set_socket(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
    vault_loc_conf_t *loc = conf;
    const ngx_str_t *value = cf->args->elts;
    if (loc->redeemer)
        return "is duplicate";
    loc->redeemer = redeemer_find(cf, value[1]);
    return loc->redeemer ? NGX_CONF_OK : "needs unix:PATH of the redeemer";
}

static char *set_destination(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
    vault_loc_conf_t *loc = conf;
    const ngx_str_t *value = cf->args->elts;
    ngx_url_t url = {.no_resolve = 1};
    if (loc->destination.len)
        return "is duplicate";
    loc->destination = value[1];
    loc->is_https = value[1].len > 8 && !ngx_strncmp(value[1].data, "https://", 8);
    if (!loc->is_https && (value[1].len <= 7 || ngx_strncmp(value[1].data, "http://", 7)))
        return "begins with https://";
    size_t scheme = loc->is_https ? 8 : 7;
    loc->host.data = value[1].data + scheme;
    loc->host.len = value[1].len - scheme;
    for (size_t i = 0; i < loc->host.len; i++)
        if (loc->host.data[i] == '/' || loc->host.data[i] == '@' || loc->host.data[i] == '?' ||
            loc->host.data[i] != ngx_tolower(loc->host.data[i]))
            return "is a scheme and a host in lower case, with a port if need be, and nothing else";
    url.url = loc->host;
    url.default_port = loc->is_https ? 443 : 80;
    if (ngx_parse_url(cf->pool, &url) != NGX_OK || !url.host.len)
        return "has no valid host";
    loc->host_name = url.host;
    if (!url.no_port && url.port == url.default_port)
        return "names the port of its scheme: leave it out";
    return NGX_CONF_OK;
}

static char *set_origin(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
    vault_loc_conf_t *loc = conf;
    const ngx_str_t *value = cf->args->elts;
    loc->origin = value[1];
    if (ngx_strncmp(value[1].data, "https://", 8) && ngx_strncmp(value[1].data, "http://", 7))
        return "begins with https://";
    if (value[1].data[value[1].len - 1] == '/')
        return "ends without a slash";
    return NGX_CONF_OK;
}

static char *set_cache(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
    vault_loc_conf_t *loc = conf;
    ngx_str_t value = ((ngx_str_t *)cf->args->elts)[1];
    if (loc->cache_max_s != NGX_CONF_UNSET)
        return "is duplicate";
    if (value.len == 3 && !ngx_strncmp(value.data, "off", 3)) {
        loc->cache_max_s = 0;
        return NGX_CONF_OK;
    }
    if (value.len <= 4 || ngx_strncmp(value.data, "max=", 4))
        return "is off, or max=TIME";
    value.data += 4;
    value.len -= 4;
    loc->cache_max_s = ngx_parse_time(&value, 1);
    return loc->cache_max_s > 0 && loc->cache_max_s <= 3600 ? NGX_CONF_OK : "takes 1s to 3600s";
}

static ngx_conf_enum_t models[] = {{ngx_string("off"), VAULT_MODEL_OFF},
                                   {ngx_string("on"), VAULT_MODEL_ON},
                                   {ngx_string("path"), VAULT_MODEL_PATH},
                                   {ngx_null_string, 0}};

static ngx_conf_enum_t numbers[] = {{ngx_string("token"), VAULT_MAX_TOKENS_TOKEN},
                                    {ngx_string("on"), VAULT_MAX_TOKENS_ON},
                                    {ngx_null_string, 0}};

#define LOC(member) NGX_HTTP_LOC_CONF_OFFSET, offsetof(vault_loc_conf_t, member)
static ngx_command_t commands[] = {
    {ngx_string("vault_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_zone,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("vault_watch"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_watch,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("vault_profiles"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(vault_main_conf_t, profiles_folder), NULL},
    {ngx_string("vault_redeem"), NGX_HTTP_LOC_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     LOC(redeem), NULL},
    {ngx_string("vault_destination"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_destination,
     LOC(destination), NULL},
    {ngx_string("vault_socket"), ANYWHERE | NGX_CONF_TAKE1, set_socket, LOC(redeemer), NULL},
    {ngx_string("vault_origin"), ANYWHERE | NGX_CONF_TAKE1, set_origin, LOC(origin), NULL},
    {ngx_string("vault_timeout"), ANYWHERE | NGX_CONF_TAKE1, ngx_conf_set_msec_slot,
     LOC(timeout_ms), NULL},
    {ngx_string("vault_cache"), ANYWHERE | NGX_CONF_TAKE1, set_cache, LOC(cache_max_s), NULL},
    {ngx_string("vault_model"), ANYWHERE | NGX_CONF_TAKE1, ngx_conf_set_enum_slot, LOC(model),
     models},
    {ngx_string("vault_max_tokens"), ANYWHERE | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     LOC(max_tokens), numbers},
    {ngx_string("vault_profile"), ANYWHERE | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     LOC(profile_name), NULL},
    {ngx_string("vault_require_verified_tls"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     LOC(needs_verified_tls), NULL},
    {ngx_string("vault_cut_streams"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     LOC(cut_streams), NULL},
    {ngx_string("vault_meter"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot, LOC(meter), NULL},
    {ngx_string("vault_cover_echoes"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     LOC(cover_echoes), NULL},
    ngx_null_command};

static void *main_new(ngx_conf_t *cf) {
    vault_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (!conf || ngx_array_init(&conf->locations, cf->pool, 16, sizeof(void *)) != NGX_OK ||
        ngx_array_init(&conf->redeemers, cf->pool, 2, sizeof(void *)) != NGX_OK ||
        ngx_array_init(&conf->upstreams, cf->pool, 8, sizeof(vault_upstream_t)) != NGX_OK)
        return NULL;
    return conf;
}

static void *loc_new(ngx_conf_t *cf) {
    vault_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (!conf)
        return NULL;
    conf->redeem = NGX_CONF_UNSET;
    conf->cache_max_s = NGX_CONF_UNSET;
    conf->needs_verified_tls = NGX_CONF_UNSET;
    conf->cut_streams = NGX_CONF_UNSET;
    conf->meter = NGX_CONF_UNSET;
    conf->cover_echoes = NGX_CONF_UNSET;
    conf->timeout_ms = NGX_CONF_UNSET_MSEC;
    conf->model = NGX_CONF_UNSET_UINT;
    conf->max_tokens = NGX_CONF_UNSET_UINT;
    return conf;
}

// "if" and "limit_except" make a location of their own, in which the proxy goes
// on as outside: so do we. A real location inside another starts afresh.
static void merge_nameless(const vault_loc_conf_t *prev, vault_loc_conf_t *conf) {
    ngx_conf_merge_value(conf->redeem, prev->redeem, 0);
    if (!conf->destination.len) {
        conf->destination = prev->destination;
        conf->host = prev->host;
        conf->host_name = prev->host_name;
        conf->is_https = prev->is_https;
    }
    if (!conf->pass_url.len) {
        conf->pass_url = prev->pass_url;
        conf->pass_uri = prev->pass_uri;
        conf->pass_host = prev->pass_host;
        conf->pass_location = prev->pass_location;
        conf->pass_is_https = prev->pass_is_https;
        conf->pass_handler = prev->pass_handler;
    }
}

static char *loc_merge(ngx_conf_t *cf, void *parent, void *child) {
    const vault_loc_conf_t *prev = parent;
    vault_loc_conf_t *conf = child;
    vault_main_conf_t *main_conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_vault_module);
    const ngx_http_core_loc_conf_t *core =
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    if (core->noname)
        merge_nameless(prev, conf);
    if (conf->redeem == NGX_CONF_UNSET)
        conf->redeem = 0;
    if (!conf->redeemer)
        conf->redeemer = prev->redeemer;
    ngx_conf_merge_str_value(conf->origin, prev->origin, "");
    ngx_conf_merge_str_value(conf->profile_name, prev->profile_name, "");
    ngx_conf_merge_msec_value(conf->timeout_ms, prev->timeout_ms, 1000);
    ngx_conf_merge_value(conf->cache_max_s, prev->cache_max_s, 0);
    ngx_conf_merge_uint_value(conf->model, prev->model, VAULT_MODEL_ON);
    ngx_conf_merge_uint_value(conf->max_tokens, prev->max_tokens, VAULT_MAX_TOKENS_TOKEN);
    ngx_conf_merge_value(conf->needs_verified_tls, prev->needs_verified_tls, 1);
    ngx_conf_merge_value(conf->cut_streams, prev->cut_streams, 1);
    ngx_conf_merge_value(conf->meter, prev->meter, 0);
    ngx_conf_merge_value(conf->cover_echoes, prev->cover_echoes, 0);
    conf->loc_conf = ((ngx_http_conf_ctx_t *)cf->ctx)->loc_conf;
    vault_loc_conf_t **slot = ngx_array_push(&main_conf->locations);
    if (!slot)
        return NGX_CONF_ERROR;
    *slot = conf;
    return NGX_CONF_OK;
}

static ngx_int_t before_configuration(ngx_conf_t *cf) {
    vault_pass_watch(cf);
    return vault_variables_add(cf);
}

static ngx_int_t phase_add(ngx_conf_t *cf, ngx_uint_t phase, ngx_http_handler_pt handler) {
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *slot = ngx_array_push(&core->phases[phase].handlers);
    if (!slot)
        return NGX_ERROR;
    *slot = handler;
    return NGX_OK;
}

// PRECONTENT: "satisfy any" can not skip it, and limits have run already.
static ngx_int_t after_configuration(ngx_conf_t *cf) {
    static ngx_str_t request_id = ngx_string("request_id");
    vault_main_conf_t *conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_vault_module);
    vault_pass_forget();
    if (vault_check(cf, conf) != NGX_OK)
        return NGX_ERROR;
    if (!conf->is_used)
        return NGX_OK;
    vault_request_id_replace(cf);
    conf->request_id = ngx_http_get_variable_index(cf, &request_id);
    if (conf->request_id == NGX_ERROR || vault_upstreams_wrap(cf, conf) != NGX_OK ||
        phase_add(cf, NGX_HTTP_POST_READ_PHASE, vault_mask) != NGX_OK ||
        phase_add(cf, NGX_HTTP_PRECONTENT_PHASE, vault_handler) != NGX_OK)
        return NGX_ERROR;
    vault_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = vault_header_filter;
    vault_next_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = vault_body_filter;
    if (conf->is_metered)
        vault_meter_install();
    if (conf->is_covered)
        vault_echo_install();
    return NGX_OK;
}

static ngx_int_t worker_begin(ngx_cycle_t *cycle) {
    vault_main_conf_t *conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_vault_module);
    if (!conf || !conf->is_used ||
        (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE))
        return NGX_OK;
    // nginx makes its workers dumpable; these hold credentials for a moment.
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno, "vault: prctl(PR_SET_DUMPABLE) failed");
    if (conf->zone && mlock(conf->zone->shm.addr, conf->zone->shm.size) == -1)
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "vault: the zone can not be locked in memory; raise LimitMEMLOCK");
    vault_watch_start(conf);
    return NGX_OK;
}

static void worker_end(ngx_cycle_t *cycle) {
    vault_main_conf_t *conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_vault_module);
    if (conf && conf->is_used)
        vault_watch_stop(conf);
}

static ngx_http_module_t module_context = {
    before_configuration, after_configuration, main_new, NULL, NULL, NULL, loc_new, loc_merge};

ngx_module_t ngx_http_vault_module = {NGX_MODULE_V1, &module_context,
                                      commands,      NGX_HTTP_MODULE,
                                      NULL,          vault_check_cycle,
                                      worker_begin,  NULL,
                                      NULL,          worker_end,
                                      NULL,          NGX_MODULE_V1_PADDING};
