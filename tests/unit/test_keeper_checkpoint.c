// SPDX-License-Identifier: Apache-2.0
// The key that signs checkpoints of the audit log, and each edge of its rotation
// (docs/rotation.md). The test is the auditor: what the keeper answers goes
// through the auditor's own code and into a folder that is then verified.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/secret/secret.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/auditor/signed_note.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/rotate_key.h"
#include "vaultd/keeper/system_keys.h"

#define ORIGIN "log.example"

static struct keeper_fixture fixture;
static struct signed_note signed_note;
static uint64_t log_size; // of the one entry that the log has: it never grows

static int begin(void **state) {
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    signed_note_init(&signed_note);
    log_size = 0;
    *state = &fixture;
    return vlt_is_ok(fixture_init(&fixture)) ? 0 : 1;
}

static int end(void **state) {
    signed_note_done(&signed_note);
    keeper_fixture_end(*state);
    return 0;
}

// ---- Calls ----

struct outcome {
    bool is_done;
    vlt_result result;
};

static vlt_result rotate(struct keeper_fixture *f, unsigned mode, uint64_t expected_revision) {
    const struct ask_rotate ask = {.kind = ROTATION_CHECKPOINT,
                                   .mode = (uint8_t)mode,
                                   .expected_revision = expected_revision};
    return fixture_rotate(f, &ask, NULL);
}

static vlt_result destroy(struct keeper_fixture *f, const char *key) {
    return fixture_key_destroy(f, ROTATION_CHECKPOINT, STORE_SYSTEM_TENANT, key);
}

static void checkpoint_signed(vlt_result result, const struct answer_sign_checkpoint *answer,
                              void *context) {
    const struct checkpoint checkpoint = {.origin = ORIGIN, .size = 1};
    if (vlt_is_ok(result))
        result = signed_note_make(&signed_note, &checkpoint, answer);
    *(struct outcome *)context = (struct outcome){true, result};
}

// Signed by the keeper, made into files by the auditor's code.
static void sign(struct keeper_fixture *f) {
    struct outcome outcome = {.is_done = false};
    const struct ask_sign_checkpoint ask = {
        .origin = BYTES_LITERAL(ORIGIN), .size = 1, .old_size = log_size};
    ask_sign_checkpoint(f->mine[IPC_AUDITOR], &ask, checkpoint_signed, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    assert_ok(outcome.result);
    log_size = 1;
}

// The verifier key in that line of the file vkey.
static void vkey_line(unsigned line, struct note_key *ret_key) {
    struct bytes rest = buf_bytes(&signed_note.vkeys);
    for (; line > 0; line--)
        rest = bytes_from(rest, bytes_find(rest, '\n') + 1);
    assert_ok(note_key_parse(bytes_of(rest.at, bytes_find(rest, '\n')), ret_key));
}

static vlt_result is_signed_by(const struct note_key *key) {
    struct checkpoint got;
    return checkpoint_open(buf_bytes(&signed_note.note), key, &got);
}

static void active_kid(struct keeper_fixture *f, char kid[RECORD_KID_MAX + 1]) {
    memcpy(kid, f->keeper->keys->checkpoint->kid, RECORD_KID_MAX + 1);
}

// ---- Edges ----

static void rotation_accepts_both_keys_during_the_overlap(void **state) {
    struct keeper_fixture *f = *state;
    struct note_key old, new, successor;
    f->keeper->settings.checkpoint_overlap_s = 600;
    sign(f);
    assert_int_equal(signed_note.handover_count, 0);
    vkey_line(0, &old);
    assert_ok(rotate(f, ROTATION_RUN, 0));
    assert_string_equal(keeper_fixture_last_event(f)->operation, "rotate.checkpoint");
    sign(f);
    vkey_line(0, &new);
    assert_memory_not_equal(old.public_key, new.public_key, 32);
    assert_ok(is_signed_by(&old));
    assert_ok(is_signed_by(&new));
    assert_int_equal(signed_note.handover_count, 1);
    assert_ok(handover_open(buf_bytes(&signed_note.handovers[0].note), &old, &successor));
    assert_memory_equal(successor.public_key, new.public_key, 32);
    note_key_done(&old);
    note_key_done(&new);
    note_key_done(&successor);
}

static void rotation_ends_and_survives_a_restart(void **state) {
    struct keeper_fixture *f = *state;
    struct note_key old, new;
    f->keeper->settings.checkpoint_overlap_s = 600;
    sign(f);
    vkey_line(0, &old);
    assert_ok(rotate(f, ROTATION_RUN, 0));
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    sign(f);
    vkey_line(0, &new);
    assert_ok(is_signed_by(&old));
    assert_int_equal(f->keeper->keys->old_checkpoint_count, 1);
    // The overlap of a rotation is fixed when it begins; one of nothing ends at once.
    f->keeper->settings.checkpoint_overlap_s = 0;
    assert_ok(rotate(f, ROTATION_RUN, 0));
    rotate_key_tick(f->keeper);
    keeper_fixture_settle(f);
    assert_string_equal(keeper_fixture_last_event(f)->operation, "rotate.checkpoint.destroy");
    assert_int_equal(f->keeper->keys->old_checkpoint_count, 1); // the first still overlaps
    sign(f);
    assert_int_equal(is_signed_by(&new).class, VLT_NOT_FOUND);
    assert_ok(is_signed_by(&old));
    note_key_done(&old);
    note_key_done(&new);
}

static void destruction_rejects_what_is_needed(void **state) {
    struct keeper_fixture *f = *state;
    char first[RECORD_KID_MAX + 1], second[RECORD_KID_MAX + 1];
    f->keeper->settings.checkpoint_overlap_s = 600;
    active_kid(f, first);
    assert_int_equal(destroy(f, first).class, VLT_CONFLICT);
    assert_ok(rotate(f, ROTATION_RUN, 0));
    active_kid(f, second);
    assert_string_not_equal(first, second);
    assert_int_equal(destroy(f, first).class, VLT_CONFLICT);
    assert_int_equal(destroy(f, second).class, VLT_CONFLICT);
    assert_int_equal(destroy(f, "nobody").class, VLT_NOT_FOUND);
}

static void emergency_rejects_the_old_key_at_once(void **state) {
    struct keeper_fixture *f = *state;
    struct note_key old;
    uint64_t epoch = f->keeper->key_epoch;
    f->keeper->settings.checkpoint_overlap_s = 600;
    sign(f);
    vkey_line(0, &old);
    assert_ok(rotate(f, ROTATION_RUN, 0));
    assert_ok(rotate(f, ROTATION_EMERGENCY, 0));
    assert_int_equal(f->keeper->keys->old_checkpoint_count, 0);
    assert_int_equal(f->keeper->key_epoch, epoch); // no token ends for it
    sign(f);
    assert_int_equal(signed_note.handover_count, 0);
    assert_int_equal(is_signed_by(&old).class, VLT_NOT_FOUND);
    note_key_done(&old);
}

static void rotation_rejects_a_second_administrator(void **state) {
    struct keeper_fixture *f = *state;
    struct rotate_key_set set;
    f->keeper->settings.checkpoint_overlap_s = 600;
    assert_ok(rotate_key_set_snapshot(f->keeper, RECORD_KEY_CHECKPOINT, &set));
    uint64_t seen = set.active->revision;
    rotate_key_set_done(&set);
    assert_ok(rotate(f, ROTATION_RUN, seen));
    assert_int_equal(rotate(f, ROTATION_RUN, seen).class, VLT_CONFLICT);
}

static void rotation_rejects_more_keys_than_can_sign(void **state) {
    struct keeper_fixture *f = *state;
    int made = 0;
    f->keeper->settings.checkpoint_overlap_s = 600;
    while (made < 20 && vlt_is_ok(rotate(f, ROTATION_RUN, 0)))
        made++;
    assert_int_equal(made, SYSTEM_CHECKPOINTS_MAX);
    sign(f);
    assert_int_equal(signed_note.handover_count, SYSTEM_CHECKPOINTS_MAX);
}

static void age_accepts_a_rotation_by_itself(void **state) {
    struct keeper_fixture *f = *state;
    char before[RECORD_KID_MAX + 1], after[RECORD_KID_MAX + 1];
    active_kid(f, before);
    rotate_key_schedule(f->keeper, ROTATION_CHECKPOINT, 3600);
    keeper_fixture_settle(f);
    active_kid(f, after);
    assert_string_equal(before, after); // not old enough
    keeper_fixture_turn(f, 2100);
    rotate_key_schedule(f->keeper, ROTATION_CHECKPOINT, 1);
    keeper_fixture_settle(f);
    active_kid(f, after);
    assert_string_not_equal(before, after);
    assert_string_equal(keeper_fixture_last_event(f)->operation, "rotate.checkpoint.begin");
}

#define EDGE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        EDGE(rotation_accepts_both_keys_during_the_overlap),
        EDGE(rotation_ends_and_survives_a_restart),
        EDGE(destruction_rejects_what_is_needed),
        EDGE(emergency_rejects_the_old_key_at_once),
        EDGE(rotation_rejects_a_second_administrator),
        EDGE(rotation_rejects_more_keys_than_can_sign),
        EDGE(age_accepts_a_rotation_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
