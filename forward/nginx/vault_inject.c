// SPDX-License-Identifier: Apache-2.0
// Puts the credential in at the last moment: into the finished request, just
// before nginx chooses a connection. It is never in a header list, a variable,
// a mirror or a debug log. And checks what comes back.
#include "forward/nginx/vault_module.h"

static const vault_upstream_t *upstream_of(ngx_http_request_t *r,
                                           const ngx_http_upstream_srv_conf_t *upstream) {
    const vault_main_conf_t *main_conf = ngx_http_get_module_main_conf(r, ngx_http_vault_module);
    const vault_upstream_t *known = main_conf->upstreams.elts;
    for (ngx_uint_t i = 0; i < main_conf->upstreams.nelts; i++)
        if (known[i].upstream == upstream)
            return &known[i];
    return NULL;
}

// The new head takes the place of the old one in its buffer. u->uri goes on pointing into the
// old one: nginx writes it to the error log, and the new one may hold a key.
static ngx_int_t head_splice(ngx_http_request_t *r, vault_ctx_t *ctx,
                             const vault_loc_conf_t *conf) {
    ngx_buf_t *buf = r->upstream->request_bufs->buf;
    struct bytes request = bytes_of(buf->pos, (size_t)(buf->last - buf->pos));
    const struct head_change change = {.method = ctx->ask.method,
                                       .path = ctx->ask.path,
                                       .host = vault_bytes(conf->host),
                                       .request_id = ctx->ask.request_id,
                                       .correlation = ctx->answer.txn,
                                       .answer = &ctx->answer,
                                       .strip = &conf->strip};
    struct wire_writer w;
    size_t capacity = head_capacity(request, &change);
    u_char *head = ngx_pnalloc(r->pool, capacity);
    if (!head || vault_wipe_later(ctx, head, capacity) != NGX_OK)
        return NGX_ERROR;
    wire_writer_init(&w, head, capacity);
    vlt_result result = head_rewrite(request, &change, &w);
    if (!vlt_is_ok(result)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "vault: %s", result.reason);
        return NGX_ERROR;
    }
    buf->start = buf->pos = head;
    buf->last = head + w.size;
    buf->end = head + capacity;
    ctx->is_spliced = 1;
    return NGX_OK;
}

static bool is_redirect(ngx_uint_t status) {
    return status >= 300 && status < 400 && status != NGX_HTTP_NOT_MODIFIED;
}

static bool is_event_stream(const ngx_http_upstream_t *u) {
    const ngx_table_elt_t *type = u->headers_in.content_type;
    return type && type->value.len >= 17 &&
           !ngx_strncasecmp(type->value.data, (u_char *)(uintptr_t) "text/event-stream", 17);
}

// nginx copies small writes into a buffer of the TLS connection, which lives on
// in the pool of kept connections.
static void wipe_tls_buffer(const ngx_connection_t *c) {
    if (c && c->ssl && c->ssl->buf && c->ssl->buf->start && c->ssl->buf->pos == c->ssl->buf->last)
        explicit_bzero(c->ssl->buf->start, (size_t)(c->ssl->buf->end - c->ssl->buf->start));
}

static ngx_int_t process_header(ngx_http_request_t *r) {
    vault_ctx_t *ctx = vault_ctx(r);
    ngx_http_upstream_t *u = r->upstream;
    wipe_tls_buffer(u->peer.connection);
    if (ctx->echo)
        vault_echo_cover_head(ctx);
    // The proxy moves from one parser to the next by replacing the pointer.
    u->process_header = ctx->process_header;
    ngx_int_t rc = u->process_header(r);
    ctx->process_header = u->process_header;
    u->process_header = process_header;
    if (rc != NGX_OK)
        return rc;
    if (is_redirect(u->headers_in.status_n)) {
        // Followed by the client, it would send our token elsewhere.
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "vault: the upstream answered with a redirect, %ui", u->headers_in.status_n);
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
    if (ctx->echo && !vault_echo_is_readable(ctx)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "vault: the upstream's answer is compressed, which it was not asked for: it "
                      "can not be searched (vault_cover_echoes)");
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
    if (is_event_stream(u))
        u->buffering = 0; // whatever proxy_buffering says: events are for now
    return NGX_OK;
}

static ngx_int_t inject(ngx_http_request_t *r, const vault_upstream_t *known,
                        const vault_loc_conf_t *conf) {
    vault_ctx_t *ctx = vault_ctx(r);
    const ngx_http_upstream_t *u = r->upstream;
    if (r != r->main || !ctx || ctx->state != VAULT_GRANTED || ctx->is_spliced ||
        known->owner == NULL || known->upstream != u->conf->upstream || u->conf->cache > 0 ||
        u->conf->store > 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "vault: no decision for this request: refused");
        return NGX_ERROR;
    }
    if ((conf->cover_echoes && vault_echo_begin(ctx) != NGX_OK) ||
        head_splice(r, ctx, conf) != NGX_OK)
        return NGX_ERROR;
    ctx->process_header = r->upstream->process_header;
    r->upstream->process_header = process_header;
    return NGX_OK;
}

// Runs for every request to every upstream.
static ngx_int_t peer_init(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *upstream) {
    const vault_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_vault_module);
    const vault_upstream_t *known = upstream_of(r, upstream);
    if (!known)
        return NGX_ERROR;
    if (conf->redeem) {
        if (inject(r, known, conf) != NGX_OK)
            return NGX_ERROR;
    } else if (known->owner && upstream->flags) {
        // A proxy_pass with a variable found its way to a vault's upstream{}: its
        // connections, perhaps unverified, must not get into that pool.
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "vault: upstream \"%V\" belongs to vault_redeem", &upstream->host);
        return NGX_ERROR;
    }
    return known->init(r, upstream);
}

static const vault_loc_conf_t *owner_of(const vault_main_conf_t *main_conf,
                                        const ngx_http_upstream_srv_conf_t *upstream) {
    extern ngx_module_t ngx_http_proxy_module;
    vault_loc_conf_t **locations = main_conf->locations.elts;
    for (ngx_uint_t i = 0; i < main_conf->locations.nelts; i++) {
        const ngx_http_upstream_conf_t *proxy =
            locations[i]->loc_conf[ngx_http_proxy_module.ctx_index];
        if (locations[i]->redeem && proxy->upstream == upstream)
            return locations[i];
    }
    return NULL;
}

ngx_int_t vault_upstreams_wrap(ngx_conf_t *cf, vault_main_conf_t *main_conf) {
    const ngx_http_upstream_main_conf_t *all =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    ngx_http_upstream_srv_conf_t **upstreams = all->upstreams.elts;
    for (ngx_uint_t i = 0; i < all->upstreams.nelts; i++) {
        if (!upstreams[i]->peer.init)
            continue;
        vault_upstream_t *slot = ngx_array_push(&main_conf->upstreams);
        if (!slot)
            return NGX_ERROR;
        *slot = (vault_upstream_t){upstreams[i], upstreams[i]->peer.init,
                                   owner_of(main_conf, upstreams[i])};
        upstreams[i]->peer.init = peer_init;
    }
    return NGX_OK;
}
