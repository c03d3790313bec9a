// SPDX-License-Identifier: Apache-2.0
// An HTTPS collector: batches of JSON lines by POST. Any answer but 2xx leaves the
// position where it is: an entry that a receiver refuses stops the queue, visibly,
// and is never dropped.
#include <stdlib.h>

#include "libvault/transfer/transfer.h"
#include "vaultd/shipper/sink.h"

#define TIMEOUT_MS 30000L
#define CONNECT_TIMEOUT_MS 10000L
#define PAUSE_MAX_S 300

struct sink {
    const struct shipping_settings *settings;
    CURL *curl;
    struct curl_slist *headers;
};

// What a collector says beside its status is of no use here.
static size_t ignore(char *at, size_t one, size_t count, void *context) {
    (void)at;
    (void)context;
    return one * count;
}

static bool add_header(struct curl_slist **headers, const char *line) {
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (longer)
        *headers = longer;
    return longer != NULL;
}

static bool set_up(struct sink *sink) {
    const struct shipping_settings *s = sink->settings;
    CURL *curl = sink->curl;
    static const struct transfer_limits limits = {CONNECT_TIMEOUT_MS, TIMEOUT_MS};
    struct bytes roots = bytes_of_text(s->collector_ca);
    return add_header(&sink->headers, "Content-Type: application/x-ndjson") &&
           add_header(&sink->headers, "Expect:") &&
           (!s->collector_header[0] || add_header(&sink->headers, s->collector_header)) &&
           transfer_bound(curl, &limits) && (!roots.size || transfer_trust(curl, roots)) &&
           curl_easy_setopt(curl, CURLOPT_URL, s->target[SINK_COLLECTOR]) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, sink->headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore) == CURLE_OK;
}

static void collector_close(struct sink *sink) {
    curl_easy_cleanup(sink->curl);
    curl_slist_free_all(sink->headers);
    free(sink);
}

static struct sink *collector_open(const struct shipping_settings *settings) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return NULL;
    sink->settings = settings;
    sink->curl = curl_easy_init();
    if (sink->curl && set_up(sink))
        return sink;
    collector_close(sink);
    return NULL;
}

static unsigned pause_of(CURL *curl) {
    curl_off_t seconds = 0;
    if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds < 0)
        return 0;
    return (unsigned)(seconds > PAUSE_MAX_S ? PAUSE_MAX_S : seconds) * 1000;
}

static vlt_result collector_deliver(struct sink *sink, const struct source_batch *batch,
                                    const char *origin, struct fault *fault,
                                    unsigned *ret_pause_ms) {
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    (void)origin;
    if (curl_easy_setopt(sink->curl, CURLOPT_ERRORBUFFER, why) != CURLE_OK ||
        curl_easy_setopt(sink->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)batch->lines.size) !=
            CURLE_OK ||
        curl_easy_setopt(sink->curl, CURLOPT_POSTFIELDS, (const char *)batch->lines.at) != CURLE_OK)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    CURLcode code = curl_easy_perform(sink->curl);
    transfer_tell(sink->curl, code);
    curl_easy_setopt(sink->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(sink->curl, CURLOPT_POSTFIELDS, NULL);
    if (code != CURLE_OK)
        return fault_set(fault, VLT_UNAVAILABLE, "the collector does not answer",
                         "the collector does not answer: %s",
                         why[0] ? why : curl_easy_strerror(code));
    curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300)
        return vlt_ok();
    *ret_pause_ms = pause_of(sink->curl);
    return fault_set(fault, VLT_UNAVAILABLE, "the collector refuses",
                     "the collector answers with status %ld", status);
}

// curl ends a connection that failed by itself.
static void collector_reset(struct sink *sink) { (void)sink; }

const struct sink_table collector_sink = {.open = collector_open, .deliver = collector_deliver,
                                          .reset = collector_reset, .close = collector_close};
