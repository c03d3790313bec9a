// SPDX-License-Identifier: Apache-2.0
// Rotation of what records are encrypted with: the data keys of tenants, the vault's
// own, and the wrapping key over them.
#include "tests/unit/rotation_case.h"

// ---- Data keys ----

static void tenant_accepts_active_retired_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t seen[8];
    fill(f, 0, 40);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    put(f, 1, "c40", "sk-40", false, 0); // new writes at once under the new key
    wait_steady(f, ROTATION_TENANT, 1);
    count_numbers(f, seen);
    assert_int_equal(seen[2], 41);
    assert_int_equal(seen[1], 0);
    all_open(f, 41);
    assert_null(datakey_find(f->keeper->datakeys, 1, 1));
    assert_class(fixture_key_destroy(f, ROTATION_TENANT, 1, "2"), VLT_CONFLICT);  // in use
    assert_class(fixture_key_destroy(f, ROTATION_TENANT, 1, "1"), VLT_NOT_FOUND); // gone
    assert_class(fixture_key_destroy(f, ROTATION_TENANT, 1, "x"), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_TENANT, ROTATION_EMERGENCY, 1), VLT_MALFORMED);
    assert_class(rotate(f, ROTATION_TENANT, ROTATION_RUN, 99), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_TENANT, ROTATION_RUN, 0), VLT_NOT_FOUND);
    keeper_fixture_restart(f);
    all_open(f, 41);
}

static void tenant_survives_a_restart_in_the_middle(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t seen[8];
    fill(f, 0, 300);
    struct ask_rotate slow = {
        .kind = ROTATION_TENANT, .mode = ROTATION_RUN, .tenant = 1, .records_per_s = 200};
    assert_ok(fixture_rotate(f, &slow, NULL));
    for (int i = 0; i < 30; i++)
        keeper_fixture_turn(f, 10);
    count_numbers(f, seen);
    assert_true(seen[1] > 0 && seen[2] > 0);
    assert_class(fixture_key_destroy(f, ROTATION_TENANT, 1, "1"), VLT_CONFLICT); // records name it
    keeper_fixture_restart(f);
    rotations_tick(f->keeper);                              // as the timer does
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1)); // the same command: faster
    wait_steady(f, ROTATION_TENANT, 1);
    count_numbers(f, seen);
    assert_int_equal(seen[2], 300);
    assert_int_equal(seen[1], 0);
    all_open(f, 20);
}

static void tenant_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_TENANT, .mode = ROTATION_RUN, .tenant = 1};
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.expected_revision = revision_of(f, ROTATION_TENANT);
    ask.event = fixture_event("rotate");
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    wait_steady(f, ROTATION_TENANT, 1);
    assert_class(fixture_rotate(f, &ask, NULL), VLT_CONFLICT); // the revision is an old one
}

struct copy {
    uint8_t name[RECORD_SECRET_NAME_MAX], value[2048];
    size_t name_bytes, value_bytes;
};

static bool take_copy(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct copy *copy = context;
    memcpy(copy->name, name.at, copy->name_bytes = name.size);
    memcpy(copy->value, value.at, copy->value_bytes = value.size);
    return false;
}

struct raw_commit {
    struct commit commit;
    bool is_done;
    vlt_result result;
};
static void raw_done(struct commit *commit, vlt_result result, uint64_t revision) {
    struct raw_commit *raw = (struct raw_commit *)commit;
    raw->is_done = true;
    raw->result = result;
}

// Crypto-shredding: ciphertext of before, put back as from a backup, is noise.
static void tenant_rejects_old_ciphertext_after_its_key_was_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    struct copy old = {.name_bytes = 0};
    struct opened_answer opened;
    struct signed_answer token;
    fill(f, 0, 3);
    sign(f, "c0", &token);
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(store_each(f->keeper->store, 1, STORE_CREDENTIAL_SECRET, bytes_of(NULL, 0),
                         bytes_of(NULL, 0), take_copy, &old));
    store_snapshot_end(f->keeper->store);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    wait_steady(f, ROTATION_TENANT, 1);
    const struct store_change change = {.tenant = 1,
                                        .class = STORE_CREDENTIAL_SECRET,
                                        .name = bytes_of(old.name, old.name_bytes),
                                        .value = bytes_of(old.value, old.value_bytes),
                                        .expected_revision = STORE_ANY_REVISION};
    struct raw_commit raw = {.commit = {.changes = &change, .count = 1, .done = raw_done}};
    commit_queue_add(f->keeper->commits, &raw.commit);
    keeper_fixture_wait(f, &raw.is_done);
    assert_ok(raw.result);
    assert_false(vlt_is_ok(open_with(f, token.token, "c0", &opened)));
    opens_as(f, "c1", "sk-1");
    // Another rotation does not trip over it: it ends for everybody else and says so.
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    for (int i = 0; i < 40; i++)
        keeper_fixture_turn(f, 5);
    opens_as(f, "c1", "sk-1");
    is_in_state(f, ROTATION_TENANT, "waiting");
}

// A put that waits for its record is encrypted under the key that is replaced
// meanwhile: the key must outlive it.
static void tenant_survives_a_put_that_is_overtaken(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t seen[8];
    fill(f, 0, 2);
    struct datakey_use *use = datakey_use_begin(f->keeper, 1, 1);
    assert_non_null(use);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    for (int i = 0; i < 40; i++)
        keeper_fixture_turn(f, 5);
    count_numbers(f, seen);
    assert_int_equal(seen[1], 0);
    is_in_state(f, ROTATION_TENANT, "counting"); // nothing names it, and it is kept
    assert_class(fixture_key_destroy(f, ROTATION_TENANT, 1, "1"), VLT_CONFLICT);
    datakey_use_end(f->keeper, use);
    wait_steady(f, ROTATION_TENANT, 1);
    all_open(f, 2);
}

// ---- Wrapping keys ----

static bool note_slots(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct record_datakey record;
    uint32_t *seen = context;
    assert_ok(record_datakey_get(value, &record));
    for (size_t i = 0; i < record.slot_count; i++)
        seen[record.slots[i].generation < 8 ? record.slots[i].generation : 0]++;
    return true;
}

static void count_slots(struct keeper_fixture *f, uint32_t seen[8]) {
    memset(seen, 0, 8 * sizeof *seen);
    assert_ok(store_snapshot_begin(f->keeper->store));
    for (uint32_t tenant = 0; tenant < f->keeper->next_tenant; tenant++)
        assert_ok(store_each(f->keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0),
                             bytes_of(NULL, 0), note_slots, seen));
    store_snapshot_end(f->keeper->store);
}

static void wrapping_accepts_active_retired_ending_gone(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t number, seen[8];
    char first[65], second[65], name[16];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_ok(fixture_tenant(f, name, &number));
    }
    fill(f, 0, 2);
    key_of(f, ROTATION_WRAPPING, "active", first);
    assert_ok(rotate(f, ROTATION_WRAPPING, ROTATION_RUN, 0));
    assert_class(fixture_key_destroy(f, ROTATION_WRAPPING, 0, first), VLT_CONFLICT);
    wait_steady(f, ROTATION_WRAPPING, 0);
    key_of(f, ROTATION_WRAPPING, "active", second);
    assert_string_not_equal(first, second);
    assert_class(fixture_key_destroy(f, ROTATION_WRAPPING, 0, second), VLT_CONFLICT);
    assert_class(fixture_key_destroy(f, ROTATION_WRAPPING, 0, first), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_WRAPPING, ROTATION_EMERGENCY, 0), VLT_MALFORMED);
    count_slots(f, seen);
    assert_int_equal(seen[1], 0);
    assert_int_equal(seen[2], 7); // the system's, the first tenant's, and five
    assert_int_equal(seen[0], 7); // their offline slots are as they were
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    wait_steady(f, ROTATION_TENANT, 1);
    count_slots(f, seen);
    assert_int_equal(seen[0], 7); // a new data key has one, too
    all_open(f, 2);
    keeper_fixture_restart(f);
    all_open(f, 2);
    assert_ok(fixture_tenant(f, "late", &number));
    put(f, number, "x", "sk-x", false, 0);
    for (int i = 0; i < 4; i++) { // more generations than a device has open at once
        assert_ok(rotate(f, ROTATION_WRAPPING, ROTATION_RUN, 0));
        wait_steady(f, ROTATION_WRAPPING, 0);
    }
    keeper_fixture_restart(f);
    all_open(f, 2);
}

static void wrapping_survives_a_restart_at_every_step(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t number, seen[8];
    char name[16];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_ok(fixture_tenant(f, name, &number));
    }
    fill(f, 0, 2);
    assert_ok(rotate(f, ROTATION_WRAPPING, ROTATION_RUN, 0));
    for (unsigned i = 0; i < 12; i++) { // each gets a little further
        keeper_fixture_turn(f, i);
        keeper_fixture_restart(f);
        all_open(f, 1);
        rotations_tick(f->keeper);
    }
    wait_steady(f, ROTATION_WRAPPING, 0);
    count_slots(f, seen);
    assert_int_equal(seen[2], 8);
    all_open(f, 2);
}

static void wrapping_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_WRAPPING, .mode = ROTATION_RUN};
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.expected_revision = revision_of(f, ROTATION_WRAPPING);
    ask.event = fixture_event("rotate");
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    wait_steady(f, ROTATION_WRAPPING, 0);
}

// ---- The vault's own data key ----

static void system_accepts_active_retired_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer before;
    struct opened_answer opened;
    fill(f, 0, 3);
    sign(f, "c0", &before);
    f->keeper->settings.publication_s = 600;
    f->keeper->settings.intake_overlap_s = 600;
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0)); // a published key is one, too
    assert_ok(rotate(f, ROTATION_INTAKE, ROTATION_RUN, 0));
    assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
    is_in_state(f, ROTATION_SYSTEM, "re-encrypting");
    assert_int_equal(f->keeper->keys->active_datakey, 2);
    assert_class(fixture_key_destroy(f, ROTATION_SYSTEM, 0, "1"), VLT_CONFLICT); // records name it
    assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));          // the same command goes on
    wait_steady(f, ROTATION_SYSTEM, 0);
    assert_int_equal(f->keeper->keys->datakey_count, 1);
    assert_class(fixture_key_destroy(f, ROTATION_SYSTEM, 0, "2"), VLT_CONFLICT);  // in use
    assert_class(fixture_key_destroy(f, ROTATION_SYSTEM, 0, "1"), VLT_NOT_FOUND); // gone
    assert_class(fixture_key_destroy(f, ROTATION_SYSTEM, 0, "x"), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_SYSTEM, ROTATION_EMERGENCY, 0), VLT_MALFORMED);
    assert_ok(open_with(f, before.token, "c0", &opened)); // what it signed is what it was
    keeper_fixture_restart(f); // loads every record of the vault with that one key
    assert_int_equal(f->keeper->keys->token_keys->count, 2);
    assert_int_equal(f->keeper->keys->intake_count, 2);
    assert_int_equal(f->keeper->keys->active_datakey, 2);
    assert_ok(open_with(f, before.token, "c0", &opened));
    all_open(f, 3);
}

static void system_accepts_many_rotations(void **state) {
    struct keeper_fixture *f = *state;
    fill(f, 0, 1);
    for (uint32_t i = 2; i < SYSTEM_DATAKEYS_MAX + 4; i++) {
        assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
        wait_steady(f, ROTATION_SYSTEM, 0);
        assert_int_equal(f->keeper->keys->active_datakey, i);
    }
    keeper_fixture_restart(f);
    all_open(f, 1);
}

static void system_survives_a_restart_at_every_step(void **state) {
    struct keeper_fixture *f = *state;
    fill(f, 0, 2);
    for (int steps = 0; steps < 4; steps++) {
        assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
        for (int i = 0; i < steps; i++) {
            rotations_tick(f->keeper);
            keeper_fixture_turn(f, 5);
        }
        keeper_fixture_restart(f);
        all_open(f, 2);
        wait_steady(f, ROTATION_SYSTEM, 0);
        assert_int_equal(f->keeper->keys->datakey_count, 1);
    }
    keeper_fixture_restart(f);
    all_open(f, 2);
}

static void system_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_SYSTEM, .mode = ROTATION_RUN};
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.expected_revision = revision_of(f, ROTATION_SYSTEM);
    ask.event = fixture_event("rotate");
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    wait_steady(f, ROTATION_SYSTEM, 0);
    assert_class(fixture_rotate(f, &ask, NULL), VLT_CONFLICT); // the revision is an old one
}

// A key that was encrypted before and is not committed yet: the old data key waits.
static void system_survives_a_writer_that_is_overtaken(void **state) {
    struct keeper_fixture *f = *state;
    fill(f, 0, 1);
    f->keeper->rotations->is_changing_keys = true;
    assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
    for (int i = 0; i < 40; i++) {
        rotations_tick(f->keeper);
        keeper_fixture_turn(f, 5);
    }
    assert_int_equal(f->keeper->keys->datakey_count, 2);
    is_in_state(f, ROTATION_SYSTEM, "re-encrypting");
    f->keeper->rotations->is_changing_keys = false;
    wait_steady(f, ROTATION_SYSTEM, 0);
    all_open(f, 1);
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        CASE(tenant_accepts_active_retired_destroyed),
        CASE(tenant_survives_a_restart_in_the_middle),
        CASE(tenant_rejects_the_second_of_two_administrators),
        CASE(tenant_rejects_old_ciphertext_after_its_key_was_destroyed),
        CASE(tenant_survives_a_put_that_is_overtaken),
        CASE(wrapping_accepts_active_retired_ending_gone),
        CASE_TPM(wrapping_accepts_active_retired_ending_gone),
        CASE(wrapping_survives_a_restart_at_every_step),
        CASE(wrapping_rejects_the_second_of_two_administrators),
        CASE(system_accepts_active_retired_destroyed),
        CASE(system_accepts_many_rotations),
        CASE(system_survives_a_restart_at_every_step),
        CASE(system_rejects_the_second_of_two_administrators),
        CASE(system_survives_a_writer_that_is_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
