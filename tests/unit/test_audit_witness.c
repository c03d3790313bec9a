// SPDX-License-Identifier: Apache-2.0
// What a witness answers (C2SP tlog-witness), from the empty log on.
#include "libvault/audit/witness.h"
#include "libvault/base/b64u.h"
#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/log_fixture.h"

#define ENTRIES 8
#define EMPTY_ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

struct log_key {
    struct jwk *signer;
    struct note_key key;
};

static struct merkle_hash roots[ENTRIES + 1], other_root;
static struct merkle_hash leaves[ENTRIES];
static struct log_key before, after, stranger, own; // the first two are of one log

static void make_key(const char *name, enum note_key_type type, struct log_key *made) {
    made_key(name, type, &made->signer, &made->key);
}

static int set_up(void **state) {
    struct merkle_range range;
    if (!vlt_is_ok(secret_heap_open(1 << 20, NULL)))
        return -1;
    merkle_range_init(&range);
    assert_ok(merkle_range_root(&range, &roots[0]));
    for (size_t i = 0; i < ENTRIES; i++) {
        assert_ok(merkle_leaf(bytes_of((const uint8_t *)&i, sizeof i), &leaves[i]));
        assert_ok(merkle_range_add(&range, &leaves[i]));
        assert_ok(merkle_range_root(&range, &roots[i + 1]));
    }
    assert_ok(merkle_leaf(BYTES_LITERAL("another"), &other_root));
    make_key("log.example", NOTE_ED25519, &before);
    make_key("log.example", NOTE_ED25519, &after);
    make_key("stranger.example", NOTE_ED25519, &stranger);
    make_key("witness.example", NOTE_COSIGNATURE, &own);
    return 0;
}

static int tear_down(void **state) {
    struct log_key *const all[] = {&before, &after, &stranger, &own};
    for (size_t i = 0; i < 4; i++) {
        note_key_done(&all[i]->key);
        jwk_free(all[i]->signer);
    }
    return 0;
}

// ---- One witness in a folder of its own ----

struct fixture {
    struct witness witness;
    struct buf answer;
};

static void begin(struct fixture *f) {
    assert_int_equal(folder_make(NULL), 0);
    *f = (struct fixture){.witness.folder = folder};
    f->witness.logs[0] = before.key;
    f->witness.logs[1] = stranger.key;
    f->witness.logs[2] = after.key;
    f->witness.log_count = 3;
    f->witness.key = own.key;
    f->witness.signer = own.signer;
    buf_init(&f->answer, 4096);
}

static void end(struct fixture *f) {
    assert_int_equal(folder_drop(NULL), 0);
    buf_done(&f->answer);
}

static void put_signature(struct buf *body, struct bytes text, const struct log_key *by) {
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t size;
    assert_ok(jws_sign_raw(by->signer, text, signature, &size));
    note_signature_put(body, by->key.name, by->key.id, bytes_of(signature, size));
}

static vlt_result read_leaf(unsigned level, uint64_t index, void *context,
                            struct merkle_hash *ret_hash) {
    struct merkle_hash right;
    if (level == 0) {
        *ret_hash = leaves[index];
        return vlt_ok();
    }
    VLT_TRY(read_leaf(level - 1, 2 * index, context, ret_hash));
    VLT_TRY(read_leaf(level - 1, 2 * index + 1, context, &right));
    return merkle_node(ret_hash, &right, ret_hash);
}

struct asked {
    const char *origin; // NULL: log.example
    uint64_t old_size, size;
    const struct merkle_hash *root; // NULL: the right one
    const struct log_key *by, *and_by; // NULL: `before`, nobody
    bool proves_nothing, proves_too_much;
};

static unsigned add(struct fixture *f, const struct asked *asked) {
    struct buf body, text;
    struct merkle_proof proof = {.count = 0};
    struct checkpoint next = {.size = asked->size,
                              .root = asked->root ? *asked->root : roots[asked->size]};
    const struct merkle_source source = {read_leaf, NULL};
    snprintf(next.origin, sizeof next.origin, "%s", asked->origin ? asked->origin : "log.example");
    buf_init(&body, 16384);
    buf_init(&text, 4096);
    if (asked->old_size <= asked->size && !asked->proves_nothing)
        assert_ok(merkle_consistency_prove(&source, asked->old_size, asked->size, &proof));
    if (asked->proves_too_much)
        proof.hashes[proof.count++] = other_root;
    buf_put_format(&body, "old %llu\n", (unsigned long long)asked->old_size);
    for (size_t i = 0; i < proof.count; i++) {
        b64_encode(bytes_of(proof.hashes[i].at, MERKLE_HASH_SIZE), &body);
        buf_put_byte(&body, '\n');
    }
    checkpoint_put(&next, &text);
    buf_put_byte(&body, '\n');
    buf_put(&body, buf_bytes(&text));
    buf_put_byte(&body, '\n');
    put_signature(&body, buf_bytes(&text), asked->by ? asked->by : &before);
    if (asked->and_by)
        put_signature(&body, buf_bytes(&text), asked->and_by);
    unsigned status = witness_add_checkpoint(&f->witness, buf_bytes(&body), 1700000000, &f->answer);
    if (status == 200) { // the line makes the checkpoint a cosigned one
        struct note note;
        buf_put_byte(&text, '\n');
        buf_put(&text, buf_bytes(&f->answer));
        assert_ok(note_parse(buf_bytes(&text), &note));
        assert_ok(note_verify(&note, &own.key, 1, NULL));
        assert_int_equal(note_cosigned_at(&note, &own.key), 1700000000);
        note_done(&note);
    }
    buf_done(&body);
    buf_done(&text);
    return status;
}

#define ADD(f, ...) add(f, &(struct asked){__VA_ARGS__})

// ---- Tests ----

static void growth_is_cosigned_and_nothing_else(void **state) {
    struct fixture f;
    begin(&f);
    assert_int_equal(ADD(&f, .old_size = 0, .size = 3), 200);
    assert_int_equal(ADD(&f, .old_size = 3, .size = 3), 200);
    assert_int_equal(ADD(&f, .old_size = 3, .size = 7), 200);
    assert_int_equal(ADD(&f, .old_size = 3, .size = 8), 409);
    assert_true(bytes_equal_text(buf_bytes(&f.answer), "7\n"));
    assert_int_equal(ADD(&f, .old_size = 8, .size = 7), 400);
    assert_int_equal(ADD(&f, .old_size = 0, .size = 3), 409);
    assert_int_equal(ADD(&f, .old_size = 7, .size = 8, .proves_nothing = true), 422);
    assert_int_equal(ADD(&f, .old_size = 7, .size = 8, .proves_too_much = true), 422);
    assert_int_equal(ADD(&f, .old_size = 7, .size = 8, .root = &other_root), 422);
    // Another tree of the same size: nothing that is mended by another old size (409).
    assert_int_equal(ADD(&f, .old_size = 7, .size = 7, .root = &other_root), 422);
    assert_int_equal(ADD(&f, .old_size = 7, .size = 7, .proves_too_much = true), 422);
    assert_int_equal(ADD(&f, .old_size = 7, .size = 8), 200);
    end(&f);
}

static void empty_log_has_one_root(void **state) {
    struct fixture f;
    uint8_t root[MERKLE_HASH_SIZE + 1];
    size_t size;
    begin(&f);
    assert_ok(b64_decode(BYTES_LITERAL(EMPTY_ROOT), root, sizeof root, &size));
    assert_true(bytes_equal(bytes_of(root, size), bytes_of(roots[0].at, MERKLE_HASH_SIZE)));
    assert_int_equal(ADD(&f, .size = 0, .root = &other_root), 422);
    assert_int_equal(ADD(&f, .size = 0, .proves_too_much = true), 422);
    assert_int_equal(ADD(&f, .size = 0), 200);
    assert_int_equal(ADD(&f, .size = 0), 200);
    assert_int_equal(ADD(&f, .size = 5, .proves_too_much = true), 422);
    assert_int_equal(ADD(&f, .size = 5), 200);
    end(&f);
}

static void either_key_of_a_log_counts(void **state) {
    struct fixture f;
    begin(&f);
    assert_int_equal(ADD(&f, .size = 1), 200);
    assert_int_equal(ADD(&f, .old_size = 1, .size = 2, .and_by = &after), 200);
    assert_int_equal(ADD(&f, .old_size = 2, .size = 3, .by = &after), 200);
    end(&f);
}

static void other_signers_are_refused(void **state) {
    struct fixture f;
    struct log_key unknown, forger = stranger;
    begin(&f);
    make_key("log.example", NOTE_ED25519, &unknown);
    forger.key = before.key; // says that it is the log, and signs with another key
    assert_int_equal(ADD(&f, .size = 1, .by = &stranger), 403);
    assert_int_equal(ADD(&f, .size = 1, .by = &unknown), 403);
    assert_int_equal(ADD(&f, .size = 1, .by = &forger), 403);
    assert_int_equal(ADD(&f, .size = 1, .by = &after, .and_by = &forger), 403);
    assert_int_equal(ADD(&f, .size = 1, .and_by = &forger), 200); // counted once, by the first
    assert_int_equal(ADD(&f, .size = 1, .origin = "unknown.example"), 404);
    assert_int_equal(ADD(&f, .size = 1, .origin = "stranger.example"), 403);
    // Each log by itself; unknown signers are ignored, whatever they are called.
    assert_int_equal(ADD(&f, .size = 1, .origin = "stranger.example", .by = &stranger,
                         .and_by = &unknown),
                     200);
    note_key_done(&unknown.key);
    jwk_free(unknown.signer);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growth_is_cosigned_and_nothing_else),
        cmocka_unit_test(empty_log_has_one_root),
        cmocka_unit_test(either_key_of_a_log_counts),
        cmocka_unit_test(other_signers_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
