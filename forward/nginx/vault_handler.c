// SPDX-License-Identifier: Apache-2.0
// The PRECONTENT phase: from the request to a decision.
#include "forward/nginx/vault_module.h"

static void request_end(void *at) {
    vault_ctx_t *ctx = at;
    vault_link_cancel(ctx);
    vault_open_remove(ctx);
    for (size_t i = 0; i < ctx->wipe_count; i++)
        explicit_bzero(ctx->wipes[i].at, ctx->wipes[i].size);
}

vault_ctx_t *vault_ctx(ngx_http_request_t *r) {
    return ngx_http_get_module_ctx(r, ngx_http_vault_module);
}

vault_ctx_t *vault_ctx_new(ngx_http_request_t *r) {
    vault_ctx_t *ctx = ngx_pcalloc(r->pool, sizeof *ctx);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);
    if (!ctx || !cleanup)
        return NULL;
    ctx->request = r;
    cleanup->handler = request_end;
    cleanup->data = ctx;
    ngx_http_set_ctx(r, ctx, ngx_http_vault_module);
    return ctx;
}

ngx_int_t vault_wipe_later(vault_ctx_t *ctx, void *at, size_t size) {
    if (ctx->wipe_count == VAULT_WIPES_MAX)
        return NGX_ERROR;
    ctx->wipes[ctx->wipe_count].at = at;
    ctx->wipes[ctx->wipe_count++].size = size;
    return NGX_OK;
}

void vault_resume(vault_ctx_t *ctx) {
    ngx_connection_t *c = ctx->request->connection;
    if (ctx->in_handler)
        return;
    ngx_http_core_run_phases(ctx->request);
    ngx_http_run_posted_requests(c);
}

static bool may_cache(const vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    return conf->cache_max_s > 0 && !ctx->ask.proof.size; // each proof is verified anew
}

static void decide(vault_ctx_t *ctx, const vault_loc_conf_t *conf,
                   const vault_main_conf_t *main_conf) {
    if (may_cache(ctx, conf) && vault_key_make(ctx) && vault_cache_get(ctx, main_conf)) {
        ctx->is_from_cache = 1;
        ctx->state = VAULT_GRANTED;
        return;
    }
    vault_link_ask(ctx, conf);
}

// A grant that does not fit this location is not used.
static void check_grant(vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    if (!bytes_equal(ctx->answer.upstream, vault_bytes(conf->destination))) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "vault: the credential is for another upstream than vault_destination \"%V\"",
                      &conf->destination);
        vault_deny(ctx, NGX_HTTP_FORBIDDEN, "wrong_destination",
                   "the token is not for this destination");
    } else if (ctx->answer.model_required && !ctx->ask.model.size) {
        vault_deny(ctx, NGX_HTTP_FORBIDDEN, "model_required",
                   "the token is limited to some models, and the request names none");
    } else if (!answer_holds_for(&ctx->answer, ctx->ask.max_tokens)) {
        vault_deny(ctx, NGX_HTTP_FORBIDDEN, "max_tokens_required",
                   "the token is limited to some number of tokens, and the request is not");
    }
}

static void keep(vault_ctx_t *ctx, const vault_loc_conf_t *conf,
                 const vault_main_conf_t *main_conf) {
    time_t lifetime_s = (time_t)ngx_min((uint64_t)conf->cache_max_s, ctx->answer.cache_s);
    if (!ctx->is_from_cache && ctx->state == VAULT_GRANTED && may_cache(ctx, conf) &&
        lifetime_s > 0)
        vault_cache_put(ctx, main_conf, lifetime_s);
}

static ngx_int_t begin(vault_ctx_t *ctx, const vault_loc_conf_t *conf,
                       const vault_main_conf_t *main_conf) {
    const ngx_http_variable_value_t *id =
        ngx_http_get_indexed_variable(ctx->request, (ngx_uint_t)main_conf->request_id);
    if (id && id->valid)
        ctx->ask.request_id = bytes_of(id->data, id->len);
    ngx_int_t rc = vault_take(ctx, conf);
    if (rc == NGX_OK)
        rc = vault_facts(ctx, conf);
    if (rc != NGX_OK)
        return rc;
    ctx->state = VAULT_READY;
    return vault_model_find(ctx, conf);
}

// An internal redirect (error_page, try_files) makes nginx forget the context,
// and with it a token that vault_mask covered. Taken over unless a location has
// already used it: then it stays covered. What was uncovered on the way is
// covered again.
static ngx_int_t take_over(ngx_http_request_t *r, const vault_loc_conf_t *conf) {
    for (ngx_pool_cleanup_t *at = r->pool->cleanup; at; at = at->next) {
        vault_ctx_t *before = at->handler == request_end ? at->data : NULL;
        if (!before || before->state != VAULT_NEW || !before->masked_token.len)
            continue;
        vault_ctx_t *ctx = vault_ctx_new(r);
        if (!ctx)
            return NGX_ERROR;
        ctx->masked_token = before->masked_token;
        before->masked_token.len = 0;
        return NGX_OK;
    }
    return conf->redeem ? vault_mask(r) : NGX_OK;
}

ngx_int_t vault_handler(ngx_http_request_t *r) {
    const vault_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_vault_module);
    const vault_main_conf_t *main_conf = ngx_http_get_module_main_conf(r, ngx_http_vault_module);
    if (r != r->main)
        return NGX_DECLINED; // vault_inject refuses subrequests to a vault's upstream
    if (r->internal && !vault_ctx(r) && take_over(r, conf) == NGX_ERROR)
        return NGX_ERROR;
    vault_ctx_t *ctx = vault_ctx(r);
    if (!conf->redeem) {
        if (ctx && ctx->masked_token.len)
            vault_unmask(r, ctx);
        return NGX_DECLINED;
    }
    if (!ctx && !(ctx = vault_ctx_new(r)))
        return NGX_ERROR;
    if (ctx->state == VAULT_NEW) {
        ngx_int_t rc = begin(ctx, conf, main_conf);
        if (rc == NGX_DONE || rc == NGX_ERROR || rc >= NGX_HTTP_SPECIAL_RESPONSE)
            return rc;
    }
    if (ctx->state == VAULT_READY) {
        if (!vlt_is_ok(ctx->scan_result)) {
            vault_deny(ctx, NGX_HTTP_BAD_REQUEST, "ambiguous_body", ctx->scan_result.reason);
        } else {
            ctx->in_handler = 1;
            decide(ctx, conf, main_conf);
            ctx->in_handler = 0;
        }
    }
    if (ctx->state == VAULT_READING || ctx->state == VAULT_WAITING)
        return NGX_AGAIN;
    if (ctx->state == VAULT_GRANTED && !ctx->is_spliced) {
        check_grant(ctx, conf);
        keep(ctx, conf, main_conf);
        if (ctx->state == VAULT_GRANTED)
            vault_open_add(ctx, conf);
    }
    return ctx->state == VAULT_REFUSED ? vault_refuse(ctx, conf) : NGX_DECLINED;
}
