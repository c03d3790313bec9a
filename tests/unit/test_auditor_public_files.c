// SPDX-License-Identifier: Apache-2.0
// The small files beside the tiles: what is missing or altered is written again, as it was
// published last, and what is as it must be is left alone.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "tests/unit/log_fixture.h"
#include "vaultd/auditor/public_files.h"

static char path[64], repaired[128];
static int folder;
static struct public_files files;

static int make_folder(void **state) {
    snprintf(path, sizeof path, "/tmp/public-files.XXXXXX");
    folder = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    files = (struct public_files){0};
    made_put(folder, "vkey", BYTES_LITERAL("key 1\n"));
    made_put(folder, "checkpoint", BYTES_LITERAL("checkpoint 1\n"));
    made_put(folder, "handover/01234567", BYTES_LITERAL("from 0 to 1\n"));
    made_put(folder, "handover/else", BYTES_LITERAL("no key's\n"));
    return folder < 0;
}

static int drop_folder(void **state) {
    public_files_done(&files);
    close(folder);
    return made_remove(path);
}

static bool holds(const char *file, const char *text) {
    struct buf content;
    buf_init(&content, NOTE_MAX_BYTES);
    bool is_so = vlt_is_ok(tile_file_read(folder, file, NOTE_MAX_BYTES, NULL, &content)) &&
                 bytes_equal_text(buf_bytes(&content), text);
    buf_done(&content);
    return is_so;
}

static void keep(const char *expected) {
    assert_ok(public_files_keep(&files, folder, NULL, repaired));
    assert_string_equal(repaired, expected);
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
    keep("vkey, handover/01234567");
    assert_true(holds("handover/01234567", "from 0 to 1\n") && holds("vkey", "key 1\n"));
    keep("");
}

static void files_accept_what_is_published(void **state) {
    struct signed_note note;
    signed_note_init(&note);
    public_files_learn(&files, folder);
    buf_put_text(&note.note, "checkpoint 2\n");
    buf_put_text(&note.vkeys, "key 2\nkey 1\n");
    buf_put_text(&note.handovers[0].note, "from 1 to 2\n");
    snprintf(note.handovers[0].path, sizeof note.handovers[0].path, "handover/89abcdef");
    note.handover_count = 1;
    public_files_set(&files, &note);
    keep("vkey, checkpoint, handover/89abcdef"); // nobody has written them: as if removed
    assert_true(holds("checkpoint", "checkpoint 2\n") && holds("vkey", "key 2\nkey 1\n"));
    assert_true(holds("handover/89abcdef", "from 1 to 2\n"));
    assert_true(holds("handover/01234567", "from 0 to 1\n")); // leads from an older key
    keep("");
    made_put(folder, "vkey", BYTES_LITERAL("key 3\n"));
    keep("vkey");
    assert_true(holds("vkey", "key 2\nkey 1\n"));
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

static void files_survive_what_is_no_file(void **state) {
    char file[96];
    struct fault fault = {0};
    public_files_learn(&files, folder);
    snprintf(file, sizeof file, "%s/vkey", path);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    alarm(10);
    keep("vkey");
    alarm(0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0755), 0); // nothing can take its place
    assert_int_equal(unlinkat(folder, "checkpoint", 0), 0); // comes after it, and back
    assert_int_equal(public_files_keep(&files, folder, &fault, repaired).class, VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, "vkey"));
    assert_string_equal(repaired, "checkpoint");
    assert_true(holds("checkpoint", "checkpoint 1\n"));
    assert_int_equal(rmdir(file), 0);
    keep("vkey");
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
    assert_ok(public_files_keep(&files, folder, NULL, repaired));
    assert_true(strlen(repaired) < sizeof repaired);
    keep("");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_accept_what_they_were, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(files_accept_what_is_published, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(files_accept_what_is_put_right, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(files_survive_what_is_no_file, make_folder, drop_folder),
    };
    return cmocka_run_group_tests_name("auditor_public_files", tests, NULL, NULL);
}
