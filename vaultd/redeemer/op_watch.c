// SPDX-License-Identifier: Apache-2.0
// GET /v1/watch: tells forwarders at once when an answer that they hold may no
// longer be right ("epoch"), or a request that is under way may have to end
// ("standing": see POST /v1/standing), and once a second that all is as it was. A
// forwarder that hears nothing forgets its answers.
#include <stdlib.h>

#include "vaultd/redeemer/redeem.h"

struct watcher {
    struct watcher *next, **link;
    struct http_exchange *x;
};

static void watcher_end(struct watcher *watcher) {
    *watcher->link = watcher->next;
    if (watcher->next)
        watcher->next->link = watcher->link;
    http_exchange_stream_end(watcher->x);
    free(watcher);
}

static void on_gone(void *context) { watcher_end(context); }

// Ends a watcher that does not take it: no on_gone comes for that one.
static void tell(const struct redeemer *redeemer, struct watcher *watcher) {
    struct buf line;
    buf_init(&line, 128);
    buf_put_format(&line, "epoch %llu\nstanding %llu\n", (unsigned long long)redeemer->epoch,
                   (unsigned long long)redeemer->standing);
    vlt_result result = http_exchange_stream_chunk(watcher->x, buf_bytes(&line));
    buf_done(&line);
    if (!vlt_is_ok(result))
        watcher_end(watcher);
}

void watchers_tell(struct redeemer *redeemer) {
    for (struct watcher *watcher = redeemer->watchers, *next; watcher; watcher = next) {
        next = watcher->next;
        tell(redeemer, watcher);
    }
}

void watchers_end(struct redeemer *redeemer) {
    while (redeemer->watchers)
        watcher_end(redeemer->watchers);
}

// NULL: the forwarder is enrolled; else what it is told. A forwarder that hears nothing
// forgets, whatever the reason.
static const struct redeem_refusal *check_enrolled(struct redeemer *redeemer,
                                                   struct http_exchange *x,
                                                   const char **ret_reason) {
    const struct record_forwarder *forwarder;
    vlt_result result = redeemer_snapshot(redeemer);
    *ret_reason = result.reason;
    if (!vlt_is_ok(result))
        return &redeem_refusal_unavailable;
    result =
        forwarder_find(&redeemer->forwarders, redeemer->store, http_exchange_peer(x), &forwarder);
    store_snapshot_end(redeemer->store);
    *ret_reason = result.reason;
    return vlt_is_ok(result) ? NULL : redeem_refusal_of(result, &redeem_refusal_denied);
}

void op_watch(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct redeemer *redeemer = ctx;
    const struct http_header headers[] = {HTTP_HEADER("content-type", BYTES_LITERAL("text/plain")),
                                          HTTP_HEADER("cache-control", BYTES_LITERAL("no-store"))};
    const char *reason;
    const struct redeem_refusal *refusal = check_enrolled(redeemer, x, &reason);
    if (refusal) {
        redeem_refuse_question(redeemer, x, "forwarder.watch", refusal, reason, NULL);
        return;
    }
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher || !vlt_is_ok(http_exchange_stream_begin(x, 200, headers, 2, on_gone, watcher))) {
        free(watcher);
        redeem_refusal_reply(x, &redeem_refusal_unavailable);
        return;
    }
    watcher->x = x;
    watcher->link = &redeemer->watchers;
    watcher->next = redeemer->watchers;
    if (watcher->next)
        watcher->next->link = &watcher->next;
    redeemer->watchers = watcher;
    tell(redeemer, watcher);
}
