// SPDX-License-Identifier: Apache-2.0
// A log of 900 entries of which some were taken away: that passes where the log itself says
// so, and nowhere else, whatever the file `pruned` claims.
#include "libvault/audit/log_pruned.h"
#include "libvault/audit/log_verify.h"
#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/log_fixture.h"

#define ENTRIES 900
#define OLD_ENTRIES 700

static int archive;
static struct note_key key;
static struct jwk *signer;
static struct checkpoint checkpoint;
static struct merkle_hash old_root;

// Two prunings, the first of which goes with the second, and what only looks like one.
static void entry_of(uint64_t sequence, char entry[MADE_ENTRY_MAX]) {
    static const char *const others[] = {
        "{\"kind\":\"vault\",\"operation\":\"audit.prune\",\"outcome\":\"allow\",\"sequence\":807,"
        "\"subject\":\"entries 1 to 768 or so\"}",
        "{\"kind\":\"admin\",\"operation\":\"audit.prune\",\"outcome\":\"allow\",\"sequence\":808,"
        "\"subject\":\"entries 1 to 768\"}",
        "{\"kind\":\"vault\",\"operation\":\"audit.pruned\",\"outcome\":\"allow\",\"sequence\":809,"
        "\"subject\":\"entries 1 to 768\"}",
        "{\"kind\":\"vault\",\"operation\":\"role.restart\",\"outcome\":\"allow\",\"sequence\":810,"
        "\"subject\":\"\\\"operation\\\":\\\"audit.prune\\\" entries 1 to 768\"}",
        "{\"a\":{\"operation\":\"audit.prune\"},\"kind\":\"vault\",\"operation\":\"x\","
        "\"outcome\":\"allow\",\"sequence\":811,\"subject\":\"entries 1 to 768\"}",
        "{\"kind\":\"vault\",\"operation\":\"audit.prune\",\"outcome\":\"allow\","
        "\"sequence\":812}"};
    if (sequence == 300)
        made_prune(sequence, "allow", 256, entry);
    else if (sequence == 800)
        made_prune(sequence, "allow", 512, entry);
    else if (sequence == 805 || sequence == 806)
        made_prune(sequence, sequence == 805 ? "error" : "deny", 768, entry);
    else if (sequence >= 807 && sequence < 813)
        snprintf(entry, MADE_ENTRY_MAX, "%s", others[sequence - 807]);
    else
        made_plain(sequence, entry);
}

static void make_old_root(void) {
    struct merkle_range range;
    struct merkle_hash leaf;
    char entry[MADE_ENTRY_MAX];
    merkle_range_init(&range);
    for (uint64_t sequence = 1; sequence <= OLD_ENTRIES; sequence++) {
        entry_of(sequence, entry);
        assert_ok(merkle_leaf(bytes_of_text(entry), &leaf));
        assert_ok(merkle_range_add(&range, &leaf));
    }
    assert_ok(merkle_range_root(&range, &old_root));
}

static int make_log(void **state) {
    assert_int_equal(folder_make(state), 0);
    made_key(MADE_ORIGIN, NOTE_ED25519, &signer, &key);
    checkpoint = made_log(folder, ENTRIES, entry_of);
    made_checkpoint(folder, &checkpoint, signer, &key);
    make_old_root();
    assert_int_equal(mkdirat(folder, "old", 0700), 0);
    archive = openat(folder, "old", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)made_log(archive, ENTRIES, entry_of);
    return 0;
}

static int drop_log(void **state) {
    note_key_done(&key);
    jwk_free(signer);
    close(archive);
    return folder_drop(state);
}

// So many bundles are away, and the file says that; NULL: there is none.
static void stage(unsigned bundles, const char *pruned) {
    char here[TILE_PATH_MAX], away[TILE_PATH_MAX + 8];
    for (unsigned number = 0; number < 3; number++) {
        tile_path(TILE_ENTRIES, number, TILE_WIDTH, here);
        snprintf(away, sizeof away, "away.%u", number);
        if (number < bundles)
            renameat(folder, here, folder, away);
        else
            renameat(folder, away, folder, here);
    }
    unlinkat(folder, "pruned", 0);
    if (pruned)
        made_put(folder, "pruned", bytes_of_text(pruned));
}

static vlt_result verify(bool has_archive, struct fault *fault, struct log_verified *ret_verified) {
    const struct log_verify what = {
        .folder = folder, .key = &key, .has_archive = has_archive, .archive = archive};
    return log_verify(&what, fault, ret_verified);
}

static void pruned_accepts_what_the_log_says(void **state) {
    static const struct {
        unsigned bundles;
        const char *pruned;
        uint64_t entry;
    } good[] = {{0, NULL, 0},           {0, "256\n300\n", 300}, {1, "256\n300\n", 300},
                {1, "256\n800\n", 800}, {0, "512\n800\n", 800}, {1, "512\n800\n", 800},
                {2, "512\n800\n", 800}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct log_verified verified;
        struct log_pruned pruned;
        stage(good[i].bundles, good[i].pruned);
        assert_ok(verify(false, NULL, &verified));
        assert_int_equal(verified.unread, good[i].bundles * TILE_WIDTH);
        assert_int_equal(verified.prune_entry, good[i].entry);
        assert_ok(verify(true, NULL, &verified));
        assert_int_equal(verified.unread, 0);
        assert_int_equal(verified.prune_entry, good[i].entry);
        assert_ok(log_pruned_prove(folder, &checkpoint, NULL, NULL, &pruned));
        assert_int_equal(pruned.sequence, good[i].entry);
        for (uint64_t bundle = 0; bundle < 4; bundle++)
            assert_ok(log_verify_part(folder, &checkpoint, bundle, 1, NULL));
    }
}

// Whoever can write the folder can write the file, but no entry.
static void pruned_rejects_forgeries(void **state) {
    static const struct {
        const char *pruned, *said;
    } forged[] = {{"768\n800\n", "which does not say so"},  {"768\n805\n", "which does not say so"},
                  {"768\n806\n", "which does not say so"},  {"768\n807\n", "which does not say so"},
                  {"768\n808\n", "which does not say so"},  {"768\n809\n", "which does not say so"},
                  {"768\n810\n", "which does not say so"},  {"768\n811\n", "which does not say so"},
                  {"768\n812\n", "which does not say so"},  {"768\n769\n", "which does not say so"},
                  {"768\n901\n", "checkpoint does not have"}, {"1024\n1025\n", "does not have"},
                  {"768\n300\n", "is damaged"},             {"768\n", "is damaged"}};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct fault fault = {0};
        struct log_verified verified;
        struct log_pruned pruned = {.until = 7};
        for (unsigned bundles = 0; bundles <= 3; bundles += 3) {
            stage(bundles, forged[i].pruned);
            assert_false(vlt_is_ok(verify(false, &fault, &verified)));
            assert_non_null(strstr(fault.text, forged[i].said));
            if (bundles)
                assert_non_null(
                    strstr(fault.text,
                           "bundle 2 (entries 513 to 768) is missing and no audit.prune entry"));
            assert_false(vlt_is_ok(verify(true, &fault, &verified))); // it was removed all the same
            assert_false(vlt_is_ok(log_verify_part(folder, &checkpoint, 0, 1, &fault)));
        }
        assert_false(vlt_is_ok(log_pruned_prove(folder, &checkpoint, &key, &fault, &pruned)));
        assert_int_equal(pruned.until, 7);
    }
}

static void pruned_rejects_what_nobody_permitted(void **state) {
    struct fault fault = {0};
    struct log_verified verified;
    stage(3, NULL);
    assert_int_equal(verify(false, &fault, &verified).class, VLT_CRYPTO);
    assert_non_null(strstr(fault.text, "bundle 2 (entries 513 to 768) is missing"));
    stage(3, "512\n800\n"); // what it says is so, but is less than what is gone
    assert_int_equal(verify(false, &fault, &verified).class, VLT_CRYPTO);
    assert_non_null(strstr(fault.text, "restore it from the archive"));
    assert_int_equal(log_verify_part(folder, &checkpoint, 2, 1, &fault).class, VLT_CRYPTO);
    assert_ok(log_verify_part(folder, &checkpoint, 1, 1, &fault));
    // The log says it, and the file does not, or leads to an entry that is gone itself.
    static const char *const less[] = {NULL, "256\n300\n", "256\n", "512\n799\n"};
    for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
        stage(2, less[i]);
        assert_int_equal(verify(false, &fault, &verified).class, VLT_CRYPTO);
        assert_non_null(strstr(fault.text, "restore it with two lines, 512 and 800"));
    }
    stage(1, NULL); // less is gone than the log permits
    assert_int_equal(verify(false, &fault, &verified).class, VLT_CRYPTO);
    assert_non_null(strstr(fault.text, "entries 1 to 256 are gone, as entry 300"));
    assert_non_null(strstr(fault.text, "restore it with two lines, 256 and 300"));
    stage(1, "256\n800\n");
    assert_ok(verify(false, &fault, &verified));
    // Hashes are never pruned.
    stage(2, "512\n800\n");
    assert_int_equal(renameat(folder, "tile/0/000", folder, "hashes"), 0);
    assert_int_equal(verify(false, &fault, &verified).class, VLT_NOT_FOUND);
    assert_int_equal(renameat(folder, "hashes", folder, "tile/0/000"), 0);
    assert_ok(verify(false, &fault, &verified));
}

// ---- Since a checkpoint that was verified before ----

static vlt_result verify_since(uint64_t size, const struct merkle_hash *root, bool has_archive,
                               struct fault *fault, struct log_verified *ret_verified) {
    const struct checkpoint from = {.origin = MADE_ORIGIN, .size = size, .root = *root};
    const struct log_verify what = {.folder = folder,
                                    .key = &key,
                                    .has_archive = has_archive,
                                    .archive = archive,
                                    .from = &from};
    return log_verify(&what, fault, ret_verified);
}

static void since_accepts_what_the_log_says(void **state) {
    static const struct {
        unsigned bundles;
        const char *pruned;
        uint64_t entry;
    } good[] = {{0, NULL, 0}, {1, "256\n300\n", 300}, {2, "512\n800\n", 800}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct log_verified verified;
        stage(good[i].bundles, good[i].pruned);
        for (unsigned has_archive = 0; has_archive < 2; has_archive++) {
            assert_ok(verify_since(OLD_ENTRIES, &old_root, has_archive, NULL, &verified));
            assert_int_equal(verified.prune_entry, good[i].entry);
            assert_int_equal(verified.unread, 0);
        }
        assert_ok(verify_since(ENTRIES, &checkpoint.root, false, NULL, &verified));
    }
}

// What is missing before it is noticed as if everything were read.
static void since_rejects_what_nobody_permitted(void **state) {
    static const struct {
        unsigned bundles;
        const char *pruned, *said;
    } bad[] = {{1, NULL, "restore it with two lines, 256 and 300"},
               {2, NULL, "restore it with two lines, 512 and 800"},
               {2, "256\n300\n", "restore it with two lines, 512 and 800"},
               {2, "512\n", "restore it with two lines, 512 and 800"},
               {2, "512\n799\n", "restore it with two lines, 512 and 800"},
               {3, "512\n800\n", "bundle 2 (entries 513 to 768) is missing and no audit.prune"},
               {3, "768\n800\n", "bundle 2 (entries 513 to 768) is missing and no audit.prune"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        stage(bad[i].bundles, bad[i].pruned);
        for (unsigned has_archive = 0; has_archive < 2; has_archive++) {
            struct fault full = {0}, since = {0};
            struct log_verified verified;
            assert_class(verify(has_archive, &full, &verified), VLT_CRYPTO);
            assert_non_null(strstr(full.text, bad[i].said));
            assert_class(verify_since(OLD_ENTRIES, &old_root, has_archive, &since, &verified),
                         VLT_CRYPTO);
            assert_string_equal(full.text, since.text);
            assert_class(verify_since(ENTRIES, &checkpoint.root, has_archive, &since, &verified),
                         VLT_CRYPTO);
            assert_string_equal(full.text, since.text);
        }
    }
}

// Nobody's permission, one in the middle, and what can not be read.
static void since_rejects_each_missing_bundle(void **state) {
    struct fault fault = {0};
    struct log_verified verified;
    char file[TILE_PATH_MAX];
    stage(2, "512\n800\n");
    assert_int_equal(renameat(folder, "tile/entries/002", folder, "kept"), 0);
    assert_class(verify_since(ENTRIES, &checkpoint.root, false, &fault, &verified), VLT_CRYPTO);
    assert_non_null(strstr(fault.text, "bundle 2 (entries 513 to 768) is missing"));
    assert_int_equal(mkdirat(folder, "tile/entries/002", 0700), 0);
    assert_class(verify_since(ENTRIES, &checkpoint.root, false, &fault, &verified),
                 VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, "tile/entries/002"));
    assert_int_equal(unlinkat(folder, "tile/entries/002", AT_REMOVEDIR), 0);
    // It looks whether it is there, and not at what it holds.
    made_put(folder, "tile/entries/002", BYTES_LITERAL("x"));
    assert_ok(verify_since(ENTRIES, &checkpoint.root, false, &fault, &verified));
    assert_class(verify(false, &fault, &verified), VLT_MALFORMED);
    assert_int_equal(renameat(folder, "kept", folder, "tile/entries/002"), 0);
    tile_path(TILE_ENTRIES, 3, 132, file); // the partial one is always read
    assert_int_equal(renameat(folder, file, folder, "kept"), 0);
    assert_class(verify_since(ENTRIES, &checkpoint.root, false, &fault, &verified), VLT_CRYPTO);
    assert_int_equal(renameat(folder, "kept", folder, file), 0);
    // A log that is shorter than it was is told as such.
    assert_class(verify_since(ENTRIES + 600, &checkpoint.root, false, &fault, &verified),
                 VLT_CRYPTO);
    assert_non_null(strstr(fault.text, "it was cut"));
}

// Several, and the last, too. (The archive is a log of its own here, the last to use it.)
static void pruned_rejects_several_bundles(void **state) {
    struct fault fault = {0};
    struct log_verified verified;
    struct checkpoint small = made_log(archive, 600, NULL);
    const struct log_verify what = {.folder = archive, .key = &key};
    made_checkpoint(archive, &small, signer, &key);
    assert_int_equal(unlinkat(archive, "tile/entries/000", 0), 0);
    assert_int_equal(unlinkat(archive, "tile/entries/001", 0), 0);
    assert_int_equal(log_verify(&what, &fault, &verified).class, VLT_CRYPTO);
    assert_string_equal(fault.text,
                        "tile/entries/000: bundles 0 to 1 (entries 1 to 512) are missing and no "
                        "audit.prune entry covers them: removed behind the vault's "
                        "back; restore them from the archive");
    assert_int_equal(unlinkat(archive, "tile/entries/002.p/88", 0), 0);
    assert_int_equal(unlinkat(archive, "tile/entries/002", 0), 0); // of the log that was here
    assert_int_equal(log_verify(&what, &fault, &verified).class, VLT_CRYPTO);
    assert_non_null(strstr(fault.text, "bundles 0 to 2 (entries 1 to 600)"));
}

static void pruned_rejects_an_archive_that_lacks_it_too(void **state) {
    struct fault fault = {0};
    struct log_verified verified;
    stage(2, "512\n800\n");
    assert_int_equal(renameat(archive, "tile/entries/001", archive, "away"), 0);
    assert_int_equal(verify(true, &fault, &verified).class, VLT_NOT_FOUND);
    assert_non_null(strstr(fault.text, "neither the log nor the archive has bundle 1"));
    assert_int_equal(renameat(archive, "away", archive, "tile/entries/001"), 0);
    assert_ok(verify(true, &fault, &verified));
}

// The reader took its checkpoint before the log had the entry.
static void pruned_accepts_a_newer_checkpoint(void **state) {
    struct checkpoint old = {.origin = MADE_ORIGIN, .size = OLD_ENTRIES, .root = old_root};
    struct log_pruned pruned = {0};
    stage(2, "512\n800\n");
    assert_ok(log_pruned_prove(folder, &old, &key, NULL, &pruned));
    assert_int_equal(pruned.until, 512);
    assert_int_equal(log_pruned_prove(folder, &old, NULL, NULL, &pruned).class, VLT_CRYPTO);
    old.root.at[5] ^= 1; // of another log
    assert_int_equal(log_pruned_prove(folder, &old, &key, NULL, &pruned).class, VLT_CRYPTO);
}

// The entry that says just that; else the one that permits most.
static void pruned_accepts_a_search(void **state) {
    static const struct {
        uint64_t until;
        struct log_pruned expected;
    } searches[] = {{256, {256, 300}}, {512, {512, 800}}, {768, {512, 800}}};
    struct fault fault = {0};
    struct log_pruned found;
    struct checkpoint old = {.origin = MADE_ORIGIN, .size = OLD_ENTRIES, .root = old_root};
    stage(0, NULL);
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        assert_ok(log_pruned_find(folder, &checkpoint, searches[i].until, &fault, &found));
        assert_int_equal(found.until, searches[i].expected.until);
        assert_int_equal(found.sequence, searches[i].expected.sequence);
    }
    stage(2, NULL); // entry 300 is gone with them
    assert_ok(log_pruned_find(folder, &checkpoint, 256, &fault, &found));
    assert_int_equal(found.sequence, 800);
    assert_string_equal(fault.text, "");
    stage(0, NULL); // the reader's checkpoint does not have entry 800
    assert_ok(log_pruned_find(folder, &old, 512, NULL, &found));
    assert_int_equal(found.sequence, 0); // nor its tiles, which would prove entry 300
    assert_int_equal(log_pruned_read_old(folder), 0);
    made_put(folder, "pruned", BYTES_LITERAL("512\n"));
    assert_int_equal(log_pruned_read_old(folder), 512);
    made_put(folder, "pruned", BYTES_LITERAL("512\n800\n"));
    assert_int_equal(log_pruned_read_old(folder), 0);
}

// The entry is evidence only as it was signed.
static void pruned_rejects_a_changed_entry(void **state) {
    static const char entry[] = "\"subject\":\"entries 1 to 512\"";
    struct log_pruned pruned;
    struct buf bundle;
    stage(2, "512\n800\n");
    buf_init(&bundle, TILE_BUNDLE_MAX);
    assert_ok(tile_file_read(folder, "tile/entries/003.p/132", TILE_BUNDLE_MAX, NULL, &bundle));
    uint8_t *at = memmem(bundle.at, bundle.size, entry, sizeof entry - 1);
    assert_non_null(at);
    at[sizeof entry - 3] ^= 1; // 512 becomes 513
    made_put(folder, "tile/entries/003.p/132", buf_bytes(&bundle));
    assert_int_equal(log_pruned_prove(folder, &checkpoint, &key, NULL, &pruned).class, VLT_CRYPTO);
    at[sizeof entry - 3] ^= 1;
    made_put(folder, "tile/entries/003.p/132", buf_bytes(&bundle));
    assert_ok(log_pruned_prove(folder, &checkpoint, &key, NULL, &pruned));
    buf_done(&bundle);
}

static void pruned_survives_mutation_of_its_file(void **state) {
    static const char good[] = "512\n800\n";
    char text[sizeof good + 1];
    struct log_pruned pruned;
    struct log_verified verified;
    for (size_t bit = 0; bit < 8 * (sizeof good - 1); bit++) {
        memcpy(text, good, sizeof good);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        stage(2, NULL);
        made_put(folder, "pruned", bytes_of(text, sizeof good - 1));
        assert_false(vlt_is_ok(verify(false, NULL, &verified)));
    }
    for (size_t size = 0; size < sizeof good - 1; size++)
        assert_int_equal(log_pruned_parse(bytes_of(good, size), &pruned).class, VLT_MALFORMED);
    static const char *const bad[] = {"512\n800\n\n",  "512\n800\n1\n", " 512\n800\n", "0\n800\n",
                                      "0512\n800\n", "511\n800\n",  "-512\n800\n", "512\r\n800\n",
                                      "512 800\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(log_pruned_parse(bytes_of_text(bad[i]), &pruned).class, VLT_MALFORMED);
    stage(0, NULL);
    for (unsigned i = 0; i < 70; i++) { // longer than it may be
        char line[80];
        memset(line, '5', i + 1);
        made_put(folder, "pruned", bytes_of(line, i + 1));
        assert_int_equal(log_pruned_read(folder, NULL, &pruned).class, VLT_MALFORMED);
    }
    assert_ok(log_pruned_parse(bytes_of_text(good), &pruned));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pruned_accepts_what_the_log_says),
        cmocka_unit_test(pruned_rejects_forgeries),
        cmocka_unit_test(pruned_rejects_what_nobody_permitted),
        cmocka_unit_test(pruned_rejects_an_archive_that_lacks_it_too),
        cmocka_unit_test(pruned_accepts_a_newer_checkpoint),
        cmocka_unit_test(pruned_accepts_a_search),
        cmocka_unit_test(pruned_rejects_a_changed_entry),
        cmocka_unit_test(pruned_survives_mutation_of_its_file),
        cmocka_unit_test(since_accepts_what_the_log_says),
        cmocka_unit_test(since_rejects_what_nobody_permitted),
        cmocka_unit_test(since_rejects_each_missing_bundle),
        cmocka_unit_test(pruned_rejects_several_bundles),
    };
    return cmocka_run_group_tests_name("audit_pruned", tests, make_log, drop_log);
}
