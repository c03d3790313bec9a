// SPDX-License-Identifier: Apache-2.0
// What may be taken away from a log, and what a crash in between leaves.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/log_verify.h"
#include "vaultd/auditor/retention.h"

#define assert_ok(call) assert_true(vlt_is_ok(call))
static char path[64];
static int folder;

static int make_folder(void **state) {
    snprintf(path, sizeof path, "/tmp/retention.XXXXXX");
    folder = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return folder < 0;
}

static int remove_one(const char *name, const struct stat *status, int kind, struct FTW *ftw) {
    return remove(name);
}

static int drop_folder(void **state) {
    close(folder);
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_bundle(uint64_t number) {
    char file[TILE_PATH_MAX];
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, file);
    assert_ok(tile_file_write(folder, file, BYTES_LITERAL("x"), false, NULL));
}

static bool has_bundle(uint64_t number) {
    char file[TILE_PATH_MAX];
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, file);
    return faccessat(folder, file, F_OK, 0) == 0;
}

static void retention_rejects_what_is_not_behind_the_checkpoint(void **state) {
    const struct checkpoint at = {.size = 1000};
    uint64_t pruned = 77;
    put_bundle(0);
    assert_int_equal(retention_prune(folder, "", &at, 255, NULL, &pruned).class, VLT_CONFLICT);
    assert_int_equal(retention_prune(folder, "", &at, 1000, NULL, &pruned).class, VLT_CONFLICT);
    assert_int_equal(retention_prune(folder, "", &at, 1024, NULL, &pruned).class, VLT_CONFLICT);
    assert_ok(tile_file_write(folder, "pruned", BYTES_LITERAL("some\n"), false, NULL));
    assert_int_equal(retention_prune(folder, "", &at, 256, NULL, &pruned).class, VLT_MALFORMED);
    assert_int_equal(pruned, 77);
    assert_true(has_bundle(0));
}

static void retention_accepts_full_tiles_step_by_step(void **state) {
    const struct checkpoint at = {.size = UINT64_C(3) * RETENTION_STEP + 10};
    const uint64_t until = RETENTION_STEP + 512;
    uint64_t pruned = 0;
    for (uint64_t number = 0; number < until / TILE_WIDTH + 3; number++)
        put_bundle(number);
    assert_ok(retention_prune(folder, "", &at, until, NULL, &pruned));
    assert_int_equal(pruned, RETENTION_STEP);
    assert_ok(retention_prune(folder, "", &at, until, NULL, &pruned));
    assert_int_equal(pruned, until);
    for (uint64_t number = 0; number < until / TILE_WIDTH + 3; number++)
        assert_int_equal(has_bundle(number), number >= until / TILE_WIDTH);
    // Less than what is gone changes nothing.
    assert_ok(retention_prune(folder, "", &at, 256, NULL, &pruned));
    assert_int_equal(pruned, until);
    assert_ok(log_pruned(folder, NULL, &pruned));
    assert_int_equal(pruned, until);
}

static void retention_survives_a_crash_in_between(void **state) {
    const struct checkpoint at = {.size = 10 * TILE_WIDTH};
    uint64_t pruned = 0;
    for (uint64_t number = 0; number < 6; number++)
        put_bundle(number);
    assert_ok(tile_file_write(folder, "pruned", BYTES_LITERAL("1024\n"), false,
                              NULL)); // and nothing removed yet
    assert_ok(retention_prune(folder, "", &at, 1024, NULL, &pruned));
    assert_int_equal(pruned, 1024);
    for (uint64_t number = 0; number < 6; number++)
        assert_int_equal(has_bundle(number), number >= 4);
}

static void put_in(int where, uint64_t number, struct bytes content) {
    char file[TILE_PATH_MAX];
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, file);
    assert_ok(tile_file_write(where, file, content, false, NULL));
}

static void retention_rejects_what_the_archive_does_not_have(void **state) {
    const struct checkpoint at = {.size = 10 * TILE_WIDTH};
    const struct bytes good = BYTES_LITERAL("x");
    struct fault fault = {0};
    char archive[80], file[TILE_PATH_MAX];
    uint64_t pruned = 77;
    snprintf(archive, sizeof archive, "%s/archive", path);
    for (uint64_t number = 0; number < 4; number++)
        put_bundle(number);
    assert_int_equal(retention_prune(folder, archive, &at, 512, &fault, &pruned).class,
                     VLT_UNAVAILABLE); // there is none
    assert_int_equal(mkdirat(folder, "archive", 0755), 0);
    int other = open(archive, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_in(other, 0, good);
    const struct bytes bad[] = {BYTES_LITERAL("y"), BYTES_LITERAL("xx"), bytes_of(NULL, 0)};
    assert_int_equal(retention_prune(folder, archive, &at, 512, &fault, &pruned).class,
                     VLT_CONFLICT); // the second one is missing
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_in(other, 1, bad[i]);
        assert_int_equal(retention_prune(folder, archive, &at, 512, &fault, &pruned).class,
                         VLT_CONFLICT);
    }
    assert_non_null(strstr(fault.text, "tile/entries/001"));
    // An archive that is the log itself would go with it, in whatever disguise.
    assert_int_equal(retention_prune(folder, path, &at, 512, &fault, &pruned).class, VLT_CONFLICT);
    tile_path(TILE_ENTRIES, 1, TILE_WIDTH, file);
    assert_int_equal(unlinkat(other, file, 0), 0);
    assert_int_equal(symlinkat("../../../tile/entries/001", other, file), 0);
    assert_int_equal(retention_prune(folder, archive, &at, 512, &fault, &pruned).class,
                     VLT_CONFLICT);
    assert_int_equal(unlinkat(other, file, 0), 0);
    assert_int_equal(mkdirat(other, file, 0755), 0); // nothing that can be read
    assert_int_equal(retention_prune(folder, archive, &at, 512, &fault, &pruned).class,
                     VLT_UNAVAILABLE);
    assert_int_equal(pruned, 77);
    for (uint64_t number = 0; number < 4; number++)
        assert_true(has_bundle(number));
    assert_ok(log_pruned(folder, NULL, &pruned));
    assert_int_equal(pruned, 0);
    assert_int_equal(unlinkat(other, file, AT_REMOVEDIR), 0);
    put_in(other, 1, good);
    assert_ok(retention_prune(folder, archive, &at, 512, &fault, &pruned));
    assert_int_equal(pruned, 512);
    assert_false(has_bundle(0) || has_bundle(1));
    assert_true(has_bundle(2));
    assert_ok(retention_prune(folder, archive, &at, 512, &fault, &pruned)); // gone is gone
    close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(retention_rejects_what_is_not_behind_the_checkpoint,
                                        make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(retention_accepts_full_tiles_step_by_step, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(retention_rejects_what_the_archive_does_not_have,
                                        make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(retention_survives_a_crash_in_between, make_folder,
                                        drop_folder),
    };
    return cmocka_run_group_tests_name("auditor_retention", tests, NULL, NULL);
}
