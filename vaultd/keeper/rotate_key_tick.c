// SPDX-License-Identifier: Apache-2.0
// Steps of the rotation of keys that no administrator asks for: promotion when
// the publication is over, destruction when nothing needs a key, and by age.
#include "libvault/base/clock.h"
#include "vaultd/keeper/rotate_key_steps.h"

static struct change *own_change(struct keeper *keeper, const char *operation, const char *kid) {
    struct audit_event event;
    rotation_event(&event, operation, kid);
    struct change *change = change_new(keeper, NULL, &event, rotate_key_step_done);
    if (change)
        keeper->rotations->is_changing_keys = true;
    return change;
}

// What the log calls the steps of each kind of key.
struct steps {
    const char *begin, *destroy;
};

static const struct steps *steps_of(enum record_key_use use) {
    static const struct steps steps[] = {
        [RECORD_KEY_TOKEN] = {"rotate.signing.begin", "rotate.signing.destroy"},
        [RECORD_KEY_CHECKPOINT] = {"rotate.checkpoint.begin", "rotate.checkpoint.destroy"},
        [RECORD_KEY_INTAKE] = {"rotate.intake.begin", "rotate.intake.destroy"}};
    return &steps[use];
}

static void promote(struct keeper *keeper, const struct rotate_key_set *set, int64_t now_s) {
    struct change *change = own_change(keeper, "rotate.signing.promote", set->next->record.kid);
    if (!change)
        return;
    rotate_key_add_record(change, set->next, RECORD_KEY_ACTIVE, now_s);
    rotate_key_add_record(change, set->active, RECORD_KEY_RETIRED, now_s);
    change_run(change);
}

static void destroy_one(struct keeper *keeper, const struct rotate_key_row *row) {
    struct change *change = own_change(keeper, steps_of(row->record.use)->destroy, row->record.kid);
    if (!change)
        return;
    rotate_key_add_destruction(change, row);
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
    static const enum record_key_use uses[] = {RECORD_KEY_TOKEN, RECORD_KEY_INTAKE,
                                               RECORD_KEY_CHECKPOINT};
    if (keeper->rotations->needs_reload)
        rotate_key_reload(keeper);
    for (size_t i = 0; i < sizeof uses / sizeof *uses && !keeper->rotations->is_changing_keys; i++)
        tick_use(keeper, uses[i]);
}

void rotate_key_schedule(struct keeper *keeper, enum rotation_kind kind, uint32_t age_s) {
    struct rotate_key_set set;
    enum record_key_use use = rotate_key_use(kind);
    if (age_s == 0 || keeper->rotations->is_changing_keys)
        return;
    vlt_result result = rotate_key_set_snapshot(keeper, use, &set);
    if (vlt_is_ok(result) && !set.next &&
        key_age_is_due(keeper, kind, set.active->record.kid, set.active->record.created_at, age_s,
                       (uint32_t)(set.active->record.kid[0] << 8 | set.active->record.kid[1]))) {
        struct change *change = own_change(keeper, steps_of(use)->begin, set.active->record.kid);
        if (change)
            rotate_key_make_and_run(change, use);
    }
    rotate_key_set_done(&set);
}
