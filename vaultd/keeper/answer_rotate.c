// SPDX-License-Identifier: Apache-2.0
// An administrator rotates a key, asks how far that is, or destroys what nothing
// needs any more.
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/rotate_key.h"
#include "vaultd/keeper/rotate_system.h"
#include "vaultd/keeper/rotate_tenant.h"
#include "vaultd/keeper/rotate_wrapping.h"

void answer_rotate(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_rotate ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_rotate_decode(frame, &ask)) || !rotation_kind_name(ask.kind) ||
        ask.mode > ROTATION_EMERGENCY ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_rotate");
        return;
    }
    if (ask.kind == ROTATION_TENANT)
        rotate_tenant_ask(keeper, call, &ask, &event);
    else if (ask.kind == ROTATION_WRAPPING)
        rotate_wrapping_ask(keeper, call, &ask, &event);
    else if (ask.kind == ROTATION_SYSTEM)
        rotate_system_ask(keeper, call, &ask, &event);
    else
        rotate_key_ask(keeper, call, &ask, &event);
}

void answer_key_destroy(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_key_destroy ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_key_destroy_decode(frame, &ask)) || !rotation_kind_name(ask.kind) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_key_destroy");
        return;
    }
    if (ask.kind == ROTATION_TENANT)
        rotate_tenant_destroy(keeper, call, &ask, &event);
    else if (ask.kind == ROTATION_WRAPPING)
        rotate_wrapping_destroy(keeper, call, &ask, &event);
    else if (ask.kind == ROTATION_SYSTEM)
        rotate_system_destroy(keeper, call, &ask, &event);
    else
        rotate_key_destroy(keeper, call, &ask, &event);
}
