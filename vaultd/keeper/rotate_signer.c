// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_signer.h"

#include <stdlib.h>

#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/signer_device.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/log/log.h"

struct signer_making {
    struct change *change;
    struct device *device;
    rotate_signer_made_fn *made;
};

static void signer_made(struct device_call *call) {
    struct signer_making making = *(struct signer_making *)call->context;
    struct keeper *keeper = making.change->keeper;
    vlt_result result = call->result;
    free(call->context);
    keeper->in_flight--;
    if (!vlt_is_ok(result)) {
        log_warning("the device makes no signing key: %s", fault_or_reason(&call->fault, result));
        making.made(making.change, result, NULL);
    } else if (keeper->state != KEEPER_UNSEALED) {
        making.made(making.change, vlt_fail(VLT_UNAVAILABLE, "the vault was sealed meanwhile"),
                    NULL);
    } else {
        signer_device_note(keeper, making.device);
        keeper->rotations->signer = call->signer;
        keeper->rotations->has_signer = true;
        making.made(making.change, result, &call->signer);
    }
}

vlt_result rotate_signer_make(struct change *change, rotate_signer_made_fn *made) {
    unsigned tried = 0;
    struct device *device = signer_device_next(change->keeper, &tried);
    if (!device)
        return vlt_fail(VLT_UNAVAILABLE, "no PKCS#11 device works that could make a signing key");
    struct signer_making *making = malloc(sizeof *making);
    struct device_call *call =
        making ? device_call_new(DEVICE_SIGNER_CREATE, signer_made, making) : NULL;
    if (!call) {
        free(making);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    *making = (struct signer_making){.change = change, .device = device, .made = made};
    change->keeper->in_flight++;
    device_submit(device->thread, call);
    return vlt_ok();
}

static void signer_destroyed(struct device_call *call) {
    if (!vlt_is_ok(call->result))
        log_warning("a signing key that nothing uses stays in the device: %s",
                    fault_or_reason(&call->fault, call->result));
}

static void destroy_in(struct device *device, const struct hsm_signer *signer) {
    struct device_call *call = device_call_new(DEVICE_SIGNER_DESTROY, signer_destroyed, NULL);
    if (!call)
        return;
    call->signer = *signer;
    device_submit(device->thread, call);
}

void rotate_signer_destroy(struct keeper *keeper, const struct hsm_signer *signer) {
    unsigned tried = 0;
    struct device *device;
    if (keeper->state == KEEPER_SEALED) // the devices are closed, or their threads have ended
        return;
    while ((device = signer_device_next(keeper, &tried))) // one of them has it
        destroy_in(device, signer);
}

// The keys in memory are those from before the commit.
static void destroy_removed(const struct change *change) {
    const struct system_keys *keys = change->keeper->keys;
    for (size_t i = 0; keys && i < change->count; i++) {
        char kid[RECORD_KID_MAX + 1];
        const struct store_change *removal = &change->changes[i];
        if (!removal->remove || removal->class != STORE_SIGNING_KEY ||
            !bytes_to_text(removal->name, kid, sizeof kid))
            continue;
        const struct system_signer *removed = system_keys_signer(keys, kid);
        if (removed)
            rotate_signer_destroy(change->keeper, &removed->signer);
    }
}

void rotate_signer_settle(struct change *change, bool is_committed) {
    struct rotations *rotations = change->keeper->rotations;
    if (is_committed)
        destroy_removed(change);
    else if (rotations->has_signer)
        rotate_signer_destroy(change->keeper, &rotations->signer);
    rotations->has_signer = false;
}
