// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/epoch_audit.h"

#include "libvault/base/clock.h"
#include "vaultd/keeper/epoch_internal.h"

// Moves are scarce: below half of the budget the log alone gets every second one
// that comes in, so that changes find some.
static int64_t interval_s(const struct epoch *epoch) {
    int64_t interval_s = epoch->keeper->settings.audit_epoch_s;
    return epoch->budget < EPOCH_BURST / 2 && interval_s < 2 * EPOCH_REFILL_S ? 2 * EPOCH_REFILL_S
                                                                              : interval_s;
}

static void on_time(evutil_socket_t fd, short what, void *context) {
    struct keeper *keeper = context;
    struct epoch *epoch = keeper->epoch;
    if (!epoch->is_running || !keeper->keys || !epoch->has_checkpoint)
        return;
    for (size_t i = 0; i < epoch->counters.count; i++)
        epoch->places[i].is_dirty = true;
    epoch_move(keeper);
}

vlt_result epoch_audit_new(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    epoch->moved_at_s = clock_elapsed_ms() / 1000;
    epoch->audit_timer = evtimer_new(keeper->base, on_time, keeper);
    return epoch->audit_timer ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "no timer");
}

void epoch_audit_done(struct keeper *keeper) {
    if (keeper->epoch->audit_timer)
        event_free(keeper->epoch->audit_timer);
}

void epoch_audit_touch(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    epoch->has_checkpoint = true;
    if (event_pending(epoch->audit_timer, EV_TIMEOUT, NULL))
        return;
    int64_t due_s = epoch->moved_at_s + interval_s(epoch) - clock_elapsed_ms() / 1000;
    const struct timeval wait = {.tv_sec = due_s > 0 ? (time_t)due_s : 0};
    event_add(epoch->audit_timer, &wait);
}

void epoch_audit_moved(struct epoch *epoch) {
    epoch->has_checkpoint = false;
    epoch->moved_at_s = clock_elapsed_ms() / 1000;
    event_del(epoch->audit_timer);
}
