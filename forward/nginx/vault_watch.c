// SPDX-License-Identifier: Apache-2.0
// The watch: a stream on which the redeemer says each second, and at once after a
// change, which epoch it is and since when nothing was taken back. Each worker has
// one for its own open requests; that of the first worker also is the cache's,
// which silence or a broken stream empties. Open requests wait until it is back.
#include "forward/nginx/vault_module.h"

#define AGAIN_MS 250
#define SWEEP_MS 1000

static bool is_leaving(void) {
    return ngx_exiting || ngx_terminate;
}

// A worker that leaves goes on to watch for the requests that it has left.
static bool is_over(const vault_redeemer_t *redeemer) {
    return ngx_terminate || (ngx_exiting && vault_open_is_empty(redeemer));
}

static void watch_close(vault_redeemer_t *redeemer) {
    if (redeemer->watch)
        ngx_close_connection(redeemer->watch);
    redeemer->watch = NULL;
}

static void watch_end(vault_redeemer_t *redeemer, const char *why) {
    watch_close(redeemer);
    if (redeemer->cache && !is_leaving())
        vault_cache_silence(redeemer->cache);
    if (is_over(redeemer))
        return;
    if (!redeemer->is_lost)
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "vault: watch of the redeemer lost (%s)%s",
                      why, redeemer->cache ? ", cache emptied" : "");
    redeemer->is_lost = 1;
    ngx_add_timer(&redeemer->watch_again.event, AGAIN_MS);
}

static void ignore(ngx_event_t *event) {
    (void)event;
}

static void heard(vault_redeemer_t *redeemer) {
    const struct watch_reader *reader = &redeemer->reader;
    redeemer->is_lost = 0;
    // Another cycle's watch goes on: the cache is its business now.
    if (redeemer->cache && reader->has_epoch && !is_leaving())
        vault_cache_epoch(redeemer->cache, reader->epoch);
    if (redeemer->cuts && reader->has_standing)
        vault_open_doubt(redeemer, reader->standing);
}

// False when the watch is gone.
static bool take(vault_redeemer_t *redeemer, ngx_connection_t *c) {
    u_char room[1024];
    unsigned line_count;
    for (;;) {
        ssize_t size = c->recv(c, room, sizeof room);
        if (size == NGX_AGAIN)
            return true;
        if (size <= 0) {
            watch_end(redeemer, "closed");
            return false;
        }
        vlt_result result =
            watch_reader_feed(&redeemer->reader, bytes_of(room, (size_t)size), &line_count);
        if (!vlt_is_ok(result)) {
            watch_end(redeemer, result.reason);
            return false;
        }
        if (line_count) {
            heard(redeemer);
            ngx_add_timer(c->read, VAULT_SILENCE_MS);
        }
    }
}

static void watch_read(ngx_event_t *event) {
    ngx_connection_t *c = event->data;
    vault_redeemer_t *redeemer = c->data;
    if (is_over(redeemer)) {
        watch_close(redeemer);
        return;
    }
    c->close = 0; // asked to go, but requests are left
    if (event->timedout) {
        watch_end(redeemer, "silent");
        return;
    }
    if (take(redeemer, c) && ngx_handle_read_event(event, 0) != NGX_OK)
        watch_end(redeemer, "event");
}

static void watch_begin(ngx_event_t *event) {
    vault_redeemer_t *redeemer = vault_timer_owner(event);
    ngx_peer_connection_t *peer = &redeemer->watch_peer;
    struct bytes question = ask_watch();
    if (is_over(redeemer))
        return;
    *peer = (ngx_peer_connection_t){.sockaddr = redeemer->addr.sockaddr,
                                    .socklen = redeemer->addr.socklen,
                                    .name = &redeemer->addr.name,
                                    .get = ngx_event_get_peer,
                                    .log = ngx_cycle->log,
                                    .log_error = NGX_ERROR_ERR};
    ngx_int_t rc = ngx_event_connect_peer(peer);
    redeemer->watch = peer->connection;
    if (rc != NGX_OK && rc != NGX_AGAIN) {
        watch_end(redeemer, "no connection");
        return;
    }
    ngx_connection_t *c = redeemer->watch;
    c->data = redeemer;
    c->idle = 1; // a worker that shuts down may close it
    c->read->handler = watch_read;
    c->write->handler = ignore;
    c->read->log = c->write->log = c->log;
    c->read->cancelable = 1;
    watch_reader_init(&redeemer->reader);
    if (c->send(c, (u_char *)(uintptr_t)question.at, question.size) != (ssize_t)question.size) {
        watch_end(redeemer, "send");
        return;
    }
    ngx_add_timer(c->read, VAULT_SILENCE_MS);
}

static void sweep(ngx_event_t *event) {
    vault_cache_sweep(vault_timer_owner(event));
    if (!is_leaving())
        ngx_add_timer(event, SWEEP_MS);
}

void vault_timer_init(vault_timer_t *timer, ngx_event_handler_pt handler, void *owner) {
    timer->none = (ngx_connection_t){.fd = (ngx_socket_t)-1, .data = owner};
    timer->event = (ngx_event_t){
        .handler = handler, .log = ngx_cycle->log, .data = &timer->none, .cancelable = 1};
}

void *vault_timer_owner(const ngx_event_t *event) {
    const ngx_connection_t *none = event->data;
    return none->data;
}

void vault_watch_start(vault_main_conf_t *main_conf) {
    static vault_timer_t sweeping;
    bool has_cache = ngx_worker == 0 && main_conf->zone && main_conf->watch;
    vault_redeemer_t **redeemers = main_conf->redeemers.elts;
    for (ngx_uint_t i = 0; i < main_conf->redeemers.nelts; i++) {
        vault_redeemer_t *redeemer = redeemers[i];
        redeemer->cache = has_cache && redeemer == main_conf->watch ? main_conf : NULL;
        if (!redeemer->cache && !redeemer->cuts)
            continue;
        vault_timer_init(&redeemer->watch_again, watch_begin, redeemer);
        ngx_add_timer(&redeemer->watch_again.event, 1);
    }
    if (!has_cache)
        return;
    vault_timer_init(&sweeping, sweep, main_conf);
    ngx_add_timer(&sweeping.event, SWEEP_MS);
}

// nginx complains of connections that are left when a worker has ended.
void vault_watch_stop(vault_main_conf_t *main_conf) {
    vault_redeemer_t **redeemers = main_conf->redeemers.elts;
    for (ngx_uint_t i = 0; i < main_conf->redeemers.nelts; i++) {
        watch_close(redeemers[i]);
        vault_standing_stop(redeemers[i]);
    }
}
