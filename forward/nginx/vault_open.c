// SPDX-License-Identifier: Apache-2.0
// The requests that are under way, and their end when what they were granted on is
// taken back. Each worker has its own list for each redeemer; a request is in
// exactly one of three queues: it stands, it is in doubt, or it is being asked
// about. Only grants are kept, which are no secret, and no token.
#include "forward/nginx/vault_module.h"

void vault_open_add(vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    vault_redeemer_t *redeemer = conf->redeemer;
    if (!conf->cut_streams || !ctx->answer.grant.size || ctx->redeemer)
        return;
    ctx->redeemer = redeemer;
    // Decided on before what the watch said last, or by a redeemer that says
    // something else: then this worker does not know.
    if (redeemer->has_standing && redeemer->standing == ctx->answer.standing) {
        ngx_queue_insert_tail(&redeemer->standing_requests, &ctx->open);
    } else {
        ngx_queue_insert_tail(&redeemer->doubtful_requests, &ctx->open);
        vault_standing_ask(redeemer);
    }
}

void vault_open_remove(vault_ctx_t *ctx) {
    if (ctx->redeemer) {
        ngx_queue_remove(&ctx->open); // several statements
        ctx->redeemer = NULL;
    }
}

bool vault_open_is_empty(const vault_redeemer_t *redeemer) {
    return ngx_queue_empty(&redeemer->standing_requests) &&
           ngx_queue_empty(&redeemer->doubtful_requests) &&
           ngx_queue_empty(&redeemer->asked_requests);
}

static void move_all(ngx_queue_t *from, ngx_queue_t *to) {
    if (ngx_queue_empty(from))
        return;
    ngx_queue_add(to, from);
    ngx_queue_init(from);
}

void vault_open_doubt(vault_redeemer_t *redeemer, uint64_t standing) {
    if (redeemer->has_standing && redeemer->standing == standing)
        return;
    redeemer->has_standing = 1;
    redeemer->standing = standing;
    redeemer->is_outdated = 1; // what is being asked now may be answered from before
    move_all(&redeemer->standing_requests, &redeemer->doubtful_requests);
    vault_standing_ask(redeemer);
}

void vault_open_ask_again(vault_redeemer_t *redeemer) {
    move_all(&redeemer->asked_requests, &redeemer->doubtful_requests);
}

// A client must notice that this is no end: TCP is reset, HTTP/2 gets RST_STREAM,
// and TLS no close_notify.
static void make_abrupt(ngx_connection_t *c) {
    const struct linger at_once = {.l_onoff = 1};
    c->error = 1;
    if (setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == -1)
        ngx_log_error(NGX_LOG_WARN, c->log, ngx_socket_errno, "vault: SO_LINGER failed");
}

void vault_open_cut(vault_ctx_t *ctx, struct bytes reason) {
    ngx_http_request_t *r = ctx->request;
    ngx_connection_t *c = r->connection;
    ngx_str_t why = vault_str(reason), credential = vault_str(ctx->answer.credential);
    vault_open_remove(ctx);
    ctx->state = VAULT_CUT;
    ngx_log_error(NGX_LOG_WARN, c->log, 0, "vault: request cut: %V, credential \"%V\"", &why,
                  &credential);
    // As nginx ends requests when a worker must go (worker_shutdown_timeout): also
    // closes the connection to the provider, whatever is going on there.
    c->close = 1;
#if (NGX_HTTP_V2)
    if (r->stream) {
        ngx_event_t *write = r->stream->connection->connection->write;
        c->read->handler(c->read);
        ngx_post_event(write, &ngx_posted_events); // else RST_STREAM waits for other frames
        return;
    }
#endif
    make_abrupt(c);
    c->read->handler(c->read);
}
