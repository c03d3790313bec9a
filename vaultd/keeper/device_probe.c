// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/device_probe.h"

#include <stdio.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/device_restart.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

#define TICK_MS 500

// ---- One device ----

static void came_back(struct device *device) {
    struct keeper *keeper = device->keeper;
    if (keeper->state != KEEPER_UNSEALED)
        return;
    epoch_join(keeper, device->name);
    slots_touch(keeper);
}

static void checked(struct device_call *call) {
    struct device *device = call->context;
    if (call->value != device->session) // closed meanwhile
        return;
    bool was_away = device->state != DEVICE_WORKS;
    device->is_checking = device->is_overdue = false;
    if (!vlt_is_ok(call->result)) {
        device_failed(device, call->result.class, fault_or_reason(&call->fault, call->result));
        return;
    }
    device->description = call->description;
    device_works(device);
    if (was_away)
        came_back(device);
}

void device_check(struct device *device) {
    if (device->is_checking || device->is_opening || device->id_count == 0)
        return;
    struct device_call *call = device_call_new(DEVICE_CHECK, checked, device);
    if (!call)
        return; // the next probe tries again
    call->value = device->session;
    device->is_checking = true;
    device->asked_ms = clock_elapsed_ms();
    device_submit(device->thread, call);
}

static void look_at(struct device *device, int64_t now_ms) {
    const struct keeper_settings *settings = &device->keeper->settings;
    int64_t waited_ms = now_ms - device->asked_ms;
    if (device->is_opening && !device->is_overdue &&
        waited_ms >= (int64_t)settings->device_timeout_s * 1000)
        device_overdue(device);
    if (device->keeper->state != KEEPER_UNSEALED || device->is_checking || device->is_opening ||
        waited_ms < (int64_t)settings->device_probe_s * 1000)
        return;
    if (device->id_count > 0)
        device_check(device);
    else if (device->state != DEVICE_FOREIGN)
        devices_open(device->keeper);
}

// ---- None ----

int64_t device_grace_left_s(const struct keeper *keeper) {
    const struct devices *devices = keeper->devices;
    if (keeper->state != KEEPER_UNSEALED || devices->none_since_ms == 0)
        return -1;
    int64_t gone_s = (clock_elapsed_ms() - devices->none_since_ms) / 1000;
    int64_t left_s = (int64_t)keeper->settings.device_grace_s - gone_s;
    return left_s > 0 ? left_s : 0;
}

static void grace_over(struct keeper *keeper) {
    char why[160];
    snprintf(why, sizeof why, "no device has answered for %u s, which is keeper.device_grace_s",
             keeper->settings.device_grace_s);
    struct audit_event event = {.kind = AUDIT_DEVICE,
                                .outcome = AUDIT_ERROR,
                                .operation = BYTES_LITERAL("vault.seal"),
                                .reason = bytes_of_text(why)};
    audit_later(keeper, &event);
    unseal_undo(keeper, why);
    unseal_begin(keeper); // and again, until a device is back
}

static void on_tick(evutil_socket_t fd, short what, void *context) {
    struct keeper *keeper = context;
    int64_t now_ms = clock_elapsed_ms();
    for (size_t i = 0; i < keeper->devices->count; i++)
        device_thread_look(keeper->devices->at[i].thread, keeper->settings.device_timeout_s);
    if (keeper->is_draining)
        return;
    for (size_t i = 0; i < keeper->devices->count; i++)
        look_at(&keeper->devices->at[i], now_ms);
    if (keeper->state == KEEPER_UNSEALED && device_grace_left_s(keeper) == 0)
        grace_over(keeper);
    device_restart_look(keeper);
}

// ---- Life ----

vlt_result device_probe_new(struct keeper *keeper) {
    const struct timeval period = {.tv_usec = TICK_MS * 1000};
    struct devices *devices = keeper->devices;
    devices->probe = event_new(keeper->base, -1, EV_PERSIST, on_tick, keeper);
    if (!devices->probe || event_add(devices->probe, &period) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "no timer");
    return vlt_ok();
}

void device_probe_done(struct keeper *keeper) {
    if (keeper->devices->probe)
        event_free(keeper->devices->probe);
    keeper->devices->probe = NULL;
}
