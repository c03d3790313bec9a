// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/device_restart.h"

#include <stdio.h>
#include <stdlib.h>

#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/devices.h"

struct restart {
    struct audit_wait wait;
    char why[160];
};

// With or without its record: whoever can not write it refuses everything anyway.
static void recorded(struct audit_wait *wait, vlt_result result) {
    struct restart *restart = (struct restart *)wait;
    struct keeper *keeper = wait->keeper;
    if (keeper->failed)
        keeper->failed(restart->why, keeper->hook_context);
    free(restart);
}

static void begin(struct keeper *keeper, const struct device *device, int64_t stuck_ms) {
    struct restart *restart = calloc(1, sizeof *restart);
    if (!restart)
        return; // the next look tries again
    snprintf(restart->why, sizeof restart->why,
             "a call to device %s has not returned for %lld s, which is beyond "
             "keeper.device_restart_s",
             device->name, (long long)(stuck_ms / 1000));
    restart->wait.done = recorded;
    keeper->is_restarting = true;
    const struct audit_event event = {.kind = AUDIT_DEVICE,
                                      .outcome = AUDIT_ERROR,
                                      .operation = BYTES_LITERAL("keeper.restart"),
                                      .subject = bytes_of_text(device->name),
                                      .reason = bytes_of_text(restart->why)};
    audit_first(keeper, &event, &restart->wait);
}

static bool any_works(const struct keeper *keeper) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        if (keeper->devices->at[i].state == DEVICE_WORKS)
            return true;
    return false;
}

static bool costs_nothing(const struct keeper *keeper, const struct device *device) {
    if (keeper->state == KEEPER_UNSEALED)
        return device->has_worked && any_works(keeper);
    return !keeper->is_sealed_by_hand && !any_works(keeper);
}

void device_restart_look(struct keeper *keeper) {
    int64_t limit_ms = (int64_t)keeper->settings.device_restart_s * 1000;
    for (size_t i = 0; i < keeper->devices->count && !keeper->is_restarting; i++) {
        const struct device *device = &keeper->devices->at[i];
        int64_t stuck_ms = device_thread_stuck_ms(device->thread);
        if (limit_ms > 0 && stuck_ms >= limit_ms && costs_nothing(keeper, device))
            begin(keeper, device, stuck_ms);
    }
}
