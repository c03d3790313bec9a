// SPDX-License-Identifier: Apache-2.0
// The watch: one worker keeps a stream open on which the redeemer says each
// second, and at once after a change, which epoch it is. Silence or a broken
// stream empties the cache.
#include "forward/nginx/vault_module.h"

#include "forward/core/reply.h"

#define AGAIN_MS 250
#define SWEEP_MS 1000

static struct {
    vault_main_conf_t *conf;
    ngx_connection_t *connection;
    ngx_event_t begin, sweep;
    struct watch_reader reader;
} watch;

static void watch_end(const char *why) {
    if (watch.connection) {
        ngx_close_connection(watch.connection);
        watch.connection = NULL;
    }
    vault_cache_silence(watch.conf);
    if (ngx_exiting || ngx_terminate)
        return;
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "vault: watch of the redeemer lost (%s), cache emptied", why);
    ngx_add_timer(&watch.begin, AGAIN_MS);
}

static void ignore(ngx_event_t *event) {
    (void)event;
}

static void watch_read(ngx_event_t *event) {
    ngx_connection_t *c = event->data;
    if (c->close || ngx_exiting || ngx_terminate) {
        // Another cycle's watch goes on: the cache is its business now.
        ngx_close_connection(c);
        watch.connection = NULL;
        return;
    }
    if (event->timedout) {
        watch_end("silent");
        return;
    }
    u_char room[1024];
    unsigned line_count;
    for (;;) {
        ssize_t size = c->recv(c, room, sizeof room);
        if (size == NGX_AGAIN)
            break;
        if (size <= 0) {
            watch_end("closed");
            return;
        }
        vlt_result result =
            watch_reader_feed(&watch.reader, bytes_of(room, (size_t)size), &line_count);
        if (!vlt_is_ok(result)) {
            watch_end(result.reason);
            return;
        }
        if (line_count) {
            vault_cache_epoch(watch.conf, watch.reader.epoch);
            ngx_add_timer(event, VAULT_SILENCE_MS);
        }
    }
    if (ngx_handle_read_event(event, 0) != NGX_OK)
        watch_end("event");
}

static void watch_begin(ngx_event_t *event) {
    static ngx_peer_connection_t peer;
    struct bytes question = ask_watch();
    if (ngx_exiting || ngx_terminate)
        return;
    peer = (ngx_peer_connection_t){.sockaddr = watch.conf->watch->addr.sockaddr,
                                   .socklen = watch.conf->watch->addr.socklen,
                                   .name = &watch.conf->watch->addr.name,
                                   .get = ngx_event_get_peer,
                                   .log = ngx_cycle->log,
                                   .log_error = NGX_ERROR_ERR};
    ngx_int_t rc = ngx_event_connect_peer(&peer);
    watch.connection = peer.connection;
    if (rc != NGX_OK && rc != NGX_AGAIN) {
        watch_end("no connection");
        return;
    }
    ngx_connection_t *c = watch.connection;
    c->data = &watch;
    c->idle = 1; // a worker that shuts down may close it
    c->read->handler = watch_read;
    c->write->handler = ignore;
    c->read->log = c->write->log = c->log;
    c->read->cancelable = 1;
    watch_reader_init(&watch.reader);
    if (c->send(c, (u_char *)(uintptr_t)question.at, question.size) != (ssize_t)question.size) {
        watch_end("send");
        return;
    }
    ngx_add_timer(c->read, VAULT_SILENCE_MS);
}

static void sweep(ngx_event_t *event) {
    vault_cache_sweep(watch.conf);
    if (!ngx_exiting && !ngx_terminate)
        ngx_add_timer(event, SWEEP_MS);
}

static void timer_init(ngx_event_t *timer, ngx_event_handler_pt handler, ngx_cycle_t *cycle,
                       ngx_msec_t after_ms) {
    static ngx_connection_t none = {.fd = (ngx_socket_t)-1}; // nginx's debug log wants one
    timer->handler = handler;
    timer->log = cycle->log;
    timer->data = &none;
    timer->cancelable = 1;
    ngx_add_timer(timer, after_ms);
}

void vault_watch_start(ngx_cycle_t *cycle, vault_main_conf_t *main_conf) {
    if (ngx_worker != 0 || !main_conf->zone || !main_conf->watch)
        return;
    watch.conf = main_conf;
    timer_init(&watch.begin, watch_begin, cycle, 1);
    timer_init(&watch.sweep, sweep, cycle, SWEEP_MS);
}
