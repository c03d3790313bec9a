// SPDX-License-Identifier: Apache-2.0
// One receiver: a thread that reads what is new, delivers it in order, and moves
// the position once the receiver has it. Whatever fails is tried again from the
// position, at growing distance; nothing is ever skipped.
#ifndef VLT_SHIPPER_SINK_H
#define VLT_SHIPPER_SINK_H

#include "vaultd/shipper/shipping.h"
#include "vaultd/shipper/source.h"

struct sink; // what a kind keeps between two deliveries
struct sink_table {
    struct sink *(*open)(const struct shipping_settings *settings); // NULL: out of memory
    // Hands the batch over; blocks for a bounded time. *ret_pause_ms (set to 0
    // before): how long the receiver asks us to stay away, after a failure.
    vlt_result (*deliver)(struct sink *sink, const struct source_batch *batch, const char *origin,
                          struct fault *fault, unsigned *ret_pause_ms);
    // The receiver has everything that was delivered. NULL: deliver says that.
    vlt_result (*confirm)(struct sink *sink, struct fault *fault);
    void (*reset)(struct sink *sink); // after a failure; what is not confirmed comes again
    void (*close)(struct sink *sink);
};
extern const struct sink_table syslog_sink, collector_sink, file_sink;

// Starts the thread of that kind; it lives as long as the process.
vlt_result sink_start(struct shipping *shipping, enum sink_kind kind) VLT_MUST_USE;

#endif
