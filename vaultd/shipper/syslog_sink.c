// SPDX-License-Identifier: Apache-2.0
// Syslog has no acknowledgement. A connection is therefore ended in good order
// after some seconds or some thousand entries, and only the receiver's own
// goodbye moves the position.
#include <stdlib.h>

#include "vaultd/shipper/sink.h"
#include "vaultd/shipper/syslog_frame.h"
#include "vaultd/shipper/syslog_link.h"

#define FRAMES_MAX (4u << 20)

struct sink {
    const struct shipping_settings *settings;
    SSL_CTX *context;
    SSL *link; // NULL: not connected
    struct buf frames;
};

static struct sink *syslog_open(const struct shipping_settings *settings) {
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return NULL;
    sink->settings = settings;
    buf_init(&sink->frames, FRAMES_MAX);
    return sink;
}

static vlt_result connect_once(struct sink *sink, struct fault *fault) {
    const struct shipping_settings *s = sink->settings;
    if (!sink->context)
        VLT_TRY(syslog_link_context(s->syslog_ca, s->syslog_certificate, s->syslog_key, fault,
                                    &sink->context));
    return sink->link ? vlt_ok()
                      : syslog_link_open(sink->context, s->target[SINK_SYSLOG], fault, &sink->link);
}

static vlt_result syslog_deliver(struct sink *sink, const struct source_batch *batch,
                                 const char *origin, struct fault *fault, unsigned *ret_pause_ms) {
    (void)ret_pause_ms;
    VLT_TRY(connect_once(sink, fault));
    buf_clear(&sink->frames);
    for (size_t i = 0; i < batch->count; i++)
        syslog_frame_put(&sink->frames, batch->entries[i].entry, batch->entries[i].index, origin);
    if (buf_failed(&sink->frames))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return syslog_link_write(sink->link, buf_bytes(&sink->frames), fault);
}

static void syslog_reset(struct sink *sink) {
    syslog_link_free(sink->link);
    sink->link = NULL;
}

static vlt_result syslog_confirm(struct sink *sink, struct fault *fault) {
    VLT_TRY(syslog_link_finish(sink->link, fault));
    syslog_reset(sink);
    return vlt_ok();
}

static void syslog_close(struct sink *sink) {
    syslog_reset(sink);
    SSL_CTX_free(sink->context);
    buf_done(&sink->frames);
    free(sink);
}

const struct sink_table syslog_sink = {.open = syslog_open,
                                       .deliver = syslog_deliver,
                                       .confirm = syslog_confirm,
                                       .reset = syslog_reset,
                                       .close = syslog_close};
