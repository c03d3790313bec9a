// SPDX-License-Identifier: Apache-2.0
// The emergency stop, and its end.
#include <stdlib.h>

#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/unseal.h"

struct sealing {
    struct audit_wait wait;
    struct unseal_wait unsealed;
    struct keeper *keeper;
    struct ipc_call *call;
};

static struct sealing *sealing_of(struct unseal_wait *wait) {
    return (struct sealing *)(void *)((char *)wait - offsetof(struct sealing, unsealed));
}

static void finish(struct sealing *sealing, vlt_result result) {
    struct answer_seal answer = {.no_field = 0};
    reply_seal(sealing->call, result, vlt_is_ok(result) ? &answer : NULL);
    free(sealing);
}

static void seal_recorded(struct audit_wait *wait, vlt_result result) {
    static const char why[] = "the vault is sealed, but that could not be recorded";
    finish((struct sealing *)wait, vlt_is_ok(result) ? result : vlt_fail(VLT_UNAVAILABLE, why));
}

static void unsealed(struct unseal_wait *wait, vlt_result result) {
    finish(sealing_of(wait), result);
}

static void unseal_recorded(struct audit_wait *wait, vlt_result result) {
    struct sealing *sealing = (struct sealing *)wait;
    struct keeper *keeper = sealing->keeper;
    if (!vlt_is_ok(result) || keeper->state != KEEPER_SEALED) {
        finish(sealing, result);
        return;
    }
    if (!keeper->store) {
        finish(sealing, vlt_fail(VLT_CONFLICT, "the store can not be used: see the log"));
        return;
    }
    keeper->is_sealed_by_hand = false;
    sealing->unsealed.done = unsealed;
    unseal_wait_for(keeper, &sealing->unsealed);
    unseal_begin(keeper);
}

void answer_seal(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_seal ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_seal_decode(frame, &ask)) || ask.seal > 1 ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_VAULT, &event))) {
        ipc_call_refuse(call, "a malformed ask_seal");
        return;
    }
    // The one thing that is done before it is recorded: stopping must not depend
    // on anybody else.
    if (ask.seal) {
        keeper->is_sealed_by_hand = true;
        unseal_undo(keeper, "sealed by an administrator");
    }
    struct sealing *sealing = calloc(1, sizeof *sealing);
    if (!sealing) {
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
        return;
    }
    sealing->keeper = keeper;
    sealing->call = call;
    sealing->wait.done = ask.seal ? seal_recorded : unseal_recorded;
    audit_first(keeper, &event, &sealing->wait);
}
