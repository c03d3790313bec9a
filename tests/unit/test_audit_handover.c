// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/handover.h"
#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/log_fixture.h"

struct pair {
    struct jwk *jwk;
    struct note_key key;
};

static void pair_make(const char *name, struct pair *pair) {
    made_key(name, NOTE_ED25519, &pair->jwk, &pair->key);
}

static void pair_done(struct pair *pair) {
    note_key_done(&pair->key);
    jwk_free(pair->jwk);
}

static void handover_make(const struct pair *from, const struct pair *to, struct buf *note) {
    buf_init(note, 4096);
    handover_put(&to->key, note);
    made_sign(from->jwk, &from->key, note);
}

static void handover_accepts_its_own(void **state) {
    struct pair old, new;
    struct note_key successor;
    struct buf note;
    pair_make(MADE_ORIGIN, &old);
    pair_make(MADE_ORIGIN, &new);
    handover_make(&old, &new, &note);
    assert_ok(handover_open(buf_bytes(&note), &old.key, &successor));
    assert_memory_equal(successor.public_key, new.key.public_key, 32);
    assert_string_equal(successor.name, MADE_ORIGIN);
    note_key_done(&successor);
    buf_done(&note);
    pair_done(&old);
    pair_done(&new);
}

static void handover_rejects_other_signers_and_logs(void **state) {
    struct pair old, new, foreign;
    struct note_key successor;
    struct buf note;
    pair_make(MADE_ORIGIN, &old);
    pair_make(MADE_ORIGIN, &new);
    pair_make("other.example", &foreign);
    handover_make(&new, &old, &note); // signed by somebody else
    assert_int_equal(handover_open(buf_bytes(&note), &old.key, &successor).class, VLT_NOT_FOUND);
    buf_done(&note);
    handover_make(&old, &foreign, &note); // to the key of another log
    assert_int_equal(handover_open(buf_bytes(&note), &old.key, &successor).class, VLT_MALFORMED);
    buf_done(&note);
    buf_init(&note, 4096); // a checkpoint is no handover
    const struct checkpoint checkpoint = {.origin = MADE_ORIGIN, .size = 1};
    checkpoint_put(&checkpoint, &note);
    made_sign(old.jwk, &old.key, &note);
    assert_int_equal(handover_open(buf_bytes(&note), &old.key, &successor).class, VLT_MALFORMED);
    buf_done(&note);
    pair_done(&old);
    pair_done(&new);
    pair_done(&foreign);
}

// And a handover is no checkpoint.
static void checkpoint_rejects_a_handover(void **state) {
    struct pair old, new;
    struct checkpoint got;
    struct buf note;
    pair_make(MADE_ORIGIN, &old);
    pair_make(MADE_ORIGIN, &new);
    handover_make(&old, &new, &note);
    assert_false(vlt_is_ok(checkpoint_open(buf_bytes(&note), &old.key, &got)));
    buf_done(&note);
    pair_done(&old);
    pair_done(&new);
}

static void handover_survives_every_changed_byte(void **state) {
    struct pair old, new;
    struct note_key successor;
    struct buf note;
    pair_make(MADE_ORIGIN, &old);
    pair_make(MADE_ORIGIN, &new);
    handover_make(&old, &new, &note);
    for (size_t i = 0; i < note.size; i++) {
        note.at[i] ^= 1;
        assert_false(vlt_is_ok(handover_open(buf_bytes(&note), &old.key, &successor)));
        note.at[i] ^= 1;
        assert_false(vlt_is_ok(handover_open(bytes_of(note.at, i), &old.key, &successor)));
    }
    buf_put_byte(&note, 'x');
    assert_false(vlt_is_ok(handover_open(buf_bytes(&note), &old.key, &successor)));
    buf_done(&note);
    pair_done(&old);
    pair_done(&new);
}

// ---- A chain in a folder ----

static struct pair chain[4];

static int chain_begin(void **state) {
    for (size_t i = 0; i < 4; i++)
        pair_make(MADE_ORIGIN, &chain[i]);
    return folder_make(state);
}

static int chain_end(void **state) {
    for (size_t i = 0; i < 4; i++)
        pair_done(&chain[i]);
    return folder_drop(state);
}

static void hand_over(size_t from, size_t to) {
    char path[HANDOVER_PATH_SIZE];
    struct buf note;
    handover_make(&chain[from], &chain[to], &note);
    handover_path(&chain[from].key, path);
    made_put(folder, path, buf_bytes(&note));
    buf_done(&note);
}

static void write_checkpoint(size_t by) {
    const struct checkpoint checkpoint = {.origin = MADE_ORIGIN, .size = 7};
    made_checkpoint(folder, &checkpoint, chain[by].jwk, &chain[by].key);
}

static vlt_result follow(size_t from, struct note_key *key, unsigned *ret_steps) {
    const struct note_key *first = &chain[from].key;
    assert_ok(note_key_init(bytes_of_text(MADE_ORIGIN), NOTE_ED25519, first->public_key, key));
    return handover_follow(folder, key, NULL, ret_steps);
}

static void chain_accepts_the_way_to_the_key_of_today(void **state) {
    struct note_key key;
    unsigned steps = 9;
    write_checkpoint(2);
    hand_over(0, 1);
    hand_over(1, 2);
    assert_ok(follow(2, &key, &steps));
    assert_int_equal(steps, 0);
    note_key_done(&key);
    assert_ok(follow(0, &key, &steps));
    assert_int_equal(steps, 2);
    assert_memory_equal(key.public_key, chain[2].key.public_key, 32);
    note_key_done(&key);
}

static void chain_rejects_a_gap_and_survives_a_ring(void **state) {
    struct note_key key;
    unsigned steps = 9;
    write_checkpoint(3);
    hand_over(0, 1); // and nobody vouches for the last one
    assert_int_equal(follow(0, &key, &steps).class, VLT_NOT_FOUND);
    assert_memory_equal(key.public_key, chain[0].key.public_key, 32);
    note_key_done(&key);
    hand_over(1, 0);
    assert_int_equal(follow(0, &key, &steps).class, VLT_NOT_FOUND);
    assert_int_equal(steps, 9);
    note_key_done(&key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handover_accepts_its_own),
        cmocka_unit_test(handover_rejects_other_signers_and_logs),
        cmocka_unit_test(checkpoint_rejects_a_handover),
        cmocka_unit_test(handover_survives_every_changed_byte),
        cmocka_unit_test_setup_teardown(chain_accepts_the_way_to_the_key_of_today, chain_begin,
                                        chain_end),
        cmocka_unit_test_setup_teardown(chain_rejects_a_gap_and_survives_a_ring, chain_begin,
                                        chain_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
