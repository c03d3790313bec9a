// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/https_fetch.h"

#include <stdlib.h>

#include "libvault/crypto/jwk.h"
#include "libvault/identity/cache_control.h"
#include "libvault/transfer/transfer.h"
#include "libvault/transfer/transfer_loop.h"

#define FETCH_TIMEOUT_MS 5000L
#define CONNECT_TIMEOUT_MS 3000L

struct fetcher {
    struct transfer_loop *loop;
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
    transfer_loop_remove(fetch->fetcher->loop, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    buf_done(&fetch->body);
    free(fetch);
}

static void on_over(CURL *easy, CURLcode code, void *context) {
    struct fetch *fetch = NULL;
    struct fault fault = {0};
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&fetch);
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

// ---- Life ----

vlt_result fetcher_new(struct event_base *base, struct fetcher **ret_fetcher) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return vlt_fail(VLT_UNAVAILABLE, "libcurl does not start");
    struct fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    buf_init(&fetcher->roots, 4u << 20);
    vlt_result result = transfer_loop_new(base, on_over, fetcher, &fetcher->loop);
    if (!vlt_is_ok(result)) {
        fetcher_free(fetcher);
        return result;
    }
    *ret_fetcher = fetcher;
    return vlt_ok();
}

void fetcher_free(struct fetcher *fetcher) {
    if (!fetcher)
        return;
    while (fetcher->flying)
        fetch_free(fetcher->flying);
    transfer_loop_free(fetcher->loop);
    buf_done(&fetcher->roots);
    free(fetcher);
}

vlt_result fetcher_set_roots(struct fetcher *fetcher, struct bytes ca_pem) {
    buf_clear(&fetcher->roots);
    buf_put(&fetcher->roots, ca_pem);
    return buf_failed(&fetcher->roots) ? vlt_fail(VLT_LIMIT, "too many roots") : vlt_ok();
}

static bool set_options(struct fetch *fetch, const char *url) {
    static const struct transfer_limits limits = {CONNECT_TIMEOUT_MS, FETCH_TIMEOUT_MS};
    CURL *easy = fetch->easy;
    return transfer_bound(easy, &limits) && transfer_isolate(easy) &&
           transfer_trust(easy, buf_bytes(&fetch->fetcher->roots)) &&
           curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)JWKS_MAX_BYTES) == CURLE_OK &&
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
    vlt_result result = transfer_loop_add(fetcher->loop, fetch->easy);
    if (!vlt_is_ok(result))
        fetch_free(fetch);
    return result;
}
