// SPDX-License-Identifier: Apache-2.0
// What the shipper's threads share: settings, which a reload replaces, and what
// each sink says about itself. One thread for each kind of sink; a receiver that
// stalls holds up its own thread only, and never the vault: nobody waits for us.
#ifndef VLT_SHIPPER_SHIPPING_H
#define VLT_SHIPPER_SHIPPING_H

#include <pthread.h>

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"
#include "vaultd/ipc/messages.h"

enum sink_kind { SINK_SYSLOG, SINK_COLLECTOR, SINK_FILE, SINK_KINDS };
const char *sink_kind_name(enum sink_kind kind);

// One generation of settings; never changed once made. Texts are owned; "" where
// nothing is configured.
struct shipping_settings {
    unsigned holders; // under the lock of shipping
    char *log, *positions;
    char *target[SINK_KINDS]; // host:port, URL, path
    char *syslog_ca, *syslog_certificate, *syslog_key, *collector_ca, *collector_header;
};

struct sink_report {
    bool is_on;
    uint64_t confirmed;   // entries that the receiver has
    uint64_t entries;     // of the log's checkpoint, when the sink last looked
    uint64_t failures;    // since the start
    char problem[256];    // "" while it works
};

struct shipping {
    pthread_mutex_t lock;
    pthread_cond_t changed; // settings were replaced
    struct shipping_settings *settings;
    struct sink_report reports[SINK_KINDS];
};

vlt_result shipping_init(struct shipping *shipping) VLT_MUST_USE;
// From a settings frame of the supervisor; the old settings live on while a
// thread uses them.
vlt_result shipping_configure(struct shipping *shipping,
                              const struct tell_settings_shipper *tell) VLT_MUST_USE;
// The settings of now, held until released.
struct shipping_settings *shipping_hold(struct shipping *shipping);
void shipping_release(struct shipping *shipping,
                      struct shipping_settings *settings); // NULL is fine
// Waits that long, or until the settings are others than `known`.
void shipping_wait(struct shipping *shipping, const struct shipping_settings *known,
                   unsigned for_ms);
void shipping_report(struct shipping *shipping, enum sink_kind kind,
                     const struct sink_report *report);
// {"syslog":{"confirmed":…,"behind":…,"failures":…,"problem":"…"},…}: sinks that are on.
// Behind the checkpoint of now, also while a sink waits for its receiver.
void shipping_describe(struct shipping *shipping, struct buf *out);

#endif
