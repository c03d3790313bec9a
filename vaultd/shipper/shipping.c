// SPDX-License-Identifier: Apache-2.0
#include "vaultd/shipper/shipping.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "libvault/base/jsontext.h"
#include "vaultd/shipper/source.h"

const char *sink_kind_name(enum sink_kind kind) {
    static const char *const names[SINK_KINDS] = {"syslog", "collector", "file"};
    return names[kind];
}

// ---- Settings ----

static char *copy(struct bytes text) {
    char *made = malloc(text.size + 1);
    if (made && !bytes_to_text(text, made, text.size + 1)) {
        free(made);
        made = NULL;
    }
    return made;
}

static void wipe(char *text) {
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

static void settings_free(struct shipping_settings *s) {
    free(s->log);
    free(s->positions);
    for (size_t i = 0; i < SINK_KINDS; i++)
        free(s->target[i]);
    free(s->syslog_ca);
    free(s->syslog_certificate);
    wipe(s->syslog_key);
    free(s->collector_ca);
    wipe(s->collector_header);
    free(s);
}

static struct shipping_settings *settings_new(const struct tell_settings_shipper *tell) {
    struct shipping_settings *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->holders = 1;
    bool is_whole =
        (s->log = copy(tell->log)) && (s->positions = copy(tell->positions)) &&
        (s->target[SINK_SYSLOG] = copy(tell->syslog)) &&
        (s->target[SINK_COLLECTOR] = copy(tell->collector)) &&
        (s->target[SINK_FILE] = copy(tell->file)) && (s->syslog_ca = copy(tell->syslog_ca)) &&
        (s->syslog_certificate = copy(tell->syslog_certificate)) &&
        (s->syslog_key = copy(tell->syslog_key)) && (s->collector_ca = copy(tell->collector_ca)) &&
        (s->collector_header = copy(tell->collector_header));
    if (is_whole)
        return s;
    settings_free(s);
    return NULL;
}

vlt_result shipping_init(struct shipping *shipping) {
    pthread_condattr_t monotonic;
    *shipping = (struct shipping){0};
    bool is_made = pthread_condattr_init(&monotonic) == 0 &&
                   pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&shipping->changed, &monotonic) == 0 &&
                   pthread_mutex_init(&shipping->lock, NULL) == 0;
    return is_made ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "no lock");
}

static void release_locked(struct shipping_settings *settings) {
    if (settings && --settings->holders == 0)
        settings_free(settings);
}

vlt_result shipping_configure(struct shipping *shipping, const struct tell_settings_shipper *tell) {
    struct shipping_settings *made = settings_new(tell);
    if (!made)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    pthread_mutex_lock(&shipping->lock);
    release_locked(shipping->settings);
    shipping->settings = made;
    pthread_cond_broadcast(&shipping->changed);
    pthread_mutex_unlock(&shipping->lock);
    return vlt_ok();
}

struct shipping_settings *shipping_hold(struct shipping *shipping) {
    pthread_mutex_lock(&shipping->lock);
    struct shipping_settings *held = shipping->settings;
    held->holders++;
    pthread_mutex_unlock(&shipping->lock);
    return held;
}

void shipping_release(struct shipping *shipping, struct shipping_settings *settings) {
    pthread_mutex_lock(&shipping->lock);
    release_locked(settings);
    pthread_mutex_unlock(&shipping->lock);
}

void shipping_wait(struct shipping *shipping, const struct shipping_settings *known,
                   unsigned for_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(for_ms % 1000) * 1000000L;
    until.tv_sec += for_ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&shipping->lock);
    int waited = 0;
    while (waited == 0 && shipping->settings == known)
        waited = pthread_cond_timedwait(&shipping->changed, &shipping->lock, &until);
    pthread_mutex_unlock(&shipping->lock);
}

// ---- Reports ----

void shipping_report(struct shipping *shipping, enum sink_kind kind,
                     const struct sink_report *report) {
    pthread_mutex_lock(&shipping->lock);
    shipping->reports[kind] = *report;
    pthread_mutex_unlock(&shipping->lock);
}

// 0: not known.
static uint64_t entries_now(struct shipping *shipping) {
    struct shipping_settings *settings = shipping_hold(shipping);
    struct checkpoint checkpoint = {.size = 0};
    int folder = open(settings->log, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0 && !vlt_is_ok(source_checkpoint(folder, NULL, &checkpoint)))
        checkpoint.size = 0;
    if (folder >= 0)
        close(folder);
    shipping_release(shipping, settings);
    return checkpoint.size;
}

static void describe_sink(const char *name, const struct sink_report *report, uint64_t now,
                          struct buf *out) {
    uint64_t entries = report->entries > now ? report->entries : now;
    uint64_t behind = entries > report->confirmed ? entries - report->confirmed : 0;
    buf_put_format(out, "\"%s\":{\"confirmed\":%llu,\"behind\":%llu,\"failures\":%llu", name,
                   (unsigned long long)report->confirmed, (unsigned long long)behind,
                   (unsigned long long)report->failures);
    if (report->problem[0]) {
        struct bytes problem = bytes_of_text(report->problem);
        buf_put_text(out, ",\"problem\":");
        jsontext_put_string(out,
                            bytes_is_utf8(problem, NULL) ? problem : BYTES_LITERAL("see the log"));
    }
    buf_put_byte(out, '}');
}

void shipping_describe(struct shipping *shipping, struct buf *out) {
    uint64_t now = entries_now(shipping);
    bool is_first = true;
    buf_put_byte(out, '{');
    pthread_mutex_lock(&shipping->lock);
    for (int kind = 0; kind < SINK_KINDS; kind++) {
        if (!shipping->reports[kind].is_on)
            continue;
        if (!is_first)
            buf_put_byte(out, ',');
        describe_sink(sink_kind_name((enum sink_kind)kind), &shipping->reports[kind], now, out);
        is_first = false;
    }
    pthread_mutex_unlock(&shipping->lock);
    buf_put_byte(out, '}');
}
