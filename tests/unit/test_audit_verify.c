// SPDX-License-Identifier: Apache-2.0
// log_verify over a log of 600 entries in files: what was signed passes, and no file can be
// changed by a byte. (Without its first entries: test_audit_pruned.c.)
#include "libvault/audit/log_verify.h"
#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/log_fixture.h"

#define ENTRIES 600

static struct note_key key;
static struct jwk *signer;

static void put(const char *file, struct bytes content) { made_put(folder, file, content); }

static int make_log(void **state) {
    assert_int_equal(folder_make(state), 0);
    made_key(MADE_ORIGIN, NOTE_ED25519, &signer, &key);
    const struct checkpoint checkpoint = made_log(folder, ENTRIES, NULL);
    made_checkpoint(folder, &checkpoint, signer, &key);
    return 0;
}

static int drop_log(void **state) {
    note_key_done(&key);
    jwk_free(signer);
    return folder_drop(state);
}

static vlt_result verify(struct log_verify what, struct fault *fault,
                         struct log_verified *ret_verified) {
    what.folder = folder;
    what.key = &key;
    return log_verify(&what, fault, ret_verified);
}

static void verify_accepts_a_log(void **state) {
    struct log_verified verified = {.unread = 1};
    assert_ok(verify((struct log_verify){0}, NULL, &verified));
    assert_int_equal(verified.checkpoint.size, ENTRIES);
    assert_int_equal(verified.unread, 0);
}

// Each file, each of its bytes (of large ones, some), cut, and with a byte more.
static void verify_rejects_each_changed_file(void **state) {
    static const char *const files[] = {
        "checkpoint", "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88",
        "tile/0/000", "tile/0/001",       "tile/0/002.p/88",  "tile/1/000.p/2"};
    struct log_verified verified;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct buf good;
        buf_init(&good, TILE_BUNDLE_MAX);
        assert_ok(tile_file_read(folder, files[f], TILE_BUNDLE_MAX, NULL, &good));
        for (size_t at = 0; at < good.size; at += good.size > 512 ? 29 : 1) {
            good.at[at] ^= (uint8_t)(1u << at % 8);
            put(files[f], buf_bytes(&good));
            if (vlt_is_ok(verify((struct log_verify){0}, NULL, &verified)))
                fail_msg("%s with another byte %zu", files[f], at);
            good.at[at] ^= (uint8_t)(1u << at % 8);
        }
        for (size_t cut = 1; cut <= 3; cut++) {
            put(files[f], bytes_of(good.at, good.size - cut));
            assert_false(vlt_is_ok(verify((struct log_verify){0}, NULL, &verified)));
        }
        static const char *const tails[] = {"\n", "x", "\0\2{}", "\0\0\0"};
        for (size_t i = 0; i < 4; i++) {
            size_t size = good.size;
            buf_put(&good, bytes_of(tails[i], i < 2 ? 1 : i == 2 ? 4 : 3));
            put(files[f], buf_bytes(&good));
            if (vlt_is_ok(verify((struct log_verify){0}, NULL, &verified)))
                fail_msg("%s with tail %zu", files[f], i);
            good.size = size;
        }
        put(files[f], buf_bytes(&good));
        assert_ok(verify((struct log_verify){0}, NULL, &verified));
        buf_done(&good);
    }
}

// A full file may stand in for a partial one; it must then be full.
static void verify_rejects_a_stand_in_that_is_not_full(void **state) {
    struct log_verified verified;
    struct fault fault = {0};
    assert_int_equal(renameat(folder, "tile/0/002.p/88", folder, "tile/0/002"), 0);
    assert_int_equal(verify((struct log_verify){0}, &fault, &verified).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "tile/0/002 "));
    assert_int_equal(renameat(folder, "tile/0/002", folder, "tile/0/002.p/88"), 0);
    assert_ok(verify((struct log_verify){0}, &fault, &verified));
}

// The parts of a log are the log: each change is found in one of them.
static void verify_accepts_and_rejects_by_parts(void **state) {
    static const char *const files[] = {"tile/entries/000", "tile/entries/002.p/88", "tile/0/001",
                                        "tile/0/002.p/88", "tile/1/000.p/2"};
    struct log_verified verified;
    assert_ok(verify((struct log_verify){0}, NULL, &verified));
    for (size_t f = 0; f <= sizeof files / sizeof *files; f++) {
        unsigned good = 0;
        const char *file = f ? files[f - 1] : NULL;
        if (file)
            assert_int_equal(renameat(folder, file, folder, "away"), 0);
        for (uint64_t bundle = 0; bundle < 3; bundle++)
            good += vlt_is_ok(log_verify_part(folder, &verified.checkpoint, bundle, 1, NULL));
        if (file)
            assert_int_equal(renameat(folder, "away", folder, file), 0);
        assert_true(file ? good < 3 : good == 3);
    }
    assert_ok(log_verify_part(folder, &verified.checkpoint, 1, 100, NULL));
    assert_int_equal(log_verify_part(folder, &verified.checkpoint, 3, 1, NULL).class, VLT_LIMIT);
    verified.checkpoint.root.at[0] ^= 1; // the root comes with the last part
    assert_ok(log_verify_part(folder, &verified.checkpoint, 0, 2, NULL));
    assert_int_equal(log_verify_part(folder, &verified.checkpoint, 2, 1, NULL).class, VLT_CRYPTO);
}

// Somebody else's folder may hold anything: what never ends or never begins is no file.
static void verify_rejects_what_is_no_file(void **state) {
    static const char odd[] = "tile/entries/001";
    struct log_verified verified;
    struct fault fault = {0};
    assert_int_equal(renameat(folder, odd, folder, "good"), 0);
    alarm(10); // opening it must not wait for a writer
    assert_int_equal(mkfifoat(folder, odd, 0600), 0);
    assert_int_equal(verify((struct log_verify){0}, &fault, &verified).class, VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, odd));
    alarm(0);
    assert_int_equal(unlinkat(folder, odd, 0), 0);
    assert_int_equal(symlinkat("/dev/zero", folder, odd), 0);
    assert_int_equal(verify((struct log_verify){0}, NULL, &verified).class, VLT_UNAVAILABLE);
    assert_int_equal(renameat(folder, "good", folder, odd), 0);
    assert_ok(verify((struct log_verify){0}, NULL, &verified));
}

// An archive has no file `checkpoint`: the largest of its checkpoints counts, once it is signed.
static void verify_accepts_an_archive(void **state) {
    struct log_verified verified;
    put("checkpoints/88", BYTES_LITERAL("an earlier one"));
    put("checkpoints/x99", BYTES_LITERAL("none"));
    assert_int_equal(log_checkpoint_newest(folder), 88);
    assert_ok(verify((struct log_verify){0}, NULL, &verified)); // there is a newer file
    assert_int_equal(renameat(folder, "checkpoint", folder, "checkpoints/600"), 0);
    assert_int_equal(log_checkpoint_newest(folder), 600);
    assert_ok(verify((struct log_verify){0}, NULL, &verified));
    assert_int_equal(verified.checkpoint.size, ENTRIES);
    put("checkpoints/601", BYTES_LITERAL("nobody's word"));
    assert_int_equal(verify((struct log_verify){0}, NULL, &verified).class, VLT_MALFORMED);
    assert_int_equal(unlinkat(folder, "checkpoints/601", 0), 0);
    assert_int_equal(renameat(folder, "checkpoints/600", folder, "checkpoint"), 0);
    assert_ok(verify((struct log_verify){0}, NULL, &verified));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verify_accepts_a_log),
        cmocka_unit_test(verify_rejects_each_changed_file),
        cmocka_unit_test(verify_rejects_a_stand_in_that_is_not_full),
        cmocka_unit_test(verify_accepts_and_rejects_by_parts),
        cmocka_unit_test(verify_rejects_what_is_no_file),
        cmocka_unit_test(verify_accepts_an_archive),
    };
    return cmocka_run_group_tests_name("audit_verify", tests, make_log, drop_log);
}
