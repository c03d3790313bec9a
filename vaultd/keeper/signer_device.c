// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/signer_device.h"

static bool can_sign(const struct keeper *keeper, unsigned number) {
    return keeper->settings.devices[number].hsm.kind == HSM_PKCS11;
}

static bool is_ready(const struct keeper *keeper, unsigned number, unsigned tried) {
    return can_sign(keeper, number) && keeper->devices->at[number].state == DEVICE_WORKS &&
           !(tried >> number & 1);
}

struct device *signer_device_next(struct keeper *keeper, unsigned *tried) {
    struct devices *devices = keeper->devices;
    unsigned number = keeper->signer_device;
    if (number >= devices->count || !is_ready(keeper, number, *tried))
        for (number = 0; number < devices->count && !is_ready(keeper, number, *tried);)
            number++;
    if (number >= devices->count)
        return NULL;
    *tried |= 1u << number;
    return &devices->at[number];
}

bool signer_device_is_away(const struct keeper *keeper) {
    for (unsigned i = 0; i < keeper->devices->count; i++) {
        enum device_state state = keeper->devices->at[i].state;
        if (can_sign(keeper, i) && state != DEVICE_WORKS && state != DEVICE_FOREIGN)
            return true;
    }
    return false;
}

void signer_device_note(struct keeper *keeper, const struct device *device) {
    keeper->signer_device = device->number;
}
