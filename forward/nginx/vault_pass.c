// SPDX-License-Identifier: Apache-2.0
// Learns what proxy_pass says. The proxy module keeps that to itself, but what
// the vault decides on depends on it, and so do the refusals of vault_check.c:
// while the configuration is read, its directive is called through us.
#include "forward/nginx/vault_module.h"

extern ngx_module_t ngx_http_proxy_module;

static char *(*proxy_pass_set)(ngx_conf_t *cf, ngx_command_t *command, void *conf);

static ngx_command_t *proxy_pass(void) {
    static const ngx_str_t name = ngx_string("proxy_pass");
    for (ngx_command_t *c = ngx_http_proxy_module.commands; c->name.len; c++)
        if (c->name.len == name.len && !ngx_strncmp(c->name.data, name.data, name.len))
            return c;
    return NULL;
}

static char *pass_learn(ngx_conf_t *cf, vault_loc_conf_t *loc, ngx_str_t text) {
    ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    loc->pass_url = text;
    loc->pass_location = core->name;
    loc->pass_handler = core->handler;
    if (ngx_http_script_variables_count(&text))
        return NGX_CONF_OK; // vault_check refuses it where it matters
    loc->pass_is_https =
        text.len > 8 && !ngx_strncasecmp(text.data, (u_char *)(uintptr_t) "https://", 8);
    size_t scheme = loc->pass_is_https ? 8 : 7;
    ngx_url_t url = {
        .url = {text.len - scheme, text.data + scheme}, .uri_part = 1, .no_resolve = 1};
    if (ngx_parse_url(cf->pool, &url) != NGX_OK)
        return NGX_CONF_ERROR;
    loc->pass_host = url.host;
    loc->pass_uri = url.uri;
    return NGX_CONF_OK;
}

static char *pass_set(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
    const ngx_str_t *value = cf->args->elts;
    char *result = proxy_pass_set(cf, command, conf);
    if (result != NGX_CONF_OK)
        return result;
    return pass_learn(cf, ngx_http_conf_get_module_loc_conf(cf, ngx_http_vault_module), value[1]);
}

void vault_pass_forget(void) {
    ngx_command_t *command = proxy_pass();
    if (command && command->set == pass_set)
        command->set = proxy_pass_set;
}

static void forget_after_failure(void *unused) {
    vault_pass_forget();
}

// nginx's table outlives this module, which may be unloaded by a reload: it is
// put back after the configuration was read, and also when reading failed.
void vault_pass_watch(ngx_conf_t *cf) {
    ngx_command_t *command = proxy_pass();
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (!command || !cleanup || command->set == pass_set)
        return;
    cleanup->handler = forget_after_failure;
    proxy_pass_set = command->set;
    command->set = pass_set;
}
