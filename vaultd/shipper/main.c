// SPDX-License-Identifier: Apache-2.0
// The shipper: reads the published files of the audit log and hands entries to
// receivers outside. It is the only role that connects to them. It writes nothing
// but how far each has got, and nobody waits for it.
#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/crypto/crypto.h"
#include "vaultd/log/log.h"
#include "vaultd/role/role.h"
#include "vaultd/role/role_transfer.h"
#include "vaultd/shipper/sink.h"

#define DESCRIPTION_MAX 4096

// The first turn of the loop comes after the sandbox: threads are in it, too.
static void begin(evutil_socket_t fd, short what, void *context) {
    struct role *role = context;
    struct shipping *shipping = role_context(role);
    for (int kind = 0; kind < SINK_KINDS; kind++) {
        vlt_result result = sink_start(shipping, (enum sink_kind)kind);
        if (!vlt_is_ok(result)) {
            log_error("can not start: %s", result.reason);
            role_finish(role, EXIT_FAILURE);
        }
    }
}

static vlt_result on_settings(struct role *role, struct bytes frame, bool is_first,
                              struct fault *fault) {
    struct shipping *shipping = role_context(role);
    struct tell_settings_shipper tell;
    const struct timeval at_once = {0, 0};
    VLT_TRY(tell_settings_shipper_decode(frame, &tell));
    log_set_level((enum log_level)tell.log_level);
    if (is_first) {
        VLT_TRY(crypto_open());
        role_transfer_log();
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
            return vlt_fail(VLT_UNAVAILABLE, "the HTTP client does not start");
        VLT_TRY(shipping_init(shipping));
    }
    VLT_TRY(shipping_configure(shipping, &tell));
    if (!is_first)
        return vlt_ok();
    if (event_base_once(role_base(role), -1, EV_TIMEOUT, begin, role, &at_once) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "no event loop");
    role_ready(role, "ships the audit log");
    return vlt_ok();
}

static void asked(struct ipc_call *call, unsigned message, struct bytes frame, void *context) {
    struct buf text;
    buf_init(&text, DESCRIPTION_MAX);
    shipping_describe(context, &text);
    const struct answer_shipping answer = {.description = buf_bytes(&text)};
    bool failed = buf_failed(&text);
    reply_shipping(call, failed ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok(),
                   failed ? NULL : &answer);
    buf_done(&text);
}

int main(void) {
    static struct shipping shipping;
    static const struct role_hooks hooks = {
        .self = IPC_SHIPPER, .settings = on_settings, .asked = asked};
    int status = role_run(&hooks, &shipping);
    // Threads may wait for receivers for many seconds. They need no farewell: what
    // is not confirmed is delivered again.
    _exit(status);
}
