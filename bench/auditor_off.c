// SPDX-License-Identifier: Apache-2.0
// Stands where vaultd-auditor stands and records nothing: every event is answered
// at once. Only to see what the audit log costs; it is never installed, and a vault
// that runs with it has no log.
#include <stdlib.h>

#include "vaultd/role/role.h"

static vlt_result settings(struct role *role, struct bytes frame, bool is_first,
                           struct fault *fault) {
    struct tell_settings_auditor got;
    VLT_TRY(tell_settings_auditor_decode(frame, &got));
    if (is_first)
        role_ready(role, "records nothing: for measuring only");
    return vlt_ok();
}

static void asked(struct ipc_call *call, unsigned message, struct bytes frame, void *context) {
    static uint64_t sequence;
    if (message != IPC_ASK_record) {
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, "there is no log"));
        return;
    }
    sequence++;
    const struct answer_record answer = {.sequence = sequence};
    reply_record(call, vlt_ok(), &answer);
}

int main(void) {
    static const struct role_hooks hooks = {
        .self = IPC_AUDITOR, .settings = settings, .asked = asked};
    return role_run(&hooks, NULL);
}
