// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/sweep.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_revocation.h"
#include "vaultd/keeper/backup.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/scrub.h"

#define PERIOD_S 15
#define REMOVALS_EACH_STEP 100 // one small commit
#define LOOKS_EACH_STEP 4096   // records looked at, so that a step stays short
#define PART_COUNT 3
// A revoked token that has expired is remembered for so much longer: a forwarder
// that was away must still find that what began with it has ended.
#define REQUESTS_LIVE_S 3600

// Where the next step goes on: a step rarely gets through everything.
struct sweep_place {
    uint32_t tenant;
    size_t part;
    uint8_t after[STORE_NAME_MAX];
    size_t after_bytes;
};

// One commit of removals at a time.
struct sweep {
    struct commit commit;
    struct keeper *keeper;
    int64_t now_s;
    struct store_change changes[REMOVALS_EACH_STEP + 1];
    uint8_t names[REMOVALS_EACH_STEP][STORE_NAME_MAX];
    size_t count, looks;
    uint32_t tenant; // being looked at
    enum store_class class;
    bool is_full; // stopped before the end of the part
};

static void remove_record(struct sweep *sweep, enum store_class class, struct bytes name,
                          uint64_t revision) {
    memcpy(sweep->names[sweep->count], name.at, name.size);
    sweep->changes[sweep->count] =
        (struct store_change){.tenant = sweep->tenant,
                              .class = class,
                              .remove = true,
                              .name = bytes_of(sweep->names[sweep->count], name.size),
                              .expected_revision = revision};
    sweep->count++;
}

// Notes the place; false when this step has done enough.
static bool go_on(struct sweep *sweep, struct bytes name) {
    struct sweep_place *place = sweep->keeper->sweep_place;
    memcpy(place->after, name.at, name.size);
    place->after_bytes = name.size;
    sweep->is_full = ++sweep->looks >= LOOKS_EACH_STEP || sweep->count >= REMOVALS_EACH_STEP;
    return !sweep->is_full;
}

static bool look_at_revocation(struct bytes name, struct bytes value, uint64_t revision,
                               void *context) {
    struct sweep *sweep = context;
    int64_t at;
    // A rule is over when every token that it ends has expired by itself.
    int64_t longer_s = sweep->class == STORE_REVOKED_RULE ? KEEPER_LIFETIME_MAX_S : REQUESTS_LIVE_S;
    if (vlt_is_ok(record_revocation_time(value, &at)) && at < sweep->now_s - longer_s)
        remove_record(sweep, sweep->class, name, revision);
    return go_on(sweep, name);
}

// A previous version whose grace is over: its ciphertext goes.
static bool look_at_state(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct sweep *sweep = context;
    struct record_credential_state state;
    uint8_t room[RECORD_SECRET_NAME_MAX];
    struct bytes secret;
    uint64_t secret_revision;
    if (vlt_is_ok(record_credential_state_get(value, &state)) && state.previous_version &&
        (int64_t)state.previous_until < sweep->now_s) {
        struct bytes secret_name =
            record_credential_secret_name(name, state.previous_version, room);
        if (vlt_is_ok(store_get(sweep->keeper->store, sweep->tenant, STORE_CREDENTIAL_SECRET,
                                secret_name, &secret, &secret_revision)))
            remove_record(sweep, STORE_CREDENTIAL_SECRET, secret_name, secret_revision);
    }
    return go_on(sweep, name);
}

static vlt_result look_at_part(struct sweep *sweep, struct sweep_place *place) {
    static const struct {
        enum store_class class;
        store_each_fn *look;
    } parts[PART_COUNT] = {{STORE_REVOKED_TOKEN, look_at_revocation},
                           {STORE_REVOKED_RULE, look_at_revocation},
                           {STORE_CREDENTIAL_STATE, look_at_state}};
    uint8_t after[STORE_NAME_MAX];
    memcpy(after, place->after, place->after_bytes); // the place moves while we look
    sweep->tenant = place->tenant;
    sweep->class = parts[place->part].class;
    return store_each(sweep->keeper->store, sweep->tenant, sweep->class, bytes_of(NULL, 0),
                      bytes_of(after, place->after_bytes), parts[place->part].look, sweep);
}

static void next_part(struct sweep_place *place) {
    place->after_bytes = 0;
    place->part = (place->part + 1) % PART_COUNT;
    if (place->part == 0)
        place->tenant++;
}

static void swept(struct commit *commit, vlt_result result, uint64_t revision) {
    struct sweep *sweep = (struct sweep *)commit; // its first member
    struct keeper *keeper = sweep->keeper;
    keeper->in_flight--;
    keeper->is_sweeping = false;
    if (vlt_is_ok(result)) {
        keeper_committed(keeper, sweep->changes, sweep->count, revision);
        sweep_step(keeper);                    // there may be more
    } else if (result.class != VLT_CONFLICT) { // else somebody was faster: look again later
        keeper_commit_failed(keeper, result);
    }
    free(sweep);
}

static void look(struct sweep *sweep) {
    struct keeper *keeper = sweep->keeper;
    struct sweep_place *place = keeper->sweep_place;
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return;
    while (!sweep->is_full && place->tenant < keeper->next_tenant) {
        if (!vlt_is_ok(look_at_part(sweep, place)) || sweep->is_full)
            break;
        next_part(place);
        sweep->is_full = ++sweep->looks >= LOOKS_EACH_STEP;
    }
    store_snapshot_end(keeper->store);
    if (place->tenant >= keeper->next_tenant)
        *place = (struct sweep_place){.tenant = 1};
}

void sweep_step(struct keeper *keeper) {
    datakeys_drop_idle(keeper->datakeys);
    backup_look(keeper);
    if (!keeper->store || keeper->state != KEEPER_UNSEALED || keeper->is_sweeping)
        return;
    store_readers_check(keeper->store);
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (!sweep)
        return;
    sweep->keeper = keeper;
    sweep->now_s = clock_now_s();
    look(sweep);
    if (sweep->count == 0) {
        free(sweep);
        return;
    }
    if (scrub_is_due_to(sweep->changes, sweep->count))
        sweep->changes[sweep->count++] = scrub_wish();
    sweep->commit =
        (struct commit){.changes = sweep->changes, .count = sweep->count, .done = swept};
    keeper->is_sweeping = true;
    keeper->in_flight++;
    commit_queue_add(keeper->commits, &sweep->commit);
}

static void on_time(evutil_socket_t fd, short what, void *context) {
    sweep_step(context);
}

vlt_result sweep_new(struct keeper *keeper) {
    const struct timeval period = {.tv_sec = PERIOD_S};
    keeper->sweep_place = calloc(1, sizeof *keeper->sweep_place);
    if (!keeper->sweep_place)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    keeper->sweep_place->tenant = 1;
    keeper->sweep = event_new(keeper->base, -1, EV_PERSIST, on_time, keeper);
    if (!keeper->sweep || event_add(keeper->sweep, &period) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "no timer");
    return vlt_ok();
}

void sweep_done(struct keeper *keeper) {
    if (keeper->sweep)
        event_free(keeper->sweep);
    keeper->sweep = NULL;
    free(keeper->sweep_place);
    keeper->sweep_place = NULL;
}
