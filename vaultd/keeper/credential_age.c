// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/credential_age.h"

#include "libvault/base/clock.h"
#include "libvault/store/record_credential.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/tenant_name.h"
#include "vaultd/log/log.h"

#define PASS_TICKS 10
#define LOOKS_EACH_TICK 256 // JSON records: some milliseconds
#define NOTES_MAX 32

struct note { // to be said after the look: no record can be read meanwhile
    char name[RECORD_NAME_MAX + 1];
    uint32_t version;
    bool is_overdue;
};
struct looking {
    struct credential_age *age;
    uint32_t age_s;
    size_t looks, note_count;
    struct note notes[NOTES_MAX];
};

// Both ends are beginnings of passes, so each moment is in exactly one of them.
static bool is_new(const struct credential_age *age, int64_t moment) {
    return moment <= age->began && moment > age->before;
}

static void judge(struct looking *looking, const struct record_credential *record) {
    struct credential_age *age = looking->age;
    int64_t since = record->rotated_at ? record->rotated_at : record->created_at;
    int64_t due = since + (int64_t)looking->age_s * 9 / 10, late = since + looking->age_s;
    age->due += due <= age->began && late > age->began;
    age->overdue += late <= age->began;
    // Of one that was not looked at in between only the worse is said.
    if (!is_new(age, late) && (!is_new(age, due) || late <= age->began))
        return;
    struct note *note = &looking->notes[looking->note_count++];
    memcpy(note->name, record->name, sizeof note->name);
    note->version = record->version;
    note->is_overdue = late <= age->began;
}

static bool look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct looking *looking = context;
    struct credential_age *age = looking->age;
    struct record_credential record;
    if (vlt_is_ok(record_credential_parse(value, NULL, &record))) {
        if (record.status != RECORD_CREDENTIAL_DELETED)
            judge(looking, &record);
        record_credential_done(&record);
    }
    memcpy(age->after, name.at, name.size);
    age->after_bytes = name.size;
    return ++looking->looks < LOOKS_EACH_TICK && looking->note_count < NOTES_MAX;
}

static void say(struct keeper *keeper, uint32_t tenant, const struct note *note) {
    struct audit_event event;
    char tenant_name[RECORD_NAME_MAX + 1];
    const char *operation =
        note->is_overdue ? "rotate.credential.overdue" : "rotate.credential.due";
    tenant_name_find(keeper->store, tenant, tenant_name);
    log_warning("credential %s of tenant %s is %s for rotation", note->name, tenant_name,
                note->is_overdue ? "overdue" : "soon due");
    rotation_event(&event, operation, note->name);
    event.tenant = bytes_of_text(tenant_name);
    event.credential = bytes_of_text(note->name);
    event.version = note->version;
    audit_later(keeper, &event);
}

static void pass_begin(struct credential_age *age) {
    age->tenant = 1;
    age->after_bytes = 0;
    age->before = age->began;
    age->began = clock_now_s();
    age->due = age->overdue = 0;
}

static void pass_end(struct credential_age *age) {
    age->tenant = 0;
    age->known_due = age->due;
    age->known_overdue = age->overdue;
    age->known_at = (uint64_t)age->began;
}

// One tenant, or as much of it as fits.
static vlt_result look_at_tenant(struct keeper *keeper, struct looking *looking) {
    struct credential_age *age = looking->age;
    uint8_t after[STORE_NAME_MAX] = {0};
    struct bytes from = bytes_of(after, age->after_bytes);
    uint32_t tenant = age->tenant;
    memcpy(after, age->after, age->after_bytes); // the place moves while we look
    VLT_TRY(store_each(keeper->store, tenant, STORE_CREDENTIAL, bytes_of(NULL, 0), from, look,
                       looking));
    if (looking->looks < LOOKS_EACH_TICK && looking->note_count < NOTES_MAX) {
        age->tenant++;
        age->after_bytes = 0;
        looking->looks++; // empty tenants cost something, too
    }
    for (size_t i = 0; i < looking->note_count; i++)
        say(keeper, tenant, &looking->notes[i]);
    looking->note_count = 0;
    return vlt_ok();
}

void credential_age_tick(struct keeper *keeper) {
    struct rotations *rotations = keeper->rotations;
    struct credential_age *age = &rotations->credential_age;
    struct looking looking = {.age = age, .age_s = keeper->settings.credential_age_s};
    if (looking.age_s == 0 || (!age->tenant && rotations->tick_count % PASS_TICKS != 0))
        return;
    if (!age->tenant)
        pass_begin(age);
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return;
    while (looking.looks < LOOKS_EACH_TICK && age->tenant < keeper->next_tenant)
        if (!vlt_is_ok(look_at_tenant(keeper, &looking)))
            break;
    store_snapshot_end(keeper->store);
    if (age->tenant >= keeper->next_tenant)
        pass_end(age);
}

json_t *credential_age_json(const struct keeper *keeper) {
    const struct rotations *rotations = keeper->rotations;
    if (!rotations || keeper->settings.credential_age_s == 0 || !rotations->credential_age.known_at)
        return json_null();
    const struct credential_age *age = &rotations->credential_age;
    return json_pack("{s:I, s:I, s:I}", "due", (json_int_t)age->known_due, "overdue",
                     (json_int_t)age->known_overdue, "looked_at", (json_int_t)age->known_at);
}
