// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/epoch.h"

#include <stddef.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/epoch_audit.h"
#include "vaultd/keeper/epoch_internal.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/log/log.h"

#define RETRY_S 5 // after a device that did not answer

// ---- The record: u8 count, each u64 value and counter; then a name for each ----

static void put_counters(struct wire_writer *w, const struct epoch_counters *counters,
                         const struct epoch_place *places) {
    size_t kept = 0;
    for (size_t i = 0; i < counters->count; i++)
        kept += !(places && places[i].has_left);
    wire_put_u8(w, (uint8_t)kept);
    for (size_t i = 0; i < counters->count; i++) {
        const struct epoch_counter *counter = &counters->at[i];
        if (places && places[i].has_left)
            continue;
        wire_put_u64(w, counter->value);
        wire_put_bytes(w, bytes_of(counter->counter.at, counter->counter.size));
    }
    for (size_t i = 0; i < counters->count; i++)
        if (!(places && places[i].has_left))
            wire_put_text(w, counters->at[i].device);
}

static vlt_result make_record(const struct system_keys *keys, const struct epoch_counters *counters,
                              const struct epoch_place *places, uint8_t *room, size_t *ret_size) {
    uint8_t plain[SYSTEM_RECORD_PLAIN_MAX];
    struct wire_writer w;
    wire_writer_init(&w, plain, sizeof plain);
    put_counters(&w, counters, places);
    if (w.failed)
        return vlt_fail(VLT_BUG, "the record of the epoch is too large");
    return system_seal(keys, EPOCH_NAME, bytes_of(plain, w.size), room, ret_size);
}

vlt_result epoch_record(const struct system_keys *keys, const struct epoch_counters *counters,
                        uint8_t *room, size_t *ret_size) {
    return make_record(keys, counters, NULL, room, ret_size);
}

// A record from when there was one device only has no names.
vlt_result epoch_read_counters(struct bytes plain, struct epoch_counters *ret_counters) {
    struct epoch_counters counters = {.count = 0};
    struct wire_reader r;
    wire_reader_init(&r, plain);
    counters.count = wire_get_u8(&r);
    if (counters.count > EPOCH_COUNTERS_MAX)
        return vlt_fail(VLT_MALFORMED, "the record of the epoch is damaged");
    for (size_t i = 0; i < counters.count; i++) {
        struct epoch_counter *counter = &counters.at[i];
        counter->value = wire_get_u64(&r);
        struct bytes at = wire_get_bytes(&r, sizeof counter->counter.at);
        counter->counter.size = at.size;
        if (at.size)
            memcpy(counter->counter.at, at.at, at.size);
        memcpy(counter->device, RECORD_DEVICE_FIRST, sizeof RECORD_DEVICE_FIRST);
    }
    bool has_names = r.next < r.size;
    for (size_t i = 0; has_names && i < counters.count; i++)
        wire_get_text(&r, counters.at[i].device, sizeof counters.at[i].device);
    VLT_TRY(wire_reader_end(&r));
    *ret_counters = counters;
    return vlt_ok();
}

size_t epoch_place_of(const struct epoch *epoch, const char *device) {
    for (size_t i = 0; i < epoch->counters.count; i++)
        if (!epoch->places[i].has_left && strcmp(epoch->counters.at[i].device, device) == 0)
            return i;
    return EPOCH_NONE;
}

// ---- Moving ----

static void move_later(struct epoch *epoch, unsigned seconds) {
    const struct timeval wait = {.tv_sec = seconds};
    event_add(epoch->timer, &wait);
}

void epoch_move_soon(struct epoch *epoch) {
    const struct timeval soon = {0, 1000};
    event_add(epoch->timer, &soon);
}

void epoch_conflict(struct keeper *keeper, const char *why) {
    struct audit_event event = {.kind = AUDIT_DEVICE,
                                .outcome = AUDIT_ERROR,
                                .operation = BYTES_LITERAL("vault.seal"),
                                .reason = bytes_of_text(why)};
    audit_later(keeper, &event);
    keeper->is_sealed_by_hand = true;
    unseal_undo(keeper, why);
}

struct advance {
    struct keeper *keeper;
    size_t place;
};

static void advanced(struct device_call *call) {
    struct advance *advance = call->context;
    struct keeper *keeper = advance->keeper;
    struct epoch *epoch = keeper->epoch;
    struct epoch_place *place = &epoch->places[advance->place];
    free(advance);
    keeper->in_flight--;
    place->is_busy = false;
    if (!epoch->is_running)
        return;
    if (vlt_is_ok(call->result)) {
        place->is_owed = false;
        epoch_move(keeper);
    } else if (call->result.class == VLT_CONFLICT && place->is_joined) {
        epoch_conflict(keeper, fault_or_reason(&call->fault, call->result));
    } else {
        log_warning("the rollback counter was not advanced: %s",
                    fault_or_reason(&call->fault, call->result));
        move_later(epoch, RETRY_S);
    }
}

static void advance(struct keeper *keeper, size_t number) {
    struct epoch *epoch = keeper->epoch;
    const struct epoch_counter *counter = &epoch->counters.at[number];
    const struct device *device = devices_of_name(keeper, bytes_of_text(counter->device));
    if (!device || device->state != DEVICE_WORKS)
        return; // it joins again when it is back
    struct advance *job = malloc(sizeof *job);
    struct device_call *call =
        job ? device_call_new(DEVICE_COUNTER_ADVANCE, advanced, job) : NULL;
    if (!call) {
        free(job);
        move_later(epoch, RETRY_S);
        return;
    }
    *job = (struct advance){keeper, number};
    call->counter = counter->counter;
    call->value = counter->value;
    epoch->places[number].is_busy = true;
    keeper->in_flight++;
    device_submit(device->thread, call);
}

// A device that is away is waited for by nobody: it joins again.
static void advance_owed(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    for (size_t i = 0; i < epoch->counters.count; i++)
        if (epoch->places[i].is_joined && epoch->places[i].is_owed && !epoch->places[i].is_busy)
            advance(keeper, i);
}

static void committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct epoch *epoch =
        (struct epoch *)(void *)((char *)commit - offsetof(struct epoch, commit));
    struct keeper *keeper = epoch->keeper;
    keeper->in_flight--;
    epoch->is_committing = false;
    for (size_t i = 0; i < epoch->counters.count; i++) {
        struct epoch_place *place = &epoch->places[i];
        if (!place->is_moving)
            continue;
        place->is_moving = false;
        place->is_owed |= vlt_is_ok(result);
        if (!vlt_is_ok(result)) {
            epoch->counters.at[i].value--;
            place->is_dirty = true;
        }
    }
    if (!vlt_is_ok(result)) {
        epoch->is_unwritten = true;
        if (epoch->is_running)
            move_later(epoch, RETRY_S);
        keeper_commit_failed(keeper, result);
        return;
    }
    if (epoch->is_running) // else sealed meanwhile: the next start completes the move
        epoch_move(keeper);
}

static bool spend(struct epoch *epoch) {
    int64_t now_s = clock_elapsed_ms() / 1000;
    while (epoch->budget < EPOCH_BURST && now_s - epoch->budget_at_s >= EPOCH_REFILL_S) {
        epoch->budget++;
        epoch->budget_at_s += EPOCH_REFILL_S;
    }
    if (epoch->budget == EPOCH_BURST)
        epoch->budget_at_s = now_s;
    if (epoch->budget == 0)
        return false;
    epoch->budget--;
    return true;
}

static bool can_move(const struct epoch_place *place) {
    return place->is_joined && place->is_dirty && !place->is_owed && !place->has_left;
}

static bool any_can_move(const struct epoch *epoch) {
    for (size_t i = 0; i < epoch->counters.count; i++)
        if (can_move(&epoch->places[i]))
            return true;
    return epoch->is_unwritten;
}

static void undo_move(struct epoch *epoch) {
    for (size_t i = 0; i < epoch->counters.count; i++)
        if (epoch->places[i].is_moving) {
            epoch->places[i].is_moving = false;
            epoch->counters.at[i].value--;
        }
}

static void commit_move(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    size_t size;
    for (size_t i = 0; i < epoch->counters.count; i++)
        if (can_move(&epoch->places[i])) {
            epoch->places[i].is_moving = true;
            epoch->counters.at[i].value++;
        }
    vlt_result result =
        make_record(keeper->keys, &epoch->counters, epoch->places, epoch->record, &size);
    if (!vlt_is_ok(result)) {
        undo_move(epoch);
        log_error("the epoch of the store can not be moved: %s", result.reason);
        move_later(epoch, RETRY_S);
        return;
    }
    for (size_t i = 0; i < epoch->counters.count; i++)
        if (epoch->places[i].is_moving)
            epoch->places[i].is_dirty = false;
    epoch->is_unwritten = false;
    epoch->is_committing = true;
    epoch_audit_moved(epoch);
    epoch->change = (struct store_change){.tenant = STORE_SYSTEM_TENANT,
                                          .class = STORE_META,
                                          .name = BYTES_LITERAL(EPOCH_NAME),
                                          .value = bytes_of(epoch->record, size),
                                          .expected_revision = STORE_ANY_REVISION};
    epoch->commit = (struct commit){.changes = &epoch->change, .count = 1, .done = committed};
    keeper->in_flight++;
    commit_queue_add(keeper->commits, &epoch->commit);
}

void epoch_move(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    if (!epoch->is_running || epoch->is_committing || epoch->counters.count == 0)
        return;
    advance_owed(keeper);
    if (!any_can_move(epoch))
        return;
    if (spend(epoch))
        commit_move(keeper);
    else
        move_later(epoch, EPOCH_REFILL_S);
}

static bool is_housekeeping(const struct store_change *change) {
    return scrub_is_wish(change) ||
           (change->remove && (change->class == STORE_REVOKED_TOKEN ||
                               change->class == STORE_REVOKED_RULE ||
                               change->class == STORE_CREDENTIAL_SECRET));
}

void epoch_touch(struct keeper *keeper, const struct store_change *changes, size_t count) {
    struct epoch *epoch = keeper->epoch;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        kept += is_housekeeping(&changes[i]);
    if (kept == count)
        return;
    for (size_t i = 0; i < epoch->counters.count; i++)
        epoch->places[i].is_dirty = true;
    if (!event_pending(epoch->timer, EV_TIMEOUT, NULL))
        epoch_move(keeper);
}

bool epoch_is_moving(const struct keeper *keeper) {
    return keeper->epoch->is_committing;
}

// ---- Life ----

void epoch_accept_rollback(struct keeper *keeper, bool accepts) {
    keeper->epoch->accepts_rollback = accepts;
}

void epoch_begin(struct keeper *keeper, const struct epoch_counters *counters) {
    struct epoch *epoch = keeper->epoch;
    epoch->counters = *counters;
    memset(epoch->places, 0, sizeof epoch->places);
    for (size_t i = 0; i < counters->count; i++)
        epoch->places[i].is_joined = true;
    epoch->is_running = true;
    epoch->is_unwritten = false;
    memset(epoch->accepts, 0, sizeof epoch->accepts);
}

void epoch_forget(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    epoch->is_running = false;
    event_del(epoch->timer);
}

static void on_time(evutil_socket_t fd, short what, void *context) {
    struct keeper *keeper = context;
    if (keeper->keys)
        epoch_move(keeper);
}

vlt_result epoch_new(struct keeper *keeper) {
    struct epoch *epoch = calloc(1, sizeof *epoch);
    if (!epoch || !(epoch->timer = evtimer_new(keeper->base, on_time, keeper))) {
        free(epoch);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    epoch->keeper = keeper;
    epoch->budget = EPOCH_BURST;
    epoch->budget_at_s = clock_elapsed_ms() / 1000;
    keeper->epoch = epoch;
    return epoch_audit_new(keeper);
}

void epoch_done(struct keeper *keeper) {
    if (keeper->epoch) {
        event_free(keeper->epoch->timer);
        epoch_audit_done(keeper);
        free(keeper->epoch);
    }
    keeper->epoch = NULL;
}

// ---- For people ----

static bool is_covered(const struct epoch_place *place) {
    return !place->is_dirty && !place->is_owed && !place->is_moving;
}

json_t *epoch_json(const struct keeper *keeper) {
    const struct epoch *epoch = keeper->epoch;
    if (!epoch->is_running)
        return json_null();
    if (epoch->counters.count == 0)
        return json_pack("{s:s}", "counter", "none: the device has no room for one");
    json_t *list = json_array();
    uint64_t newest = 0;
    bool is_covered_by_all = true;
    for (size_t i = 0; i < epoch->counters.count; i++) {
        const struct epoch_counter *counter = &epoch->counters.at[i];
        const struct epoch_place *place = &epoch->places[i];
        if (place->has_left)
            continue;
        if (place->is_joined) {
            newest = newest > counter->value ? newest : counter->value;
            is_covered_by_all &= is_covered(place);
        }
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:b, s:b}", "device", counter->device, "epoch",
                            (json_int_t)counter->value, "is_compared", place->is_joined,
                            "is_up_to_date", place->is_joined && is_covered(place)));
    }
    return json_pack("{s:s, s:I, s:b, s:i, s:o}", "counter", "in the device", "epoch",
                     (json_int_t)newest, "is_up_to_date", is_covered_by_all, "moves_left",
                     (int)epoch->budget, "counters", list);
}
