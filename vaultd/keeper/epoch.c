// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/epoch.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/system_seal.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

#define RETRY_S 5 // after a device that did not answer

struct epoch {
    struct keeper *keeper;
    struct epoch_counters counters;
    size_t current;  // index of the counter in the device that is open
    bool is_running; // counters and current are valid
    bool is_dirty;   // commits that no move has covered
    bool is_moving;
    bool is_owed; // the epoch is committed, the counter not yet advanced
    bool accepts_rollback;
    unsigned budget;
    int64_t budget_at_s;
    struct event *timer;
    struct commit commit;
    struct store_change change;
    uint8_t record[SYSTEM_RECORD_MAX];
};

// ---- The record ----

vlt_result epoch_record(const struct system_keys *keys, const struct epoch_counters *counters,
                        uint8_t *room, size_t *ret_size) {
    uint8_t plain[SYSTEM_RECORD_PLAIN_MAX];
    struct wire_writer w;
    wire_writer_init(&w, plain, sizeof plain);
    wire_put_u8(&w, (uint8_t)counters->count);
    for (size_t i = 0; i < counters->count; i++) {
        const struct epoch_counter *counter = &counters->at[i];
        wire_put_u64(&w, counter->value);
        wire_put_bytes(&w, bytes_of(counter->counter.at, counter->counter.size));
    }
    if (w.failed)
        return vlt_fail(VLT_BUG, "the record of the epoch is too large");
    return system_seal(keys, EPOCH_NAME, bytes_of(plain, w.size), room, ret_size);
}

static vlt_result read_counters(struct bytes plain, struct epoch_counters *counters) {
    struct wire_reader r;
    wire_reader_init(&r, plain);
    counters->count = wire_get_u8(&r);
    if (counters->count > EPOCH_COUNTERS_MAX)
        return vlt_fail(VLT_MALFORMED, "the record of the epoch is damaged");
    for (size_t i = 0; i < counters->count; i++) {
        struct epoch_counter *counter = &counters->at[i];
        counter->value = wire_get_u64(&r);
        struct bytes at = wire_get_bytes(&r, sizeof counter->counter.at);
        counter->counter.size = at.size;
        if (at.size)
            memcpy(counter->counter.at, at.at, at.size);
    }
    return wire_reader_end(&r);
}

// ret_is_behind: something was committed after this record.
static vlt_result load(struct keeper *keeper, const struct system_keys *keys,
                       struct epoch_counters *ret_counters, bool *ret_is_behind) {
    struct bytes value;
    uint64_t revision;
    struct secret *plain = secret_new(SYSTEM_RECORD_PLAIN_MAX);
    if (!plain)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = store_get(keeper->store, STORE_SYSTEM_TENANT, STORE_META,
                           BYTES_LITERAL(EPOCH_NAME), &value, &revision);
        if (vlt_is_ok(result))
            result = system_unseal(keys, EPOCH_NAME, value, plain);
        *ret_is_behind =
            vlt_is_ok(result) && store_snapshot_revision(keeper->store) != revision;
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result)) {
        result = read_counters(bytes_of(secret_borrow(plain), secret_size(plain)), ret_counters);
        secret_release(plain);
    }
    secret_free(plain);
    return result;
}

// ---- Moving ----

static void move(struct keeper *keeper);

static void move_later(struct epoch *epoch, unsigned seconds) {
    const struct timeval wait = {.tv_sec = seconds};
    event_add(epoch->timer, &wait);
}

static void counter_conflict(struct keeper *keeper, const struct fault *fault, vlt_result result) {
    const char *why = fault_or_reason(fault, result);
    struct audit_event event = {.kind = AUDIT_DEVICE,
                                .outcome = AUDIT_ERROR,
                                .operation = BYTES_LITERAL("vault.seal"),
                                .reason = bytes_of_text(why)};
    // Two vaults move one counter: one of them runs on an old copy, and it may
    // be this one.
    audit_later(keeper, &event);
    keeper->is_sealed_by_hand = true;
    unseal_undo(keeper, why);
}

static void advanced(struct device_call *call) {
    struct keeper *keeper = call->context;
    struct epoch *epoch = keeper->epoch;
    keeper->in_flight--;
    epoch->is_moving = false;
    if (!epoch->is_running)
        return;
    if (vlt_is_ok(call->result)) {
        epoch->is_owed = false;
        move(keeper);
    } else if (call->result.class == VLT_CONFLICT) {
        counter_conflict(keeper, &call->fault, call->result);
    } else {
        log_warning("the rollback counter was not advanced: %s",
                    fault_or_reason(&call->fault, call->result));
        move_later(epoch, RETRY_S);
    }
}

static void advance(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    const struct epoch_counter *counter = &epoch->counters.at[epoch->current];
    struct device_call *call = device_call_new(DEVICE_COUNTER_ADVANCE, advanced, keeper);
    if (!call) {
        epoch->is_moving = false;
        move_later(epoch, RETRY_S);
        return;
    }
    call->counter = counter->counter;
    call->value = counter->value;
    epoch->is_moving = true;
    keeper->in_flight++;
    device_submit(keeper->device, call);
}

static void committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct epoch *epoch =
        (struct epoch *)(void *)((char *)commit - offsetof(struct epoch, commit));
    struct keeper *keeper = epoch->keeper;
    keeper->in_flight--;
    epoch->is_moving = false;
    if (!vlt_is_ok(result)) {
        if (epoch->is_running) {
            epoch->counters.at[epoch->current].value--;
            epoch->is_dirty = true;
            move_later(epoch, RETRY_S);
        }
        keeper_commit_failed(keeper, result);
        return;
    }
    if (!epoch->is_running) // sealed meanwhile: the next start completes the move
        return;
    epoch->is_owed = true;
    advance(keeper);
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

static void move(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    if (!epoch->is_running || epoch->is_moving || epoch->counters.count == 0)
        return;
    if (epoch->is_owed) {
        advance(keeper);
        return;
    }
    if (!epoch->is_dirty)
        return;
    if (!spend(epoch)) {
        move_later(epoch, EPOCH_REFILL_S);
        return;
    }
    size_t size;
    epoch->counters.at[epoch->current].value++;
    vlt_result result = epoch_record(keeper->keys, &epoch->counters, epoch->record, &size);
    if (!vlt_is_ok(result)) {
        epoch->counters.at[epoch->current].value--;
        log_error("the epoch of the store can not be moved: %s", result.reason);
        move_later(epoch, RETRY_S);
        return;
    }
    epoch->is_dirty = false;
    epoch->is_moving = true;
    epoch->change = (struct store_change){.tenant = STORE_SYSTEM_TENANT,
                                          .class = STORE_META,
                                          .name = BYTES_LITERAL(EPOCH_NAME),
                                          .value = bytes_of(epoch->record, size),
                                          .expected_revision = STORE_ANY_REVISION};
    epoch->commit = (struct commit){.changes = &epoch->change, .count = 1, .done = committed};
    keeper->in_flight++;
    commit_queue_add(keeper->commits, &epoch->commit);
}

static bool is_housekeeping(const struct store_change *change) {
    return change->remove && (change->class == STORE_REVOKED_TOKEN ||
                              change->class == STORE_REVOKED_RULE ||
                              change->class == STORE_CREDENTIAL_SECRET);
}

void epoch_touch(struct keeper *keeper, const struct store_change *changes, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        kept += is_housekeeping(&changes[i]);
    if (kept == count)
        return;
    keeper->epoch->is_dirty = true;
    if (!event_pending(keeper->epoch->timer, EV_TIMEOUT, NULL))
        move(keeper);
}

// ---- Checking ----

struct check {
    struct keeper *keeper;
    const struct system_keys *keys;
    struct epoch_counters counters;
    size_t next;
    bool is_behind, accepts;
    uint64_t value; // what the device says
    epoch_checked_fn *done;
    void *context;
};

static void check_end(struct check *check, vlt_result result, const struct fault *fault) {
    epoch_checked_fn *done = check->done;
    void *context = check->context;
    free(check);
    done(result, fault, context);
}

static void check_passed(struct check *check, bool is_owed) {
    struct epoch *epoch = check->keeper->epoch;
    struct fault none = {0};
    epoch->counters = check->counters;
    epoch->current = check->next;
    epoch->is_running = true;
    epoch->is_owed = is_owed;
    epoch->is_dirty = check->is_behind;
    epoch->accepts_rollback = false;
    // Not on the way: `keys` are the keeper's only once it is unsealed.
    const struct timeval soon = {0, 1000};
    event_add(epoch->timer, &soon);
    check_end(check, vlt_ok(), &none);
}

static void check_refused(struct check *check, const char *what) {
    struct fault fault = {0};
    vlt_result result =
        fault_set(&fault, VLT_CONFLICT, "the store is older than the device remembers",
                  "rollback: %s. If you restored a copy on purpose, `vaultctl recover "
                  "--accept-rollback` takes it for good: what was revoked, disabled or deleted "
                  "since that copy was made is in force again. If not, find out who put it here",
                  what);
    check_end(check, result, &fault);
}

static void read_next(struct check *check);

static void check_value(struct check *check, uint64_t in_device) {
    struct epoch_counter *counter = &check->counters.at[check->next];
    char what[160];
    if (counter->value == in_device || counter->value == in_device + 1) {
        check_passed(check, counter->value != in_device);
        return;
    }
    if (check->accepts) {
        // Behind by one is a move that the next start completes, so this is one.
        counter->value = in_device;
        check->is_behind = true;
        check_passed(check, false);
        return;
    }
    snprintf(what, sizeof what,
             counter->value < in_device
                 ? "the store is an old copy: it is of epoch %llu, the device has seen epoch %llu"
                 : "the counter in the device was set back: the store is of epoch %llu, the device "
                   "of epoch %llu",
             (unsigned long long)counter->value, (unsigned long long)in_device);
    check_refused(check, what);
}

static void counter_read(struct device_call *call) {
    struct check *check = call->context;
    enum vlt_class class = call->result.class;
    if (vlt_is_ok(call->result)) {
        check_value(check, call->value);
    } else if (class == VLT_NOT_FOUND || class == VLT_CONFLICT || class == VLT_MALFORMED) {
        check->next++; // another device's
        read_next(check);
    } else {
        struct fault fault = call->fault;
        check_end(check, call->result, &fault);
    }
}

static void counter_made(struct device_call *call) {
    struct check *check = call->context;
    if (!vlt_is_ok(call->result)) {
        struct fault fault = call->fault;
        check_end(check, call->result, &fault);
        return;
    }
    check->next = 0;
    check->counters.count = 1;
    check->counters.at[0] = (struct epoch_counter){call->counter, call->value};
    check->is_behind = true; // the first move writes the record
    check_passed(check, false);
}

static void ask_device(struct check *check, enum device_call_kind kind,
                       void (*done)(struct device_call *call)) {
    struct device_call *call = device_call_new(kind, done, check);
    struct fault none = {0};
    if (!call) {
        check_end(check, vlt_fail(VLT_UNAVAILABLE, "out of memory"), &none);
        return;
    }
    if (kind == DEVICE_COUNTER_READ)
        call->counter = check->counters.at[check->next].counter;
    device_submit(check->keeper->device, call);
}

static void read_next(struct check *check) {
    if (check->next < check->counters.count)
        ask_device(check, DEVICE_COUNTER_READ, counter_read);
    else if (check->accepts)
        ask_device(check, DEVICE_COUNTER_CREATE, counter_made);
    else
        check_refused(check, "the device does not hold the rollback counter of this store");
}

void epoch_check(struct keeper *keeper, const struct system_keys *keys, epoch_checked_fn *done,
                 void *context) {
    struct fault none = {0};
    struct check *check = calloc(1, sizeof *check);
    if (!check) {
        done(vlt_fail(VLT_UNAVAILABLE, "out of memory"), &none, context);
        return;
    }
    *check = (struct check){.keeper = keeper,
                            .keys = keys,
                            .accepts = keeper->epoch->accepts_rollback,
                            .done = done,
                            .context = context};
    vlt_result result = load(keeper, keys, &check->counters, &check->is_behind);
    bool is_refused = result.class == VLT_NOT_FOUND || result.class == VLT_CRYPTO;
    if (is_refused && check->accepts) {
        check->counters.count = 0;
        ask_device(check, DEVICE_COUNTER_CREATE, counter_made);
    } else if (is_refused) {
        check_refused(check, "the record of its epoch is missing or was altered");
    } else if (!vlt_is_ok(result)) {
        check_end(check, result, &none);
    } else if (check->counters.count == 0) {
        check_passed(check, false);
    } else {
        read_next(check);
    }
}

void epoch_accept_rollback(struct keeper *keeper, bool accepts) {
    keeper->epoch->accepts_rollback = accepts;
}

// ---- Life ----

void epoch_begin(struct keeper *keeper, const struct epoch_counters *counters) {
    struct epoch *epoch = keeper->epoch;
    epoch->counters = *counters;
    epoch->current = 0;
    epoch->is_running = true;
    epoch->is_dirty = epoch->is_owed = false;
}

void epoch_forget(struct keeper *keeper) {
    struct epoch *epoch = keeper->epoch;
    epoch->is_running = false;
    event_del(epoch->timer);
}

static void on_time(evutil_socket_t fd, short what, void *context) {
    struct keeper *keeper = context;
    if (keeper->keys)
        move(keeper);
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
    return vlt_ok();
}

void epoch_done(struct keeper *keeper) {
    if (keeper->epoch) {
        event_free(keeper->epoch->timer);
        free(keeper->epoch);
    }
    keeper->epoch = NULL;
}

json_t *epoch_json(const struct keeper *keeper) {
    const struct epoch *epoch = keeper->epoch;
    if (!epoch->is_running)
        return json_null();
    if (epoch->counters.count == 0)
        return json_pack("{s:s}", "counter", "none: the device has no room for one");
    return json_pack("{s:s, s:I, s:b, s:i}", "counter", "in the device", "epoch",
                     (json_int_t)epoch->counters.at[epoch->current].value, "is_up_to_date",
                     !epoch->is_dirty && !epoch->is_owed && !epoch->is_moving, "moves_left",
                     (int)epoch->budget);
}
