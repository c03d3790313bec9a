// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/https_fetch.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>

#include "libvault/crypto/jwk.h"
#include "libvault/identity/cache_control.h"

#define FETCH_TIMEOUT_MS 5000L
#define CONNECT_TIMEOUT_MS 3000L

struct fetcher {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    struct buf roots;
    struct fetch *flying; // list
};

struct fetch {
    struct fetcher *fetcher;
    struct fetch *next, **place;
    CURL *easy;
    struct buf body;
    int64_t max_age_s;
    char error[CURL_ERROR_SIZE];
    fetch_done_fn *done;
    void *context;
};

// ---- What curl tells us while it reads ----

static size_t on_body(char *at, size_t size, size_t count, void *context) {
    struct fetch *fetch = context;
    buf_put(&fetch->body, bytes_of(at, size * count));
    return buf_failed(&fetch->body) ? 0 : size * count; // 0 ends the transfer
}

static size_t on_header(char *at, size_t size, size_t count, void *context) {
    struct fetch *fetch = context;
    cache_control_read(bytes_of(at, size * count), &fetch->max_age_s);
    return size * count;
}

// ---- The end of a fetch ----

static void fetch_free(struct fetch *fetch) {
    if (fetch->next)
        fetch->next->place = fetch->place;
    *fetch->place = fetch->next;
    curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    buf_done(&fetch->body);
    free(fetch);
}

static void fetch_finish(struct fetch *fetch, CURLcode code) {
    struct fault fault = {0};
    long status = 0;
    const struct fetch_answer answer = {buf_bytes(&fetch->body), fetch->max_age_s};
    vlt_result result = vlt_ok();
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        result = fault_set(&fault, VLT_UNAVAILABLE, "the issuer does not answer", "%s",
                           fetch->error[0] ? fetch->error : curl_easy_strerror(code));
    else if (status != 200)
        result = fault_set(&fault, VLT_UNAVAILABLE, "the issuer does not answer",
                           "the answer has status %ld", status);
    fetch->done(result, vlt_is_ok(result) ? &answer : NULL, &fault, fetch->context);
    fetch_free(fetch);
}

static void take_finished(struct fetcher *fetcher) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(fetcher->multi, &left))) {
        struct fetch *fetch = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
        fetch_finish(fetch, code);
    }
}

// ---- curl's sockets and timer on our loop ----

static void on_ready(evutil_socket_t fd, short what, void *context) {
    struct fetcher *fetcher = context;
    int running,
        action = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(fetcher->multi, fd, action, &running);
    take_finished(fetcher);
}

static void on_timer(evutil_socket_t fd, short what, void *context) {
    struct fetcher *fetcher = context;
    int running;
    curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(fetcher);
}

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *context, void *watch) {
    struct fetcher *fetcher = context;
    struct event *event = watch;
    if (event)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short wanted = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
                               (what & CURL_POLL_OUT ? EV_WRITE : 0));
        event = event_new(fetcher->base, fd, wanted, on_ready, fetcher);
        if (event)
            event_add(event, NULL);
    }
    curl_multi_assign(fetcher->multi, fd, event);
    return 0;
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *context) {
    struct fetcher *fetcher = context;
    const struct timeval wait = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    if (timeout_ms < 0)
        event_del(fetcher->timer);
    else
        event_add(fetcher->timer, &wait);
    return 0;
}

// ---- Life ----

vlt_result fetcher_new(struct event_base *base, struct fetcher **ret_fetcher) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return vlt_fail(VLT_UNAVAILABLE, "libcurl does not start");
    struct fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    fetcher->base = base;
    buf_init(&fetcher->roots, 4u << 20);
    fetcher->multi = curl_multi_init();
    fetcher->timer = evtimer_new(base, on_timer, fetcher);
    if (!fetcher->multi || !fetcher->timer) {
        fetcher_free(fetcher);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
    *ret_fetcher = fetcher;
    return vlt_ok();
}

void fetcher_free(struct fetcher *fetcher) {
    if (!fetcher)
        return;
    while (fetcher->flying)
        fetch_free(fetcher->flying);
    if (fetcher->multi)
        curl_multi_cleanup(fetcher->multi);
    if (fetcher->timer)
        event_free(fetcher->timer);
    buf_done(&fetcher->roots);
    free(fetcher);
}

vlt_result fetcher_set_roots(struct fetcher *fetcher, struct bytes ca_pem) {
    buf_clear(&fetcher->roots);
    buf_put(&fetcher->roots, ca_pem);
    return buf_failed(&fetcher->roots) ? vlt_fail(VLT_LIMIT, "too many roots") : vlt_ok();
}

// Every option that bounds what the peer can do; the first failure is a failure.
static bool set_options(struct fetch *fetch, const char *url) {
    CURL *easy = fetch->easy;
    struct curl_blob roots = {fetch->fetcher->roots.at, fetch->fetcher->roots.size, CURL_BLOB_COPY};
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &roots) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, FETCH_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)JWKS_MAX_BYTES) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "vaultd") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch) == CURLE_OK;
}

vlt_result fetcher_get(struct fetcher *fetcher, const char *url, fetch_done_fn *done,
                       void *context) {
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    *fetch = (struct fetch){.fetcher = fetcher, .max_age_s = -1, .done = done, .context = context,
                            .next = fetcher->flying, .place = &fetcher->flying};
    buf_init(&fetch->body, JWKS_MAX_BYTES);
    fetch->easy = curl_easy_init();
    if (!fetch->easy || !set_options(fetch, url)) {
        curl_easy_cleanup(fetch->easy);
        free(fetch);
        return vlt_fail(VLT_UNAVAILABLE, "libcurl refuses the URL or an option");
    }
    if (fetcher->flying)
        fetcher->flying->place = &fetch->next;
    fetcher->flying = fetch;
    if (curl_multi_add_handle(fetcher->multi, fetch->easy) != CURLM_OK) {
        fetch_free(fetch);
        return vlt_fail(VLT_UNAVAILABLE, "libcurl does not start the transfer");
    }
    return vlt_ok();
}
