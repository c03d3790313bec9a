// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/handover.h"
#include "libvault/audit/tile.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "tests/unit/check.h"

#define ORIGIN "log.example"

struct pair {
    struct jwk *jwk;
    struct note_key key;
};

static void pair_make(const char *name, struct pair *pair) {
    EVP_PKEY *pkey;
    uint8_t public_key[32];
    assert_ok(pkey_generate(PKEY_ED25519, &pkey));
    assert_ok(jwk_of_pkey(pkey, NULL, &pair->jwk));
    assert_ok(pkey_ed25519_public(pair->jwk->pkey, public_key));
    assert_ok(note_key_init(bytes_of_text(name), NOTE_ED25519, public_key, &pair->key));
}

static void pair_done(struct pair *pair) {
    note_key_done(&pair->key);
    jwk_free(pair->jwk);
}

// The text and one signature of it.
static void sign(const struct pair *by, struct buf *note) {
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t size;
    assert_ok(jws_sign_raw(by->jwk, buf_bytes(note), signature, &size));
    buf_put_byte(note, '\n');
    note_signature_put(note, by->key.name, by->key.id, bytes_of(signature, size));
    assert_false(buf_failed(note));
}

static void handover_make(const struct pair *from, const struct pair *to, struct buf *note) {
    buf_init(note, 4096);
    handover_put(&to->key, note);
    sign(from, note);
}

static void handover_accepts_its_own(void **state) {
    struct pair old, new;
    struct note_key successor;
    struct buf note;
    pair_make(ORIGIN, &old);
    pair_make(ORIGIN, &new);
    handover_make(&old, &new, &note);
    assert_ok(handover_open(buf_bytes(&note), &old.key, &successor));
    assert_memory_equal(successor.public_key, new.key.public_key, 32);
    assert_string_equal(successor.name, ORIGIN);
    note_key_done(&successor);
    buf_done(&note);
    pair_done(&old);
    pair_done(&new);
}

static void handover_rejects_other_signers_and_logs(void **state) {
    struct pair old, new, foreign;
    struct note_key successor;
    struct buf note;
    pair_make(ORIGIN, &old);
    pair_make(ORIGIN, &new);
    pair_make("other.example", &foreign);
    handover_make(&new, &old, &note); // signed by somebody else
    assert_int_equal(handover_open(buf_bytes(&note), &old.key, &successor).class, VLT_NOT_FOUND);
    buf_done(&note);
    handover_make(&old, &foreign, &note); // to the key of another log
    assert_int_equal(handover_open(buf_bytes(&note), &old.key, &successor).class, VLT_MALFORMED);
    buf_done(&note);
    buf_init(&note, 4096); // a checkpoint is no handover
    const struct checkpoint checkpoint = {.origin = ORIGIN, .size = 1};
    checkpoint_put(&checkpoint, &note);
    sign(&old, &note);
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
    pair_make(ORIGIN, &old);
    pair_make(ORIGIN, &new);
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
    pair_make(ORIGIN, &old);
    pair_make(ORIGIN, &new);
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

struct chain {
    char path[64];
    int folder;
    struct pair pairs[4];
};

static int remove_one(const char *path, const struct stat *is, int flag, struct FTW *walk) {
    return remove(path);
}

static void chain_begin(struct chain *chain) {
    strcpy(chain->path, "/tmp/vault-test-XXXXXX");
    assert_non_null(mkdtemp(chain->path));
    chain->folder = open(chain->path, O_RDONLY | O_DIRECTORY);
    assert_true(chain->folder >= 0);
    for (size_t i = 0; i < 4; i++)
        pair_make(ORIGIN, &chain->pairs[i]);
}

static void chain_end(struct chain *chain) {
    for (size_t i = 0; i < 4; i++)
        pair_done(&chain->pairs[i]);
    close(chain->folder);
    nftw(chain->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void hand_over(const struct chain *chain, size_t from, size_t to) {
    char path[HANDOVER_PATH_SIZE];
    struct buf note;
    handover_make(&chain->pairs[from], &chain->pairs[to], &note);
    handover_path(&chain->pairs[from].key, path);
    assert_ok(tile_file_write(chain->folder, path, buf_bytes(&note), false, NULL));
    buf_done(&note);
}

static void write_checkpoint(const struct chain *chain, size_t by) {
    const struct checkpoint checkpoint = {.origin = ORIGIN, .size = 7};
    struct buf note;
    buf_init(&note, 4096);
    checkpoint_put(&checkpoint, &note);
    sign(&chain->pairs[by], &note);
    assert_ok(tile_file_write(chain->folder, "checkpoint", buf_bytes(&note), false, NULL));
    buf_done(&note);
}

static vlt_result follow(const struct chain *chain, size_t from, struct note_key *key,
                         unsigned *ret_steps) {
    const struct note_key *first = &chain->pairs[from].key;
    assert_ok(note_key_init(bytes_of_text(ORIGIN), NOTE_ED25519, first->public_key, key));
    return handover_follow(chain->folder, key, NULL, ret_steps);
}

static void chain_accepts_the_way_to_the_key_of_today(void **state) {
    struct chain chain;
    struct note_key key;
    unsigned steps = 9;
    chain_begin(&chain);
    write_checkpoint(&chain, 2);
    hand_over(&chain, 0, 1);
    hand_over(&chain, 1, 2);
    assert_ok(follow(&chain, 2, &key, &steps));
    assert_int_equal(steps, 0);
    note_key_done(&key);
    assert_ok(follow(&chain, 0, &key, &steps));
    assert_int_equal(steps, 2);
    assert_memory_equal(key.public_key, chain.pairs[2].key.public_key, 32);
    note_key_done(&key);
    chain_end(&chain);
}

static void chain_rejects_a_gap_and_survives_a_ring(void **state) {
    struct chain chain;
    struct note_key key;
    unsigned steps = 9;
    chain_begin(&chain);
    write_checkpoint(&chain, 3);
    hand_over(&chain, 0, 1); // and nobody vouches for the last one
    assert_int_equal(follow(&chain, 0, &key, &steps).class, VLT_NOT_FOUND);
    assert_memory_equal(key.public_key, chain.pairs[0].key.public_key, 32);
    note_key_done(&key);
    hand_over(&chain, 1, 0);
    assert_int_equal(follow(&chain, 0, &key, &steps).class, VLT_NOT_FOUND);
    assert_int_equal(steps, 9);
    note_key_done(&key);
    chain_end(&chain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handover_accepts_its_own),
        cmocka_unit_test(handover_rejects_other_signers_and_logs),
        cmocka_unit_test(checkpoint_rejects_a_handover),
        cmocka_unit_test(handover_survives_every_changed_byte),
        cmocka_unit_test(chain_accepts_the_way_to_the_key_of_today),
        cmocka_unit_test(chain_rejects_a_gap_and_survives_a_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
