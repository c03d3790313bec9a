// SPDX-License-Identifier: Apache-2.0
// Rotation of signing and intake keys, versions of a credential, and what becomes due
// by age. Device and store are real. What records are encrypted with is in
// test_keeper_rotation_data.c; test_keeper_rotation_edges.c walks docs/rotation.md.
#include "tests/unit/rotation_case.h"

// ---- Signing keys ----

static void signing_accepts_next_active_retired_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer before, after;
    struct opened_answer opened;
    char first[65], next[65], now[65];
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &before);
    key_of(f, ROTATION_SIGNING, "active", first);
    f->keeper->settings.publication_s = 600;
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0));
    is_in_state(f, ROTATION_SIGNING, "published");
    key_of(f, ROTATION_SIGNING, "next", next);
    tick(f); // published for too short a time: nothing signs with it
    assert_string_equal(f->keeper->keys->signing->kid, first);
    assert_int_equal(f->keeper->keys->token_keys->count, 2);
    f->keeper->settings.publication_s = 0;
    tick(f);
    is_in_state(f, ROTATION_SIGNING, "overlapping");
    key_of(f, ROTATION_SIGNING, "active", now);
    assert_string_equal(now, next);
    assert_string_equal(f->keeper->keys->signing->kid, next);
    assert_ok(open_with(f, before.token, "openai", &opened)); // of the retired key
    sign(f, "openai", &after);
    keeper_fixture_restart(f);
    assert_ok(open_with(f, before.token, "openai", &opened));
    assert_ok(open_with(f, after.token, "openai", &opened));
    // Tokens are out; in use.
    assert_class(fixture_key_destroy(f, ROTATION_SIGNING, 0, first), VLT_CONFLICT);
    assert_class(fixture_key_destroy(f, ROTATION_SIGNING, 0, next), VLT_CONFLICT);
    assert_class(fixture_key_destroy(f, ROTATION_SIGNING, 0, "no such key"), VLT_NOT_FOUND);
}

static void signing_accepts_the_end_of_a_retired_key(void **state) {
    struct keeper_fixture *f = *state;
    char first[65];
    struct signed_answer token;
    struct opened_answer opened;
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &token);
    key_of(f, ROTATION_SIGNING, "active", first);
    uint32_t lifetime_s = f->keeper->settings.token_max_lifetime_s;
    f->keeper->settings.token_max_lifetime_s = 0; // no token can be out
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0));
    tick(f);
    tick(f);
    f->keeper->settings.token_max_lifetime_s = lifetime_s;
    is_in_state(f, ROTATION_SIGNING, "steady");
    assert_class(fixture_key_destroy(f, ROTATION_SIGNING, 0, first), VLT_NOT_FOUND);
    assert_int_equal(f->keeper->keys->token_keys->count, 1);
    assert_false(vlt_is_ok(open_with(f, token.token, "openai", &opened)));
    opens_as(f, "openai", "sk-1");
}

static void signing_accepts_a_next_key_that_is_given_up(void **state) {
    struct keeper_fixture *f = *state;
    char next[65];
    f->keeper->settings.publication_s = 600;
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0));
    key_of(f, ROTATION_SIGNING, "next", next);
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0)); // the same command goes on
    assert_ok(fixture_key_destroy(f, ROTATION_SIGNING, 0, next));
    is_in_state(f, ROTATION_SIGNING, "steady");
    assert_int_equal(f->keeper->keys->token_keys->count, 1);
}

static void signing_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_SIGNING, .mode = ROTATION_RUN};
    f->keeper->settings.publication_s = 600;
    ask.expected_revision = revision_of(f, ROTATION_SIGNING);
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.event = fixture_event("rotate");
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    assert_class(fixture_rotate(f, &ask, NULL), VLT_CONFLICT); // and a later third
}

static void emergency_rejects_every_older_token(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    char first[65], now[65];
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &token);
    assert_ok(open_with(f, token.token, "openai", &opened)); // seen
    key_of(f, ROTATION_SIGNING, "active", first);
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_EMERGENCY, 0));
    assert_class(open_with(f, token.token, "openai", &opened), VLT_CRYPTO); // unknown key
    key_of(f, ROTATION_SIGNING, "active", now);
    assert_string_not_equal(first, now);
    is_in_state(f, ROTATION_SIGNING, "steady");
    opens_as(f, "openai", "sk-1");
    keeper_fixture_restart(f);
    assert_class(open_with(f, token.token, "openai", &opened), VLT_CRYPTO);
}

static void note_opened(vlt_result result, const struct answer_open *answer, void *context) {
    *(struct outcome *)context = (struct outcome){true, result};
}

static void emergency_rejects_what_waits_for_its_record(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct ask_open ask;
    struct outcome opened = {.is_done = false}, changed = {.is_done = false};
    struct ask_rotate now = {.kind = ROTATION_SIGNING, .mode = ROTATION_EMERGENCY};
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &token);
    fixture_open_request(&ask, token.token, "openai", 0x11);
    f->auditor = AUDITOR_WAITS;
    ask_open(f->mine[IPC_REDEEMER], &ask, note_opened, &opened);
    while (f->waiting_count < 1)
        keeper_fixture_turn(f, 5);
    struct ipc_call *held = f->waiting[0];
    f->waiting_count = 0;
    now.event = fixture_event("rotate");
    ask_rotate(f->mine[IPC_ADMIN], &now, rotated, &changed);
    while (f->waiting_count < 1)
        keeper_fixture_turn(f, 5);
    keeper_fixture_release_records(f);
    f->auditor = AUDITOR_WRITES;
    keeper_fixture_wait(f, &changed.is_done);
    assert_ok(changed.result);
    struct answer_record answer = {.sequence = 1};
    reply_record(held, vlt_ok(), &answer);
    keeper_fixture_wait(f, &opened.is_done);
    assert_int_equal(opened.result.class, VLT_DENIED);
}

// ---- Intake keys ----

static void intake_accepts_values_for_the_old_key(void **state) {
    struct keeper_fixture *f = *state;
    char first[65], second[65];
    EVP_PKEY *pkey;
    key_of(f, ROTATION_INTAKE, "active", first);
    f->keeper->settings.intake_overlap_s = 600;
    assert_ok(rotate(f, ROTATION_INTAKE, ROTATION_RUN, 0));
    is_in_state(f, ROTATION_INTAKE, "overlapping");
    key_of(f, ROTATION_INTAKE, "active", second);
    assert_string_not_equal(first, second);
    assert_ok(system_keys_intake(f->keeper->keys, bytes_of_text(first), &pkey));
    assert_ok(system_keys_intake(f->keeper->keys, bytes_of_text(second), &pkey));
    put(f, 1, "openai", "sk-1", false, 0); // sealed to whichever is listed first
    assert_class(fixture_key_destroy(f, ROTATION_INTAKE, 0, first), VLT_CONFLICT);
    assert_class(fixture_key_destroy(f, ROTATION_INTAKE, 0, second), VLT_CONFLICT);
    assert_ok(rotate(f, ROTATION_INTAKE, ROTATION_EMERGENCY, 0));
    assert_class(system_keys_intake(f->keeper->keys, bytes_of_text(first), &pkey), VLT_NOT_FOUND);
    assert_class(system_keys_intake(f->keeper->keys, bytes_of_text(second), &pkey), VLT_NOT_FOUND);
    put(f, 1, "other", "sk-2", false, 0);
}

static void intake_rejects_more_keys_than_can_be_loaded(void **state) {
    struct keeper_fixture *f = *state;
    f->keeper->settings.intake_overlap_s = 600;
    int made = 0;
    while (made < 20 && vlt_is_ok(rotate(f, ROTATION_INTAKE, ROTATION_RUN, 0)))
        made++;
    assert_int_equal(made, SYSTEM_INTAKE_MAX - 1);
    keeper_fixture_restart(f); // and all of them can be
    put(f, 1, "openai", "sk-1", false, 0);
}

// ---- Versions of a credential ----

static void rollback_accepts_the_previous_value(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t version = 0;
    put(f, 1, "openai", "sk-1", false, 0);
    assert_class(fixture_rollback(f, "openai", &version), VLT_CONFLICT); // nothing to go back to
    assert_class(fixture_rollback(f, "nobody", &version), VLT_NOT_FOUND);
    put(f, 1, "openai", "sk-2", true, 300);
    opens_as(f, "openai", "sk-2");
    assert_ok(fixture_rollback(f, "openai", &version));
    assert_int_equal(version, 3); // numbers only grow
    opens_as(f, "openai", "sk-1");
    assert_ok(fixture_rollback(f, "openai", &version)); // and forward again
    assert_int_equal(version, 4);
    opens_as(f, "openai", "sk-2");
    put(f, 1, "openai", "sk-3", true, 0); // no grace: the previous one is gone
    assert_class(fixture_rollback(f, "openai", &version), VLT_CONFLICT);
    keeper_fixture_restart(f);
    opens_as(f, "openai", "sk-3");
}

static void rollback_accepts_a_value_under_a_retired_data_key(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t version = 0, seen[8];
    put(f, 1, "openai", "sk-1", false, 0);
    put(f, 1, "openai", "sk-2", true, 300);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    assert_ok(fixture_rollback(f, "openai", &version));
    wait_steady(f, ROTATION_TENANT, 1);
    opens_as(f, "openai", "sk-1");
    count_numbers(f, seen);
    assert_int_equal(seen[1], 0);
}

// ---- By age ----

static void schedule_accepts_keys_that_are_old_enough(void **state) {
    struct keeper_fixture *f = *state;
    char before[5][65], after[5][65];
    static const unsigned kinds[] = {ROTATION_SIGNING, ROTATION_INTAKE, ROTATION_TENANT,
                                     ROTATION_WRAPPING, ROTATION_SYSTEM};
    fill(f, 0, 2);
    for (size_t i = 0; i < 5; i++)
        key_of(f, kinds[i], "active", before[i]);
    struct keeper_settings *settings = &f->keeper->settings;
    settings->signing_age_s = settings->intake_age_s = settings->tenant_age_s =
        settings->wrapping_age_s = settings->system_age_s = 3600;
    settings->intake_overlap_s = 600;
    for (int i = 0; i < 12; i++)
        tick(f);
    for (size_t i = 0; i < 5; i++) { // all are young
        key_of(f, kinds[i], "active", after[i]);
        assert_string_equal(before[i], after[i]);
    }
    keeper_fixture_turn(f, 1100);
    settings->signing_age_s = settings->intake_age_s = settings->tenant_age_s =
        settings->wrapping_age_s = settings->system_age_s = 1;
    size_t changed = 0;
    for (int i = 0; i < 150 && changed < 5; i++) {
        tick(f);
        for (changed = 0; changed < 5; changed++) {
            key_of(f, kinds[changed], "active", after[changed]);
            if (strcmp(before[changed], after[changed]) == 0)
                break;
        }
    }
    assert_int_equal(changed, 5);
    settings->signing_age_s = settings->intake_age_s = settings->tenant_age_s =
        settings->wrapping_age_s = settings->system_age_s = 0;
    all_open(f, 2);
}

static void age_accepts_a_tenth_earlier_and_never_later(void **state) {
    struct keeper_fixture *f = *state;
    int64_t now_s = clock_now_s();
    unsigned early = 0;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        assert_true(key_age_is_due(f->keeper, ROTATION_SIGNING, "k", now_s - 1000, 1000, seed));
        assert_false(key_age_is_due(f->keeper, ROTATION_SIGNING, "k", now_s - 890, 1000, seed));
        early += key_age_is_due(f->keeper, ROTATION_SIGNING, "k", now_s - 950, 1000, seed);
    }
    assert_in_range(early, 400, 600);                           // spread evenly
    assert_false(key_age_is_due(f->keeper, ROTATION_SIGNING, "k", 1, 0, 1)); // by hand only
}

static size_t said(const struct keeper_fixture *f, const char *operation) {
    size_t count = 0;
    for (size_t i = 0; i < f->event_count; i++)
        count += strcmp(f->events[i].operation, operation) == 0;
    return count;
}

static bool status_names(struct keeper_fixture *f, const char *list, const char *kind) {
    json_t *json = key_age_json(f->keeper);
    const json_t *kinds = json_object_get(json, list);
    bool is_named = json_array_size(kinds) == 1 &&
                    strcmp(json_string_value(json_array_get(kinds, 0)), kind) == 0;
    json_decref(json);
    return is_named;
}

static void age_accepts_and_says_what_is_late(void **state) {
    struct keeper_fixture *f = *state;
    int64_t now_s = clock_now_s();
    assert_true(key_age_is_due(f->keeper, ROTATION_INTAKE, "k", now_s - 100020, 100000, 1));
    keeper_fixture_settle(f);
    assert_false(status_names(f, "due", "intake")); // in time: nothing to be said
    for (int i = 0; i < 3; i++)                     // said once
        assert_true(key_age_is_due(f->keeper, ROTATION_INTAKE, "k", now_s - 103000, 100000, 1));
    keeper_fixture_turn(f, 50);
    assert_int_equal(said(f, "rotate.intake.due"), 1);
    assert_true(status_names(f, "due", "intake"));
    for (int i = 0; i < 3; i++) // and again when it is worse
        assert_true(key_age_is_due(f->keeper, ROTATION_INTAKE, "k", now_s - 111000, 100000, 1));
    keeper_fixture_turn(f, 50);
    assert_int_equal(said(f, "rotate.intake.overdue"), 1);
    assert_int_equal(said(f, "rotate.intake.due"), 1);
    assert_true(status_names(f, "overdue", "intake"));
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        CASE(signing_accepts_next_active_retired_destroyed),
        CASE(signing_accepts_the_end_of_a_retired_key),
        CASE(signing_accepts_a_next_key_that_is_given_up),
        CASE(signing_rejects_the_second_of_two_administrators),
        CASE(emergency_rejects_every_older_token),
        CASE(emergency_rejects_what_waits_for_its_record),
        CASE(intake_accepts_values_for_the_old_key),
        CASE(intake_rejects_more_keys_than_can_be_loaded),
        CASE(rollback_accepts_the_previous_value),
        CASE(rollback_accepts_a_value_under_a_retired_data_key),
        CASE(schedule_accepts_keys_that_are_old_enough),
        CASE(age_accepts_a_tenth_earlier_and_never_later),
        CASE(age_accepts_and_says_what_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
