// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotation.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/reencrypt.h"
#include "vaultd/keeper/rotate_key.h"
#include "vaultd/keeper/rotate_system.h"
#include "vaultd/keeper/rotate_tenant.h"
#include "vaultd/keeper/rotate_wrapping.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/tenant_name.h"
#include "vaultd/log/log.h"

#define SCHEDULE_TICKS 10
#define LOOK_AGAIN_TICKS 60 // also for what could not be done an hour ago

static void on_tick(evutil_socket_t fd, short what, void *context) {
    rotations_tick(context);
}

vlt_result rotations_new(struct keeper *keeper) {
    const struct timeval period = {.tv_sec = 1};
    struct rotations *rotations = calloc(1, sizeof *rotations);
    if (!rotations)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    rotations->keeper = keeper;
    rotations->schedule_tenant = 1;
    rotations->tick = event_new(keeper->base, -1, EV_PERSIST, on_tick, keeper);
    if (!rotations->tick || event_add(rotations->tick, &period) != 0) {
        if (rotations->tick)
            event_free(rotations->tick);
        free(rotations);
        return vlt_fail(VLT_UNAVAILABLE, "no timer");
    }
    keeper->rotations = rotations;
    return vlt_ok();
}

void rotations_stop(struct keeper *keeper) {
    if (!keeper->rotations)
        return;
    reencrypt_stop(keeper);
    slots_stop(keeper);
    keeper->rotations->is_dirty = true;
    keeper->rotations->look_tenant = 0;
    job_queue_forget(keeper);
}

void rotations_done(struct keeper *keeper) {
    if (!keeper->rotations)
        return;
    rotations_stop(keeper);
    event_free(keeper->rotations->tick);
    free(keeper->rotations);
    keeper->rotations = NULL;
}

// One tenant in a tick: a thousand that were made on one day do not all come due
// at once, and the device has other work.
static void look_at_ages(struct keeper *keeper) {
    struct rotations *rotations = keeper->rotations;
    const struct keeper_settings *settings = &keeper->settings;
    if (rotations->tick_count % SCHEDULE_TICKS == 0) {
        rotate_key_schedule(keeper, ROTATION_SIGNING, settings->signing_age_s);
        rotate_key_schedule(keeper, ROTATION_INTAKE, settings->intake_age_s);
        rotate_key_schedule(keeper, ROTATION_CHECKPOINT, settings->checkpoint_age_s);
        rotate_system_schedule(keeper, settings->system_age_s);
        rotate_wrapping_schedule(keeper, settings->wrapping_age_s);
    }
    if (settings->tenant_age_s == 0 || rotations->reencrypt || keeper->next_tenant < 2)
        return;
    if (rotations->schedule_tenant >= keeper->next_tenant)
        rotations->schedule_tenant = 1;
    rotate_tenant_schedule(keeper, rotations->schedule_tenant++, settings->tenant_age_s);
}

void rotations_tick(struct keeper *keeper) {
    struct rotations *rotations = keeper->rotations;
    if (!keeper->store || !keeper->auditor || keeper->is_draining)
        return;
    scrub_tick(keeper); // needs no key: a vault that was sealed at once owes it as well
    if (keeper->state != KEEPER_UNSEALED)
        return;
    if (rotations->tick_count++ % LOOK_AGAIN_TICKS == 0)
        rotations->is_dirty = true;
    rotate_key_tick(keeper);
    rotate_system_tick(keeper);
    rotate_wrapping_tick(keeper);
    slots_tick(keeper);
    reencrypt_tick(keeper);
    look_at_ages(keeper);
    credential_age_tick(keeper);
    job_queue_tick(keeper);
}

void rotation_event(struct audit_event *event, const char *operation, const char *subject) {
    *event = (struct audit_event){.kind = AUDIT_VAULT,
                                  .outcome = AUDIT_ALLOW,
                                  .operation = bytes_of_text(operation),
                                  .administrator = BYTES_LITERAL("vaultd"),
                                  .subject = bytes_of_text(subject)};
}

void rotation_event_tenant(struct keeper *keeper, struct audit_event *event, uint32_t number,
                           char room[RECORD_NAME_MAX + 1]) {
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return; // its number is in the subject
    tenant_name_find(keeper->store, number, room);
    store_snapshot_end(keeper->store);
    event->tenant = bytes_of_text(room);
}

void rotation_reply(struct ipc_call *call, json_t *description) {
    char *text = description ? json_dumps(description, JSON_COMPACT) : NULL;
    json_decref(description);
    struct answer_rotate answer = {.description = bytes_of_text(text)};
    reply_rotate(call, text ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory"),
                 text ? &answer : NULL);
    free(text);
}
