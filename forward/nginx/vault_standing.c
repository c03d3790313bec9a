// SPDX-License-Identifier: Apache-2.0
// Asks the redeemer which of the requests that are in doubt have ended: one
// question at a time, over a connection of its own that stays open.
#include "forward/nginx/vault_module.h"

#include "forward/core/standing.h"

#define ROUND_MS 100 // from the begin of one round to the next, however often things change
#define AGAIN_MS 250 // after a failure
#define ANSWER_MS 1000

struct vault_asker_s {
    vault_redeemer_t *redeemer;
    ngx_connection_t *connection; // NULL: none
    ngx_peer_connection_t peer;
    vault_timer_t begin;
    ngx_msec_t round_at_ms;
    unsigned is_asking : 1;
    unsigned is_reused : 1;
    unsigned has_failed : 1; // and said so
    struct bytes question;   // what is left to send
    size_t count;            // of grants in the question
    struct reply_head head;
    bool head_is_whole;
    size_t size;
    uint8_t answer[REPLY_HEAD_MAX + REPLY_BODY_MAX];
    uint8_t room[STANDING_QUESTION_MAX];
};

static void disconnect(vault_asker_t *asker) {
    if (asker->connection)
        ngx_close_connection(asker->connection);
    asker->connection = NULL;
    asker->is_asking = 0;
}

static void begin_in(vault_asker_t *asker, ngx_msec_t ms) {
    if (!asker->is_asking && !asker->begin.event.timer_set &&
        !ngx_queue_empty(&asker->redeemer->doubtful_requests))
        ngx_add_timer(&asker->begin.event, ms);
}

// Nobody is cut for it: what is in doubt stays so, and is asked about again.
static void fail(vault_asker_t *asker, const char *why) {
    bool was_closed_meanwhile = asker->is_reused && asker->size == 0;
    disconnect(asker);
    vault_open_ask_again(asker->redeemer);
    if (!was_closed_meanwhile && !asker->has_failed) {
        asker->has_failed = 1;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "vault: the redeemer does not say which requests have ended (%s)", why);
    }
    begin_in(asker, was_closed_meanwhile ? 1 : AGAIN_MS);
}

// ---- The answer ----

// Cutting one may end others of the same client: what is left is in the queue.
static void settle(vault_redeemer_t *redeemer, const struct standing_answer *answer) {
    size_t next = 0;
    while (!ngx_queue_empty(&redeemer->asked_requests)) {
        vault_ctx_t *ctx =
            ngx_queue_data(ngx_queue_head(&redeemer->asked_requests), vault_ctx_t, open);
        while (next < answer->ended_count && answer->ended[next].index < ctx->asked_as)
            next++;
        if (next < answer->ended_count && answer->ended[next].index == ctx->asked_as) {
            vault_open_cut(ctx, answer->ended[next].reason);
            continue;
        }
        ngx_queue_remove(&ctx->open);
        ngx_queue_insert_tail(redeemer->is_outdated ? &redeemer->doubtful_requests
                                                    : &redeemer->standing_requests,
                              &ctx->open);
    }
}

// The forwarder is not enrolled any more: nothing that it began may go on.
static void cut_asked(vault_redeemer_t *redeemer) {
    while (!ngx_queue_empty(&redeemer->asked_requests))
        vault_open_cut(
            ngx_queue_data(ngx_queue_head(&redeemer->asked_requests), vault_ctx_t, open),
            BYTES_LITERAL("the forwarder is not enrolled any more"));
}

static void answered(vault_asker_t *asker) {
    struct standing_answer answer;
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "its status");
    if (asker->head.status == 200)
        result = standing_answer_parse(asker->answer + asker->head.head_bytes,
                                       asker->head.body_bytes, asker->count, &answer);
    if (!vlt_is_ok(result) && asker->head.status != 403) {
        fail(asker, result.reason);
        return;
    }
    if (asker->head.stays_open) {
        asker->is_asking = 0;
        asker->is_reused = 1;
        asker->size = 0;
        ngx_del_timer(asker->connection->read);
    } else {
        disconnect(asker);
    }
    asker->has_failed = 0;
    if (asker->head.status == 403)
        cut_asked(asker->redeemer);
    else
        settle(asker->redeemer, &answer);
    vault_standing_ask(asker->redeemer);
}

static bool is_whole(vault_asker_t *asker, vlt_result *ret_result) {
    *ret_result = vlt_ok();
    if (!asker->head_is_whole) {
        *ret_result = reply_head_parse(bytes_of(asker->answer, asker->size), &asker->head,
                                       &asker->head_is_whole);
        if (vlt_is_ok(*ret_result) && asker->head_is_whole && asker->head.is_chunked)
            *ret_result = vlt_fail(VLT_MALFORMED, "its answer is chunked");
    }
    return vlt_is_ok(*ret_result) && asker->head_is_whole &&
           asker->size >= asker->head.head_bytes + asker->head.body_bytes;
}

static void on_read(ngx_event_t *event) {
    ngx_connection_t *c = event->data;
    vault_asker_t *asker = c->data;
    vlt_result result;
    if (event->timedout) {
        fail(asker, "it is silent");
        return;
    }
    for (;;) {
        ssize_t size =
            c->recv(c, asker->answer + asker->size, sizeof asker->answer - asker->size);
        if (size == NGX_AGAIN) {
            if (ngx_handle_read_event(event, 0) != NGX_OK)
                fail(asker, "event");
            return;
        }
        if (size <= 0 || !asker->is_asking) {
            fail(asker, "closed");
            return;
        }
        asker->size += (size_t)size;
        if (is_whole(asker, &result)) {
            answered(asker);
            return;
        }
        if (!vlt_is_ok(result)) {
            fail(asker, result.reason);
            return;
        }
    }
}

// ---- The question ----

static void on_write(ngx_event_t *event) {
    ngx_connection_t *c = event->data;
    vault_asker_t *asker = c->data;
    while (asker->question.size) {
        ssize_t size = c->send(c, (u_char *)(uintptr_t)asker->question.at, asker->question.size);
        if (size == NGX_AGAIN && ngx_handle_write_event(c->write, 0) == NGX_OK)
            return;
        if (size <= 0) {
            fail(asker, "send");
            return;
        }
        asker->question = bytes_from(asker->question, (size_t)size);
    }
}

static bool connect_to(vault_asker_t *asker) {
    const ngx_addr_t *addr = &asker->redeemer->addr;
    if (asker->connection)
        return true;
    asker->is_reused = 0;
    asker->peer = (ngx_peer_connection_t){.sockaddr = addr->sockaddr,
                                          .socklen = addr->socklen,
                                          .name = (ngx_str_t *)(uintptr_t)&addr->name,
                                          .get = ngx_event_get_peer,
                                          .log = ngx_cycle->log,
                                          .log_error = NGX_ERROR_ERR};
    ngx_int_t rc = ngx_event_connect_peer(&asker->peer);
    asker->connection = asker->peer.connection;
    if (rc != NGX_OK && rc != NGX_AGAIN)
        return false;
    asker->connection->data = asker;
    asker->connection->read->handler = on_read;
    asker->connection->write->handler = on_write;
    asker->connection->read->cancelable = 1; // open requests keep the worker, not this
    asker->connection->read->log = asker->connection->write->log = asker->connection->log;
    return true;
}

static void fill(vault_asker_t *asker) {
    vault_redeemer_t *redeemer = asker->redeemer;
    struct standing_question question;
    standing_question_begin(&question, asker->room);
    while (!ngx_queue_empty(&redeemer->doubtful_requests)) {
        ngx_queue_t *at = ngx_queue_head(&redeemer->doubtful_requests);
        vault_ctx_t *ctx = ngx_queue_data(at, vault_ctx_t, open);
        if (!standing_question_add(&question, ctx->answer.grant, ctx->ask.request_id))
            break;
        ctx->asked_as = (ngx_uint_t)question.count - 1;
        ngx_queue_remove(at);
        ngx_queue_insert_tail(&redeemer->asked_requests, at);
    }
    asker->question = standing_question_end(&question);
    asker->count = question.count;
}

static void on_begin(ngx_event_t *event) {
    vault_asker_t *asker = vault_timer_owner(event);
    if (ngx_terminate || ngx_queue_empty(&asker->redeemer->doubtful_requests))
        return;
    asker->size = 0;
    asker->head_is_whole = false;
    if (!connect_to(asker)) {
        fail(asker, "no connection");
        return;
    }
    asker->redeemer->is_outdated = 0;
    asker->round_at_ms = ngx_current_msec;
    asker->is_asking = 1;
    fill(asker);
    ngx_add_timer(asker->connection->read, ANSWER_MS);
    on_write(asker->connection->write);
}

// Its memory is made when there is something to ask about for the first time.
static vault_asker_t *asker_of(vault_redeemer_t *redeemer) {
    if (redeemer->asker)
        return redeemer->asker;
    vault_asker_t *asker = ngx_calloc(sizeof *asker, ngx_cycle->log);
    if (!asker)
        return NULL;
    asker->redeemer = redeemer;
    asker->round_at_ms = ngx_current_msec - ROUND_MS;
    vault_timer_init(&asker->begin, on_begin, asker);
    return redeemer->asker = asker;
}

void vault_standing_ask(vault_redeemer_t *redeemer) {
    vault_asker_t *asker = asker_of(redeemer);
    if (!asker)
        return; // with the next change
    // What is left of a round goes on at once; a new round has its distance.
    ngx_msec_int_t left = (ngx_msec_int_t)(asker->round_at_ms + ROUND_MS - ngx_current_msec);
    begin_in(asker, left > 0 && redeemer->is_outdated ? (ngx_msec_t)left : 1);
}

void vault_standing_stop(vault_redeemer_t *redeemer) {
    if (redeemer->asker)
        disconnect(redeemer->asker);
}
