// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_key.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/rotate_signer.h"
#include "vaultd/keeper/seen.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/log/log.h"

// As many as can be loaded, and room for the next one.
#define KEEP_MAX (SYSTEM_INTAKE_MAX - 1)

static const char busy[] = "a rotation of this key was begun by somebody else just now";

// ---- What there is ----

struct reading {
    struct rotate_key_set *set;
    enum record_key_use use;
    vlt_result result;
};

static void note_newest(struct rotate_key_row **place, struct rotate_key_row *row) {
    if (!*place || row->record.created_at >= (*place)->record.created_at)
        *place = row;
}

static bool read_row(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct reading *reading = context;
    struct rotate_key_set *set = reading->set;
    struct record_key record;
    reading->result = record_key_parse(value, NULL, &record);
    if (!vlt_is_ok(reading->result))
        return false;
    if (record.use != reading->use) {
        record_key_done(&record);
        return true;
    }
    if (set->count == ROTATE_KEYS_MAX) {
        record_key_done(&record);
        reading->result = vlt_fail(VLT_LIMIT, "there are too many keys");
        return false;
    }
    struct rotate_key_row *row = &set->rows[set->count++];
    *row = (struct rotate_key_row){.record = record, .revision = revision};
    if (record.state == RECORD_KEY_ACTIVE)
        note_newest(&set->active, row);
    if (record.state == RECORD_KEY_NEXT)
        note_newest(&set->next, row);
    return true;
}

vlt_result rotate_key_set_read(struct keeper *keeper, enum record_key_use use,
                               struct rotate_key_set *ret_set) {
    *ret_set = (struct rotate_key_set){.count = 0};
    struct reading reading = {.set = ret_set, .use = use, .result = vlt_ok()};
    VLT_TRY(store_each(keeper->store, STORE_SYSTEM_TENANT, system_key_public_class(use),
                       bytes_of(NULL, 0), bytes_of(NULL, 0), read_row, &reading));
    VLT_TRY(reading.result);
    return ret_set->active ? vlt_ok() : vlt_fail(VLT_NOT_FOUND, "there is no active key");
}

void rotate_key_set_done(struct rotate_key_set *set) {
    for (size_t i = 0; i < set->count; i++)
        record_key_done(&set->rows[i].record);
    set->count = 0;
}

enum record_key_use rotate_key_use(enum rotation_kind kind) {
    return kind == ROTATION_INTAKE ? RECORD_KEY_INTAKE : RECORD_KEY_TOKEN;
}

vlt_result rotate_key_set_snapshot(struct keeper *keeper, enum record_key_use use,
                                   struct rotate_key_set *set) {
    set->count = 0;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_key_set_read(keeper, use, set);
    store_snapshot_end(keeper->store);
    return result;
}

// ---- Changes ----

// Until when something that the key made may be in use, from now on. Before
// another key signs, everybody has had `publication_s` to fetch it; the same time
// is given to whoever still holds the old set.
static int64_t keep_until(const struct keeper *keeper, enum record_key_use use, int64_t now_s) {
    const struct keeper_settings *settings = &keeper->settings;
    return now_s + (use == RECORD_KEY_INTAKE
                        ? (int64_t)settings->intake_overlap_s
                        : (int64_t)settings->token_max_lifetime_s + settings->publication_s);
}

static void add_record(struct change *change, const struct rotate_key_row *row,
                       enum record_key_state state, int64_t now_s) {
    struct record_key record = row->record; // the JWK stays the row's
    record.state = state;
    if (state == RECORD_KEY_RETIRED) {
        record.retired_at = now_s;
        record.keep_until = keep_until(change->keeper, record.use, now_s);
    }
    json_t *json = record_key_json(&record);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        change->has_failed = true;
    else
        change_add(change, STORE_SYSTEM_TENANT, system_key_public_class(record.use),
                   bytes_of_text(record.kid), bytes_of_text(text), row->revision);
    free(text);
}

static void add_destruction(struct change *change, const struct rotate_key_row *row) {
    struct bytes kid = bytes_of_text(row->record.kid);
    change_add_removal(change, STORE_SYSTEM_TENANT, system_key_public_class(row->record.use), kid,
                       row->revision);
    change_add_removal(change, STORE_SYSTEM_TENANT, system_key_secret_class(row->record.use), kid,
                       STORE_ANY_REVISION);
}

// `signer`: the device has made the key already.
static vlt_result add_new(struct change *change, enum record_key_use use,
                          enum record_key_state state, int64_t now_s,
                          const struct hsm_signer *signer) {
    struct system_key_made made;
    const struct system_keys *keys = change->keeper->keys;
    VLT_TRY(signer ? system_key_describe(keys, signer, state, now_s, &made)
                   : system_key_make(keys, use, state, now_s, &made));
    struct bytes kid = bytes_of_text(made.kid);
    change_add(change, STORE_SYSTEM_TENANT, system_key_public_class(use), kid,
               bytes_of_text(made.json), 0);
    change_add(change, STORE_SYSTEM_TENANT, system_key_secret_class(use), kid,
               bytes_of(made.sealed, made.sealed_bytes), 0);
    system_key_made_done(&made);
    return vlt_ok();
}

static vlt_result fill(struct change *change, const struct rotate_key_set *set,
                       enum record_key_use use, const struct hsm_signer *signer) {
    int64_t now_s = clock_now_s();
    bool is_emergency = change->number == ROTATION_EMERGENCY;
    bool is_published_first = use == RECORD_KEY_TOKEN && !is_emergency;
    if (set->count > KEEP_MAX && !is_emergency)
        return vlt_fail(VLT_CONFLICT, "too many retired keys are still in use: rotate again when "
                                      "the oldest of them is gone");
    VLT_TRY(add_new(change, use, is_published_first ? RECORD_KEY_NEXT : RECORD_KEY_ACTIVE, now_s,
                    signer));
    for (size_t i = 0; is_emergency && i < set->count; i++)
        add_destruction(change, &set->rows[i]);
    if (use == RECORD_KEY_INTAKE && !is_emergency)
        add_record(change, set->active, RECORD_KEY_RETIRED, now_s);
    return vlt_ok();
}

static void fill_and_run(struct change *change, enum record_key_use use,
                         const struct hsm_signer *signer) {
    struct rotate_key_set set;
    vlt_result result = rotate_key_set_snapshot(change->keeper, use, &set);
    if (vlt_is_ok(result))
        result = fill(change, &set, use, signer);
    rotate_key_set_done(&set);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}

static void run_with_signer(struct change *change, vlt_result result,
                            const struct hsm_signer *signer) {
    if (vlt_is_ok(result))
        fill_and_run(change, RECORD_KEY_TOKEN, signer);
    else
        change_refuse(change, result);
}

// Makes the new key where the settings say, then goes on with the change. Nobody
// else changes these keys until it has ended.
static void make_and_run(struct change *change, enum record_key_use use) {
    struct keeper *keeper = change->keeper;
    keeper->rotations->is_changing_keys = true;
    if (use != RECORD_KEY_TOKEN || !keeper->settings.signs_in_device) {
        fill_and_run(change, use, NULL);
        return;
    }
    vlt_result result = rotate_signer_make(change, run_with_signer);
    if (!vlt_is_ok(result))
        change_refuse(change, result);
}

// ---- After the commit ----

static void reload(struct keeper *keeper) {
    struct fault fault = {0};
    if (!keeper->keys)
        return; // sealed meanwhile: unsealing loads them
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = system_keys_reload(keeper->keys, keeper->store, &fault);
        store_snapshot_end(keeper->store);
    }
    keeper->rotations->needs_reload = !vlt_is_ok(result);
    if (!vlt_is_ok(result))
        log_error("the keys can not be loaded again: %s", fault_or_reason(&fault, result));
}

static bool removes_keys(const struct change *change) {
    for (size_t i = 0; i < change->count; i++)
        if (change->changes[i].remove && change->changes[i].class == STORE_SIGNING_KEY)
            return true;
    return false;
}

static void step_done(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    bool is_emergency = change->number == ROTATION_EMERGENCY;
    keeper->rotations->is_changing_keys = false;
    rotate_signer_settle(change, vlt_is_ok(result));
    if (!vlt_is_ok(result))
        return;
    if (is_emergency) { // also for what is being opened at this moment
        keeper->key_epoch++;
        keeper->authority_count++;
    }
    if (removes_keys(change))
        seen_clear(keeper->seen);
    reload(keeper);
}

// ---- Asked for ----

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    unsigned kind = (unsigned)(uintptr_t)change->context;
    step_done(change, result, revision);
    if (vlt_is_ok(result))
        rotation_reply(change->call, rotate_key_describe(change->keeper, kind));
    else
        reply_failure(change->call, result);
}

static vlt_result may_begin(struct keeper *keeper, const struct ask_rotate *ask,
                            const struct rotate_key_set *set) {
    bool is_seen = ask->expected_revision == set->active->revision;
    if (keeper->rotations->is_changing_keys || (ask->expected_revision && !is_seen))
        return vlt_fail(VLT_CONFLICT, busy);
    if (ask->expected_revision && set->next && ask->mode == ROTATION_RUN)
        return vlt_fail(VLT_CONFLICT, busy);
    return vlt_ok();
}

static void begin(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                  struct audit_event *event) {
    struct change *change = change_new(keeper, call, event, answered);
    if (!change) {
        audit_refuse(keeper, call, event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    change->context = (void *)(uintptr_t)ask->kind;
    change->number = ask->mode;
    make_and_run(change, rotate_key_use(ask->kind));
}

void rotate_key_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                    struct audit_event *event) {
    struct rotate_key_set set;
    if (ask->mode == ROTATION_LOOK) {
        rotation_reply(call, rotate_key_describe(keeper, ask->kind));
        return;
    }
    vlt_result result = rotate_key_set_snapshot(keeper, rotate_key_use(ask->kind), &set);
    if (vlt_is_ok(result))
        result = may_begin(keeper, ask, &set);
    if (!vlt_is_ok(result))
        audit_refuse(keeper, call, event, result);
    else if (set.next && ask->mode == ROTATION_RUN)
        rotation_reply(call, rotate_key_describe(keeper, ask->kind)); // the one that is under way
    else
        begin(keeper, call, ask, event);
    rotate_key_set_done(&set);
}

// ---- Destroyed by hand ----

static void destroyed(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_key_destroy answer = {.revision = revision};
    step_done(change, result, revision);
    reply_key_destroy(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static vlt_result may_destroy(const struct rotate_key_row *row, int64_t now_s) {
    if (!row)
        return vlt_fail(VLT_NOT_FOUND, "there is no such key");
    if (row->record.state == RECORD_KEY_ACTIVE)
        return vlt_fail(VLT_CONFLICT, "the key is in use: rotate it first");
    if (row->record.state == RECORD_KEY_RETIRED && row->record.keep_until > now_s)
        return vlt_fail(VLT_CONFLICT, row->record.use == RECORD_KEY_INTAKE
                                          ? "values that were sealed to the key may be on their way"
                                          : "tokens that the key signed may be valid still");
    return vlt_ok(); // also one that was published and never used
}

void rotate_key_destroy(struct keeper *keeper, struct ipc_call *call,
                        const struct ask_key_destroy *ask, struct audit_event *event) {
    struct rotate_key_set set;
    const struct rotate_key_row *row = NULL;
    vlt_result result = rotate_key_set_snapshot(keeper, rotate_key_use(ask->kind), &set);
    for (size_t i = 0; i < set.count; i++)
        if (bytes_equal_text(ask->key, set.rows[i].record.kid))
            row = &set.rows[i];
    if (vlt_is_ok(result))
        result = may_destroy(row, clock_now_s());
    if (vlt_is_ok(result) && keeper->rotations->is_changing_keys)
        result = vlt_fail(VLT_CONFLICT, busy);
    struct change *change = vlt_is_ok(result) ? change_new(keeper, call, event, destroyed) : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    if (change) {
        keeper->rotations->is_changing_keys = true;
        add_destruction(change, row);
        change_run(change);
    } else {
        audit_refuse(keeper, call, event, result);
    }
    rotate_key_set_done(&set);
}

// ---- By themselves ----

static struct change *own_change(struct keeper *keeper, const char *operation, const char *kid) {
    struct audit_event event;
    rotation_event(&event, operation, kid);
    struct change *change = change_new(keeper, NULL, &event, step_done);
    if (change)
        keeper->rotations->is_changing_keys = true;
    return change;
}

static void promote(struct keeper *keeper, const struct rotate_key_set *set, int64_t now_s) {
    struct change *change = own_change(keeper, "rotate.signing.promote", set->next->record.kid);
    if (!change)
        return;
    add_record(change, set->next, RECORD_KEY_ACTIVE, now_s);
    add_record(change, set->active, RECORD_KEY_RETIRED, now_s);
    change_run(change);
}

static void destroy_one(struct keeper *keeper, const struct rotate_key_row *row) {
    bool is_intake = row->record.use == RECORD_KEY_INTAKE;
    struct change *change = own_change(
        keeper, is_intake ? "rotate.intake.destroy" : "rotate.signing.destroy", row->record.kid);
    if (!change)
        return;
    add_destruction(change, row);
    change_run(change);
}

static void tick_use(struct keeper *keeper, enum record_key_use use) {
    struct rotate_key_set set;
    int64_t now_s = clock_now_s();
    if (vlt_is_ok(rotate_key_set_snapshot(keeper, use, &set))) {
        if (set.next && set.next->record.created_at + keeper->settings.publication_s <= now_s)
            promote(keeper, &set, now_s);
        for (size_t i = 0; i < set.count && !keeper->rotations->is_changing_keys; i++)
            if (set.rows[i].record.state == RECORD_KEY_RETIRED &&
                set.rows[i].record.keep_until <= now_s)
                destroy_one(keeper, &set.rows[i]);
    }
    rotate_key_set_done(&set);
}

void rotate_key_tick(struct keeper *keeper) {
    if (keeper->rotations->needs_reload)
        reload(keeper);
    if (!keeper->rotations->is_changing_keys)
        tick_use(keeper, RECORD_KEY_TOKEN);
    if (!keeper->rotations->is_changing_keys)
        tick_use(keeper, RECORD_KEY_INTAKE);
}

void rotate_key_schedule(struct keeper *keeper, enum rotation_kind kind, uint32_t age_s) {
    struct rotate_key_set set;
    if (age_s == 0 || keeper->rotations->is_changing_keys)
        return;
    bool is_signing = kind == ROTATION_SIGNING;
    vlt_result result = rotate_key_set_snapshot(keeper, rotate_key_use(kind), &set);
    if (vlt_is_ok(result) && !set.next &&
        rotation_is_due(keeper->rotations, is_signing ? "the signing key" : "the intake key",
                        set.active->record.created_at, age_s,
                        (uint32_t)(set.active->record.kid[0] << 8 | set.active->record.kid[1]))) {
        struct change *change =
            own_change(keeper, is_signing ? "rotate.signing.begin" : "rotate.intake.begin",
                       set.active->record.kid);
        if (change)
            make_and_run(change, rotate_key_use(kind));
    }
    rotate_key_set_done(&set);
}
