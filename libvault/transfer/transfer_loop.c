// SPDX-License-Identifier: Apache-2.0
// As libcurl's multi_socket interface wants it: it says which descriptors and which
// moment it waits for, and is told when they come.
#include "libvault/transfer/transfer_loop.h"

#include <event2/event.h>
#include <stdlib.h>

#include "libvault/transfer/transfer.h"

struct transfer_loop {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    transfer_over_fn *over;
    void *context;
};

static void take_finished(struct transfer_loop *loop) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(loop->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            transfer_tell(message->easy_handle, message->data.result);
            // The message is gone once its transfer is removed.
            loop->over(message->easy_handle, message->data.result, loop->context);
        }
}

static void on_ready(evutil_socket_t fd, short what, void *context) {
    struct transfer_loop *loop = context;
    int running;
    int action = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(loop->multi, fd, action, &running);
    take_finished(loop);
}

static void on_timer(evutil_socket_t fd, short what, void *context) {
    struct transfer_loop *loop = context;
    int running;
    curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(loop);
}

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *context, void *watch) {
    struct transfer_loop *loop = context;
    struct event *event = watch;
    if (event)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short wanted = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
                               (what & CURL_POLL_OUT ? EV_WRITE : 0));
        event = event_new(loop->base, fd, wanted, on_ready, loop);
        if (event)
            event_add(event, NULL);
    }
    curl_multi_assign(loop->multi, fd, event);
    return 0;
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *context) {
    struct transfer_loop *loop = context;
    const struct timeval wait = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    if (timeout_ms < 0)
        event_del(loop->timer);
    else
        event_add(loop->timer, &wait);
    return 0;
}

vlt_result transfer_loop_new(struct event_base *base, transfer_over_fn *over, void *context,
                             struct transfer_loop **ret_loop) {
    struct transfer_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    *loop = (struct transfer_loop){.base = base, .over = over, .context = context};
    loop->multi = curl_multi_init();
    loop->timer = evtimer_new(base, on_timer, loop);
    if (!loop->multi || !loop->timer) {
        transfer_loop_free(loop);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
    *ret_loop = loop;
    return vlt_ok();
}

void transfer_loop_free(struct transfer_loop *loop) {
    if (!loop)
        return;
    if (loop->multi)
        curl_multi_cleanup(loop->multi);
    if (loop->timer)
        event_free(loop->timer);
    free(loop);
}

vlt_result transfer_loop_add(struct transfer_loop *loop, CURL *easy) {
    return curl_multi_add_handle(loop->multi, easy) == CURLM_OK
               ? vlt_ok()
               : vlt_fail(VLT_UNAVAILABLE, "libcurl does not start the transfer");
}

void transfer_loop_remove(struct transfer_loop *loop, CURL *easy) {
    curl_multi_remove_handle(loop->multi, easy);
}
