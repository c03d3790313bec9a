// SPDX-License-Identifier: Apache-2.0
// Asks the redeemer over a unix socket that stays open. Directly and not by a
// subrequest: a subrequest's answer would be seen by variables and debug logs.
#include "forward/nginx/vault_module.h"

#include "forward/core/reply.h"

#define ROOM_BYTES 4096

struct vault_link_s {
    ngx_connection_t *connection;
    ngx_peer_connection_t peer;
    ngx_queue_t idle;
    vault_redeemer_t *redeemer;
    vault_ctx_t *ctx; // NULL while idle
    unsigned is_reused : 1;
    struct bytes question; // what is left to send
    uint8_t *room;         // of the request's pool: the answer
    size_t size, capacity;
    struct reply_head head;
    bool head_is_whole;
};

static void link_free(vault_link_t *link) {
    if (link->connection)
        ngx_close_connection(link->connection);
    ngx_free(link);
}

static void idle_read(ngx_event_t *event) {
    ngx_connection_t *c = event->data;
    vault_link_t *link = c->data;
    char byte;
    // Anything but "nothing yet" means that it is of no more use.
    if (!c->close && recv(c->fd, &byte, 1, MSG_PEEK) == -1 && ngx_socket_errno == NGX_EAGAIN) {
        event->ready = 0;
        if (ngx_handle_read_event(event, 0) == NGX_OK)
            return;
    }
    ngx_queue_remove(&link->idle);
    link->redeemer->idle_count--;
    link_free(link);
}

static void ignore(ngx_event_t *event) {
    (void)event;
}

static void link_release(vault_link_t *link) {
    ngx_connection_t *c = link->connection;
    vault_redeemer_t *redeemer = link->redeemer;
    bool is_clean =
        link->head.stays_open && link->size == link->head.head_bytes + link->head.body_bytes;
    if (c->read->timer_set)
        ngx_del_timer(c->read);
    link->ctx->link = NULL;
    link->ctx = NULL;
    link->room = NULL;
    if (!is_clean || redeemer->idle_count >= VAULT_LINKS_IDLE_MAX || ngx_exiting || ngx_terminate ||
        ngx_handle_read_event(c->read, 0) != NGX_OK) {
        link_free(link);
        return;
    }
    c->idle = 1;
    c->read->handler = idle_read;
    c->write->handler = ignore;
    ngx_queue_insert_head(&redeemer->idle, &link->idle);
    redeemer->idle_count++;
}

static void unavailable(vault_ctx_t *ctx, const char *code, const char *message) {
    ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0, "vault: %s", message);
    vault_deny(ctx, NGX_HTTP_SERVICE_UNAVAILABLE, code, message);
}

// The redeemer closed a kept connection just when it was taken up again: ask
// once more on a fresh one. Not with a proof, which may be used once only.
static bool retry(vault_link_t *link) {
    vault_ctx_t *ctx = link->ctx;
    if (!link->is_reused || link->size || ctx->was_retried || ctx->ask.proof.size)
        return false;
    ctx->was_retried = 1;
    vault_link_cancel(ctx);
    vault_link_ask(ctx, ngx_http_get_module_loc_conf(ctx->request, ngx_http_vault_module));
    return true;
}

static void link_fail(vault_link_t *link, const char *code, const char *message) {
    vault_ctx_t *ctx = link->ctx;
    vault_link_cancel(ctx);
    unavailable(ctx, code, message);
    vault_resume(ctx);
}

static void link_lost(vault_link_t *link) {
    if (!retry(link))
        link_fail(link, "vault_unavailable", "the credential service is not available");
}

// False when the link is gone (and the request was resumed or asks again).
static bool link_send(vault_link_t *link) {
    ngx_connection_t *c = link->connection;
    while (link->question.size) {
        ssize_t size = c->send(c, (u_char *)(uintptr_t)link->question.at, link->question.size);
        if (size == NGX_AGAIN && ngx_handle_write_event(c->write, 0) == NGX_OK)
            return true;
        if (size <= 0) {
            link_lost(link);
            return false;
        }
        link->question = bytes_from(link->question, (size_t)size);
    }
    return true;
}

static void link_write(ngx_event_t *event) {
    const ngx_connection_t *c = event->data;
    (void)link_send(c->data);
}

static void link_answer(vault_link_t *link) {
    vault_ctx_t *ctx = link->ctx;
    uint8_t *body = link->room + link->head.head_bytes;
    size_t size = link->head.body_bytes;
    unsigned status = link->head.status;
    vlt_result result = vlt_fail(VLT_MALFORMED, "the redeemer's status");
    link_release(link);
    if (status == 200) {
        result = answer_parse(body, size, &ctx->answer);
        ctx->state = VAULT_GRANTED;
    } else if (status >= 400) {
        result = denial_parse(body, size, status, &ctx->denial);
        ctx->state = VAULT_REFUSED;
    }
    if (!vlt_is_ok(result)) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0, "vault: %s (status %ui)",
                      result.reason, (ngx_uint_t)status);
        vault_deny(ctx, NGX_HTTP_SERVICE_UNAVAILABLE, "vault_answer",
                   "the credential service gave no valid answer");
    }
    vault_resume(ctx);
}

// Room for what is still to come; the old room is wiped.
static bool room_extend(vault_link_t *link, size_t capacity) {
    if (capacity <= link->capacity)
        return true;
    vault_ctx_t *ctx = link->ctx;
    uint8_t *room = ngx_pnalloc(ctx->request->pool, capacity);
    if (!room || vault_wipe_later(ctx, room, capacity) != NGX_OK)
        return false;
    if (link->size) {
        ngx_memcpy(room, link->room, link->size);
        explicit_bzero(link->room, link->size);
    }
    link->room = room;
    link->capacity = capacity;
    return true;
}

// True when the answer is whole.
static bool answer_is_whole(vault_link_t *link, vlt_result *ret_result) {
    if (!link->head_is_whole) {
        *ret_result =
            reply_head_parse(bytes_of(link->room, link->size), &link->head, &link->head_is_whole);
        if (!vlt_is_ok(*ret_result) || !link->head_is_whole)
            return false;
        if (link->head.is_chunked ||
            !room_extend(link, link->head.head_bytes + link->head.body_bytes + 1))
            *ret_result = vlt_fail(VLT_MALFORMED, "the redeemer's answer is chunked or too long");
    }
    return vlt_is_ok(*ret_result) && link->size >= link->head.head_bytes + link->head.body_bytes;
}

static void link_read(ngx_event_t *event) {
    ngx_connection_t *c = event->data;
    vault_link_t *link = c->data;
    if (event->timedout) {
        link_fail(link, "vault_timeout", "the credential service does not answer");
        return;
    }
    for (;;) {
        vlt_result result = vlt_ok();
        if (link->size && answer_is_whole(link, &result)) {
            link_answer(link);
            return;
        }
        if (!vlt_is_ok(result) || link->size == link->capacity) {
            link_fail(link, "vault_answer", "the credential service gave no valid answer");
            return;
        }
        ssize_t size = c->recv(c, link->room + link->size, link->capacity - link->size);
        if (size == NGX_AGAIN) {
            if (ngx_handle_read_event(event, 0) != NGX_OK)
                link_lost(link);
            return;
        }
        if (size <= 0) {
            link_lost(link);
            return;
        }
        link->size += (size_t)size;
    }
}

static vault_link_t *link_take_idle(vault_redeemer_t *redeemer) {
    if (ngx_queue_empty(&redeemer->idle))
        return NULL;
    vault_link_t *link = ngx_queue_data(ngx_queue_head(&redeemer->idle), vault_link_t, idle);
    ngx_queue_remove(&link->idle);
    redeemer->idle_count--;
    link->connection->idle = 0;
    link->is_reused = 1;
    return link;
}

static vault_link_t *link_open(vault_redeemer_t *redeemer) {
    vault_link_t *link = ngx_calloc(sizeof *link, ngx_cycle->log);
    if (!link)
        return NULL;
    link->redeemer = redeemer;
    link->peer = (ngx_peer_connection_t){.sockaddr = redeemer->addr.sockaddr,
                                         .socklen = redeemer->addr.socklen,
                                         .name = &redeemer->addr.name,
                                         .get = ngx_event_get_peer,
                                         .log = ngx_cycle->log,
                                         .log_error = NGX_ERROR_ERR};
    ngx_int_t rc = ngx_event_connect_peer(&link->peer);
    link->connection = link->peer.connection;
    if (rc != NGX_OK && rc != NGX_AGAIN) {
        link_free(link);
        return NULL;
    }
    link->connection->data = link;
    link->connection->read->log = link->connection->write->log = link->connection->log;
    return link;
}

static void ask_on(vault_link_t *link) {
    ngx_connection_t *c = link->connection;
    c->read->handler = link_read;
    c->write->handler = link_write;
    const vault_loc_conf_t *conf =
        ngx_http_get_module_loc_conf(link->ctx->request, ngx_http_vault_module);
    ngx_add_timer(c->read, conf->timeout_ms); // for the whole question: never renewed
    if (link_send(link) && c->read->ready)
        link_read(c->read);
}

void vault_link_ask(vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    size_t capacity = ask_capacity(&ctx->ask);
    uint8_t *room = ngx_pnalloc(ctx->request->pool, capacity);
    struct bytes question;
    vault_link_t *link = ctx->was_retried ? NULL : link_take_idle(conf->redeemer);
    if (!link)
        link = link_open(conf->redeemer);
    if (link) {
        link->ctx = ctx;
        link->size = link->capacity = 0;
        link->head_is_whole = false;
        ctx->link = link;
    }
    if (!link || !room || vault_wipe_later(ctx, room, capacity) != NGX_OK ||
        !vlt_is_ok(ask_write(&ctx->ask, room, capacity, &question)) ||
        !room_extend(link, ROOM_BYTES)) {
        vault_link_cancel(ctx);
        unavailable(ctx, "vault_unavailable", "the credential service is not available");
        vault_resume(ctx);
        return;
    }
    link->question = question;
    ctx->state = VAULT_WAITING;
    ask_on(link);
}

void vault_link_cancel(vault_ctx_t *ctx) {
    if (ctx->link)
        link_free(ctx->link);
    ctx->link = NULL;
}
