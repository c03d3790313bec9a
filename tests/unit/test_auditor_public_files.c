// SPDX-License-Identifier: Apache-2.0
// The small files beside the tiles: what is missing or altered is written again, as it was
// published last, and what is as it must be is left alone.
#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/log_fixture.h"
#include "vaultd/auditor/public_files.h"

// SHA-256 of "key 1\n" and "checkpoint 1\n"
#define KEY_1 "d6cc2a3066fc4572780b92c16bdaecd2ce1ad0f8f4da01567d4526cc6cec7ae8"
#define CHECKPOINT_1 "27a24a7c1c368e90aaef651e4801223dbf57b5841cd94a3026870c3f26c623d8"

static struct public_files files;
static struct buf repaired;

static int begin(void **state) {
    if (folder_make(state) != 0)
        return -1;
    files = (struct public_files){0};
    buf_init(&repaired, PUBLIC_FILES_REPAIRED_MAX);
    made_put(folder, "vkey", BYTES_LITERAL("key 1\n"));
    made_put(folder, "checkpoint", BYTES_LITERAL("checkpoint 1\n"));
    made_put(folder, "handover/01234567", BYTES_LITERAL("from 0 to 1\n"));
    made_put(folder, "handover/else", BYTES_LITERAL("no key's\n"));
    return 0;
}

static int end(void **state) {
    public_files_done(&files);
    buf_done(&repaired);
    return folder_drop(state);
}

static bool holds(const char *file, const char *text) { return made_holds(folder, file, text); }

static void keep(const char *expected) {
    assert_ok(public_files_keep(&files, folder, NULL, &repaired));
    assert_string_equal(buf_text(&repaired), expected);
}

static void files_accept_what_they_were(void **state) {
    struct stat before, after;
    public_files_learn(&files, folder);
    assert_int_equal(files.count, 3);
    assert_int_equal(fstatat(folder, "vkey", &before, 0), 0);
    keep("");
    assert_int_equal(fstatat(folder, "vkey", &after, 0), 0);
    assert_int_equal(before.st_ino, after.st_ino); // not written for nothing
    assert_int_equal(unlinkat(folder, "handover/01234567", 0), 0);
    assert_int_equal(unlinkat(folder, "handover/else", 0), 0);
    assert_int_equal(unlinkat(folder, "handover", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(folder, "vkey", 0), 0);
    keep("vkey (missing), handover/01234567 (missing)");
    assert_true(holds("handover/01234567", "from 0 to 1\n") && holds("vkey", "key 1\n"));
    keep("");
}

static void files_accept_what_is_published(void **state) {
    struct signed_note note;
    struct stat status;
    signed_note_init(&note);
    public_files_learn(&files, folder);
    buf_put_text(&note.note, "checkpoint 2\n");
    buf_put_text(&note.vkeys, "key 2\nkey 1\n");
    buf_put_text(&note.handovers[0].note, "from 1 to 2\n");
    snprintf(note.handovers[0].path, sizeof note.handovers[0].path, "handover/89abcdef");
    note.handover_count = 1;
    public_files_set(&files, &note);
    keep("vkey (sha256 " KEY_1 "), checkpoint (sha256 " CHECKPOINT_1
         "), handover/89abcdef (missing)"); // nobody has written them: as if altered
    assert_true(holds("checkpoint", "checkpoint 2\n") && holds("vkey", "key 2\nkey 1\n"));
    assert_true(holds("handover/89abcdef", "from 1 to 2\n"));
    assert_true(holds("handover/01234567", "from 0 to 1\n")); // leads from an older key
    keep("");
    made_put(folder, "vkey", BYTES_LITERAL("key 3\n"));
    keep("vkey (sha256 642a1a2f0c23f3c0e483e3cfe7823708f26f89b84c91eb65429c0dfb3ab5e110)");
    assert_true(holds("vkey", "key 2\nkey 1\n"));
    made_put(folder, "vkey", bytes_of(NULL, 0));
    keep("vkey (sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855)");
    static uint8_t large[NOTE_MAX_BYTES + 1];
    made_put(folder, "vkey", bytes_of(large, sizeof large));
    keep("vkey (longer than 262144 bytes)");
    // What a link leads to may be nobody's business, also where it is the same.
    made_put(folder, "elsewhere", BYTES_LITERAL("key 2\nkey 1\n"));
    assert_int_equal(unlinkat(folder, "vkey", 0), 0);
    assert_int_equal(symlinkat("elsewhere", folder, "vkey"), 0);
    keep("vkey (no file that can be read)");
    assert_int_equal(fstatat(folder, "vkey", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(status.st_mode) && holds("vkey", "key 2\nkey 1\n"));
    keep("");
    signed_note_done(&note);
}

// Nobody knows whether what was there at the start was right: somebody may put it right.
static void files_accept_what_is_put_right(void **state) {
    made_put(folder, "vkey", BYTES_LITERAL("forged\n"));
    public_files_learn(&files, folder);
    made_put(folder, "vkey", BYTES_LITERAL("key 1\n"));
    made_put(folder, "handover/01234567", BYTES_LITERAL("of old\n"));
    keep("");
    assert_true(holds("vkey", "key 1\n") && holds("handover/01234567", "of old\n"));
}

// What a link leads to is not learned: it would come back for everybody to read.
static void files_reject_links(void **state) {
    made_put(folder, "secret", BYTES_LITERAL("of the auditor\n"));
    assert_int_equal(unlinkat(folder, "vkey", 0), 0);
    assert_int_equal(symlinkat("secret", folder, "vkey"), 0);
    public_files_learn(&files, folder);
    assert_int_equal(files.count, 2);
    assert_int_equal(unlinkat(folder, "vkey", 0), 0);
    keep("");
    assert_int_equal(faccessat(folder, "vkey", F_OK, 0), -1);
}

static void files_survive_what_is_no_file(void **state) {
    struct fault fault = {0};
    public_files_learn(&files, folder);
    assert_int_equal(unlinkat(folder, "vkey", 0), 0);
    assert_int_equal(mkfifoat(folder, "vkey", 0600), 0);
    alarm(10);
    keep("vkey (no file that can be read)");
    alarm(0);
    assert_int_equal(unlinkat(folder, "vkey", 0), 0);
    assert_int_equal(mkdirat(folder, "vkey", 0755), 0); // nothing can take its place
    assert_int_equal(unlinkat(folder, "checkpoint", 0), 0); // comes after it, and back
    assert_int_equal(public_files_keep(&files, folder, &fault, &repaired).class, VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, "vkey"));
    assert_string_equal(buf_text(&repaired), "checkpoint (missing)");
    assert_true(holds("checkpoint", "checkpoint 1\n"));
    assert_int_equal(unlinkat(folder, "vkey", AT_REMOVEDIR), 0);
    keep("vkey (missing)");
    for (unsigned i = 0; i < PUBLIC_FILES_MAX + 10; i++) { // more than are looked after
        char name[32];
        snprintf(name, sizeof name, "handover/%08x", i);
        made_put(folder, name, BYTES_LITERAL("x"));
    }
    public_files_learn(&files, folder);
    assert_int_equal(files.count, PUBLIC_FILES_MAX);
    for (unsigned i = 0; i < PUBLIC_FILES_MAX + 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "handover/%08x", i);
        assert_int_equal(unlinkat(folder, name, 0), 0);
    }
    assert_ok(public_files_keep(&files, folder, NULL, &repaired));
    assert_false(buf_failed(&repaired));
    size_t named = 0; // each of them, in lines that an entry has room for
    for (struct bytes rest = buf_bytes(&repaired); rest.size;) {
        const size_t size = bytes_find(rest, '\n');
        assert_true(size <= 440);
        for (size_t i = 0; i < size; i++)
            named += rest.at[i] == '(';
        rest = bytes_from(rest, size + 1);
    }
    assert_int_equal(named, PUBLIC_FILES_MAX - 3); // the rest is there
    keep("");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(files_accept_what_they_were),
        CASE(files_accept_what_is_published),
        CASE(files_accept_what_is_put_right),
        CASE(files_reject_links),
        CASE(files_survive_what_is_no_file),
    };
    return cmocka_run_group_tests_name("auditor_public_files", tests, NULL, NULL);
}
