// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_key_steps.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_revocation.h"
#include "vaultd/keeper/gate.h"
#include "vaultd/keeper/rotate_signer.h"
#include "vaultd/keeper/seen.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/log/log.h"

// As many as can be loaded, and room for the next one.
static size_t keep_max(enum record_key_use use) {
    return use == RECORD_KEY_CHECKPOINT ? SYSTEM_CHECKPOINTS_MAX : SYSTEM_INTAKE_MAX - 1;
}

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
    return kind == ROTATION_INTAKE       ? RECORD_KEY_INTAKE
           : kind == ROTATION_CHECKPOINT ? RECORD_KEY_CHECKPOINT
                                         : RECORD_KEY_TOKEN;
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
    if (use == RECORD_KEY_INTAKE)
        return now_s + settings->intake_overlap_s;
    if (use == RECORD_KEY_CHECKPOINT)
        return now_s + settings->checkpoint_overlap_s;
    return now_s + settings->token_max_lifetime_s + settings->publication_s;
}

void rotate_key_add_record(struct change *change, const struct rotate_key_row *row,
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

void rotate_key_add_destruction(struct change *change, const struct rotate_key_row *row) {
    struct bytes kid = bytes_of_text(row->record.kid);
    change_add_removal(change, STORE_SYSTEM_TENANT, system_key_public_class(row->record.use), kid,
                       row->revision);
    change_add_removal(change, STORE_SYSTEM_TENANT, system_key_secret_class(row->record.use), kid,
                       STORE_ANY_REVISION);
}

// The log says which key came; that it was an emergency is in the subject already.
static void name_new(struct change *change, struct bytes kid) {
    char text[JWK_KID_SIZE + 16];
    if (change->event.subject.size == 0) {
        change->event.subject = change_keep(change, kid);
    } else if (bytes_equal_text(change->event.subject, "emergency")) {
        snprintf(text, sizeof text, "emergency: %.*s", (int)kid.size, (const char *)kid.at);
        change->event.subject = change_keep(change, bytes_of_text(text));
    }
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
    name_new(change, kid);
    change_add(change, STORE_SYSTEM_TENANT, system_key_public_class(use), kid,
               bytes_of_text(made.json), 0);
    change_add(change, STORE_SYSTEM_TENANT, system_key_secret_class(use), kid,
               bytes_of(made.sealed, made.sealed_bytes), 0);
    system_key_made_done(&made);
    return vlt_ok();
}

// What began with a token may outlive it, and then no key tells any more.
static vlt_result add_end_of_tokens(struct change *change, int64_t now_s) {
    uint8_t room[8];
    struct store_change row;
    VLT_TRY(record_tokens_ended_change(gate_issued_until(change->keeper, now_s), room, &row));
    change_add(change, row.tenant, row.class, row.name, row.value, row.expected_revision);
    return vlt_ok();
}

static vlt_result fill(struct change *change, const struct rotate_key_set *set,
                       enum record_key_use use, const struct hsm_signer *signer) {
    int64_t now_s = clock_now_s();
    bool is_emergency = change->number == ROTATION_EMERGENCY;
    bool is_published_first = use == RECORD_KEY_TOKEN && !is_emergency;
    if (set->count > keep_max(use) && !is_emergency)
        return vlt_fail(VLT_CONFLICT, "too many retired keys are still in use: rotate again when "
                                      "the oldest of them is gone");
    VLT_TRY(add_new(change, use, is_published_first ? RECORD_KEY_NEXT : RECORD_KEY_ACTIVE, now_s,
                    signer));
    for (size_t i = 0; is_emergency && i < set->count; i++)
        rotate_key_add_destruction(change, &set->rows[i]);
    if (is_emergency && use == RECORD_KEY_TOKEN)
        VLT_TRY(add_end_of_tokens(change, now_s));
    if (!is_published_first && !is_emergency)
        rotate_key_add_record(change, set->active, RECORD_KEY_RETIRED, now_s);
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

void rotate_key_make_and_run(struct change *change, enum record_key_use use) {
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

void rotate_key_reload(struct keeper *keeper) {
    struct fault fault = {0};
    if (!keeper->keys)
        return; // sealed meanwhile: unsealing loads them
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = system_keys_reload(keeper->keys, keeper->store, &fault);
        store_snapshot_end(keeper->store);
    }
    keeper->rotations->needs_reload = !vlt_is_ok(result);
    keeper->sign_trouble[0] = 0; // of a key that may not sign any more
    if (!vlt_is_ok(result))
        log_error("the keys can not be loaded again: %s", fault_or_reason(&fault, result));
}

static bool removes_token_keys(const struct change *change) {
    for (size_t i = 0; i < change->count; i++)
        if (change->changes[i].remove && change->changes[i].class == STORE_SIGNING_KEY)
            return true;
    return false;
}

void rotate_key_step_done(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    bool ends_tokens = change->number == ROTATION_EMERGENCY &&
                       (uintptr_t)change->context == ROTATION_SIGNING;
    keeper->rotations->is_changing_keys = false;
    rotate_signer_settle(change, vlt_is_ok(result));
    if (!vlt_is_ok(result))
        return;
    if (ends_tokens) { // also for what is being opened at this moment
        keeper->key_epoch++;
        keeper->authority_count++;
    }
    if (removes_token_keys(change))
        seen_clear(keeper->seen);
    rotate_key_reload(keeper);
}

// ---- Asked for ----

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    unsigned kind = (unsigned)(uintptr_t)change->context;
    rotate_key_step_done(change, result, revision);
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
    rotate_key_make_and_run(change, rotate_key_use(ask->kind));
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
    rotate_key_step_done(change, result, revision);
    reply_key_destroy(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static const char *why_kept(enum record_key_use use) {
    if (use == RECORD_KEY_INTAKE)
        return "values that were sealed to the key may be on their way";
    if (use == RECORD_KEY_CHECKPOINT)
        return "who verifies the audit log may not have the new key yet";
    return "tokens that the key signed may be valid still";
}

static vlt_result may_destroy(const struct rotate_key_row *row, int64_t now_s) {
    if (!row)
        return vlt_fail(VLT_NOT_FOUND, "there is no such key");
    if (row->record.state == RECORD_KEY_ACTIVE)
        return vlt_fail(VLT_CONFLICT, "the key is in use: rotate it first");
    if (row->record.state == RECORD_KEY_RETIRED && row->record.keep_until > now_s)
        return vlt_fail(VLT_CONFLICT, why_kept(row->record.use));
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
        rotate_key_add_destruction(change, row);
        change_run(change);
    } else {
        audit_refuse(keeper, call, event, result);
    }
    rotate_key_set_done(&set);
}
