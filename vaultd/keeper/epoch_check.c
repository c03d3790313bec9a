// SPDX-License-Identifier: Apache-2.0
// Is this the newest store that the devices have seen? Asked of the first device
// before the vault is unsealed, of each other one when it opens.
#include <stdio.h>
#include <stdlib.h>

#include "vaultd/keeper/epoch_internal.h"
#include "vaultd/log/log.h"

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
        result =
            epoch_read_counters(bytes_of(secret_borrow(plain), secret_size(plain)), ret_counters);
        secret_release(plain);
    }
    secret_free(plain);
    return result;
}

static void say_difference(char what[200], uint64_t in_store, uint64_t in_device) {
    snprintf(what, 200,
             in_store < in_device
                 ? "the store is an old copy: it is of epoch %llu, the device has seen epoch %llu"
                 : "the counter in the device was set back: the store is of epoch %llu, the device "
                   "of epoch %llu",
             (unsigned long long)in_store, (unsigned long long)in_device);
}

static vlt_result refusal(const char *what, struct fault *fault) {
    return fault_set(fault, VLT_CONFLICT, "the store is older than the device remembers",
                     "rollback: %s. If you restored a copy on purpose, `vaultctl recover "
                     "--accept-rollback` takes it for good: what was revoked, disabled or deleted "
                     "since that copy was made is in force again. If not, find out who put it here",
                     what);
}

// ---- Before the vault is unsealed ----

struct check {
    struct keeper *keeper;
    const struct device *device;
    struct epoch_counters counters;
    size_t at; // index of the device's own
    bool is_behind, accepts;
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
    epoch_begin(check->keeper, &check->counters);
    for (size_t i = 0; i < check->counters.count; i++) {
        epoch->places[i].is_joined = i == check->at;
        // Nobody knows what one that is away has missed.
        epoch->places[i].is_dirty = i != check->at || check->is_behind;
        epoch->accepts[i] = check->accepts && i != check->at;
    }
    if (check->counters.count > 0)
        epoch->places[check->at].is_owed = is_owed;
    epoch->accepts_rollback = false;
    // Not on the way: the keys are the keeper's only once it is unsealed.
    epoch_move_soon(epoch);
    check_end(check, vlt_ok(), &none);
}

static void check_refused(struct check *check, const char *what) {
    struct fault fault = {0};
    vlt_result result = refusal(what, &fault);
    check_end(check, result, &fault);
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
        call->counter = check->counters.at[check->at].counter;
    device_submit(check->device->thread, call);
}

static void counter_made(struct device_call *call) {
    struct check *check = call->context;
    if (!vlt_is_ok(call->result)) {
        struct fault fault = call->fault;
        check_end(check, call->result, &fault);
        return;
    }
    if (check->at == check->counters.count)
        check->counters.count++;
    struct epoch_counter *counter = &check->counters.at[check->at];
    *counter = (struct epoch_counter){.counter = call->counter, .value = call->value};
    snprintf(counter->device, sizeof counter->device, "%s", check->device->name);
    check->is_behind = true; // the first move writes the record
    check_passed(check, false);
}

static void missing(struct check *check) {
    if (check->accepts && check->at < EPOCH_COUNTERS_MAX)
        ask_device(check, DEVICE_COUNTER_CREATE, counter_made);
    else
        check_refused(check, "the device does not hold the rollback counter of this store");
}

static void counter_read(struct device_call *call) {
    struct check *check = call->context;
    struct epoch_counter *counter = &check->counters.at[check->at];
    enum vlt_class class = call->result.class;
    uint64_t in_device = call->value;
    char what[200];
    if (class == VLT_NOT_FOUND || class == VLT_CONFLICT || class == VLT_MALFORMED) {
        missing(check);
    } else if (!vlt_is_ok(call->result)) {
        struct fault fault = call->fault;
        check_end(check, call->result, &fault);
    } else if (counter->value == in_device || counter->value == in_device + 1) {
        check_passed(check, counter->value != in_device);
    } else if (check->accepts) {
        // Behind by one is a move that the next start completes, so this is one.
        counter->value = in_device;
        check->is_behind = true;
        check_passed(check, false);
    } else {
        say_difference(what, counter->value, in_device);
        check_refused(check, what);
    }
}

static void find_own(struct check *check) {
    check->at = 0;
    while (check->at < check->counters.count &&
           strcmp(check->counters.at[check->at].device, check->device->name) != 0)
        check->at++;
}

void epoch_check(struct keeper *keeper, const struct device *device,
                 const struct system_keys *keys, epoch_checked_fn *done, void *context) {
    struct fault none = {0};
    struct check *check = calloc(1, sizeof *check);
    if (!check) {
        done(vlt_fail(VLT_UNAVAILABLE, "out of memory"), &none, context);
        return;
    }
    *check = (struct check){.keeper = keeper,
                            .device = device,
                            .accepts = keeper->epoch->accepts_rollback,
                            .done = done,
                            .context = context};
    vlt_result result = load(keeper, keys, &check->counters, &check->is_behind);
    bool is_refused = result.class == VLT_NOT_FOUND || result.class == VLT_CRYPTO;
    if (is_refused)
        check->counters.count = 0;
    find_own(check);
    if (is_refused && !check->accepts)
        check_refused(check, "the record of its epoch is missing or was altered");
    else if (!is_refused && !vlt_is_ok(result))
        check_end(check, result, &none);
    else if (!is_refused && check->counters.count == 0)
        check_passed(check, false);
    else if (check->at == check->counters.count)
        missing(check);
    else
        ask_device(check, DEVICE_COUNTER_READ, counter_read);
}

// ---- While it is unsealed ----

struct join {
    struct keeper *keeper;
    unsigned number; // of the device
    char device[RECORD_DEVICE_NAME_MAX + 1];
};

static void join_refused(struct keeper *keeper, const char *device, const char *what) {
    struct fault fault = {0};
    char named[256];
    snprintf(named, sizeof named, "device %s: %s", device, what);
    vlt_result result = refusal(named, &fault);
    epoch_conflict(keeper, fault_or_reason(&fault, result));
}

static void join_compare(struct keeper *keeper, size_t at, uint64_t in_device) {
    struct epoch *epoch = keeper->epoch;
    struct epoch_counter *counter = &epoch->counters.at[at];
    struct epoch_place *place = &epoch->places[at];
    char what[200];
    if (counter->value != in_device && counter->value != in_device + 1 && !epoch->accepts[at]) {
        say_difference(what, counter->value, in_device);
        join_refused(keeper, counter->device, what);
        return;
    }
    if (epoch->accepts[at])
        counter->value = in_device;
    epoch->accepts[at] = false;
    place->is_joined = true;
    // What is not on the disk yet must not be in the device.
    place->is_owed = !place->is_moving && counter->value != in_device;
    place->is_dirty = true;
    epoch_move_soon(epoch);
}

static void join_read(struct device_call *call) {
    struct join *join = call->context;
    struct keeper *keeper = join->keeper;
    struct epoch *epoch = keeper->epoch;
    size_t at = epoch->is_running ? epoch_place_of(epoch, join->device) : EPOCH_NONE;
    enum vlt_class class = call->result.class;
    keeper->in_flight--;
    if (at != EPOCH_NONE)
        epoch->places[at].is_joining = false;
    if (at != EPOCH_NONE && vlt_is_ok(call->result))
        join_compare(keeper, at, call->value);
    else if (at != EPOCH_NONE && (class == VLT_NOT_FOUND || class == VLT_CONFLICT))
        join_refused(keeper, join->device, "it does not hold its rollback counter any more");
    else if (at != EPOCH_NONE)
        log_warning("the rollback counter of device %s can not be read: %s", join->device,
                    fault_or_reason(&call->fault, call->result));
    free(join);
}

static void join_made(struct device_call *call) {
    struct join *join = call->context;
    struct keeper *keeper = join->keeper;
    struct epoch *epoch = keeper->epoch;
    keeper->in_flight--;
    epoch->making &= ~(1u << join->number);
    if (!vlt_is_ok(call->result)) {
        log_error("device %s gets no rollback counter: %s. By itself it will not unseal the vault",
                  join->device, fault_or_reason(&call->fault, call->result));
    } else if (epoch->is_running && epoch->counters.count < EPOCH_COUNTERS_MAX) {
        size_t at = epoch->counters.count++;
        struct epoch_counter *counter = &epoch->counters.at[at];
        *counter = (struct epoch_counter){.counter = call->counter, .value = call->value};
        memcpy(counter->device, join->device, sizeof counter->device);
        epoch->places[at] = (struct epoch_place){.is_joined = true, .is_dirty = true};
        epoch->accepts[at] = false;
        epoch_move_soon(epoch);
    }
    free(join);
}

void epoch_join(struct keeper *keeper, const char *name) {
    struct epoch *epoch = keeper->epoch;
    const struct device *device = devices_of_name(keeper, bytes_of_text(name));
    // A vault whose first device has no counter has none at all.
    if (!epoch->is_running || epoch->counters.count == 0 || !device)
        return;
    size_t at = epoch_place_of(epoch, name);
    bool is_new = at == EPOCH_NONE;
    if (is_new ? epoch->making >> device->number & 1
               : epoch->places[at].is_joining || epoch->places[at].is_busy)
        return; // its answer is on the way
    struct join *join = calloc(1, sizeof *join);
    struct device_call *call =
        join ? device_call_new(is_new ? DEVICE_COUNTER_CREATE : DEVICE_COUNTER_READ,
                               is_new ? join_made : join_read, join)
             : NULL;
    if (!call) {
        free(join);
        log_error("no memory to compare the rollback counter of device %s", name);
        return;
    }
    join->keeper = keeper;
    join->number = device->number;
    snprintf(join->device, sizeof join->device, "%s", name);
    if (is_new) {
        epoch->making |= 1u << device->number;
    } else {
        call->counter = epoch->counters.at[at].counter;
        epoch->places[at].is_joined = false;
        epoch->places[at].is_joining = true;
    }
    keeper->in_flight++;
    device_submit(device->thread, call);
}

static void counter_gone(struct device_call *call) {}

void epoch_leave(struct keeper *keeper, const char *name) {
    struct epoch *epoch = keeper->epoch;
    const struct device *device = devices_of_name(keeper, bytes_of_text(name));
    size_t at = epoch->is_running ? epoch_place_of(epoch, name) : EPOCH_NONE;
    if (at == EPOCH_NONE)
        return;
    epoch->places[at].has_left = true;
    epoch->places[at].is_joined = false;
    epoch->is_unwritten = true;
    epoch_move_soon(epoch);
    // NV memory is scarce. A device that is gone keeps it.
    struct device_call *call = device && device->state == DEVICE_WORKS
                                   ? device_call_new(DEVICE_COUNTER_DESTROY, counter_gone, NULL)
                                   : NULL;
    if (!call)
        return;
    call->counter = epoch->counters.at[at].counter;
    device_submit(device->thread, call);
}
