// SPDX-License-Identifier: Apache-2.0
// What may be taken away from a log, and what a crash in between leaves.
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/log_fixture.h"
#include "vaultd/auditor/retention.h"

static bool has_bundle(uint64_t number) {
    char file[TILE_PATH_MAX];
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, file);
    return faccessat(folder, file, F_OK, 0) == 0;
}

// The log's words about what may go: at the end, so that they stay.
static uint64_t size, permitted;

static void entry_of(uint64_t sequence, char entry[MADE_ENTRY_MAX]) {
    if (sequence == size)
        made_prune(sequence, "allow", permitted, entry);
    else
        made_plain(sequence, entry);
}

static struct retention make_log(uint64_t entries, uint64_t until, const char *archive) {
    size = entries;
    permitted = until;
    return (struct retention){
        .folder = folder, .archive = archive, .at = made_log(folder, entries, entry_of)};
}

static vlt_result prune(const struct retention *order, uint64_t until, struct fault *fault,
                        uint64_t *ret_pruned) {
    struct retention_step step;
    VLT_TRY(retention_plan(order, until, fault, &step));
    return retention_prune(order, &step, size, fault, ret_pruned);
}

static uint64_t said_pruned(void) {
    struct log_pruned pruned;
    assert_ok(log_pruned_read(folder, NULL, &pruned));
    return pruned.until;
}

static void retention_rejects_what_is_not_behind_the_checkpoint(void **state) {
    const struct retention order = make_log(1000, 768, "");
    uint64_t pruned = 77;
    assert_int_equal(prune(&order, 255, NULL, &pruned).class, VLT_CONFLICT);
    assert_int_equal(prune(&order, 1000, NULL, &pruned).class, VLT_CONFLICT);
    assert_int_equal(prune(&order, 1024, NULL, &pruned).class, VLT_CONFLICT);
    made_put(folder, "pruned", BYTES_LITERAL("some\n"));
    assert_int_equal(prune(&order, 256, NULL, &pruned).class, VLT_MALFORMED);
    made_put(folder, "pruned", BYTES_LITERAL("256\n999\n")); // forged
    assert_int_equal(prune(&order, 256, NULL, &pruned).class, VLT_CRYPTO);
    assert_int_equal(pruned, 77);
    assert_true(has_bundle(0));
}

// Nothing goes that the log does not say, and is not said in the file either.
static void retention_rejects_what_the_log_does_not_say(void **state) {
    const struct retention order = make_log(1000, 256, "");
    struct retention_step step;
    uint64_t pruned = 77;
    assert_ok(retention_plan(&order, 512, NULL, &step));
    const uint64_t entries[] = {1000, 999, 1001}; // permits less; something else; not there yet
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(retention_prune(&order, &step, entries[i], NULL, &pruned).class,
                         VLT_CRYPTO);
    assert_int_equal(pruned, 77);
    assert_int_equal(said_pruned(), 0);
    assert_true(has_bundle(0) && has_bundle(1));
    assert_ok(prune(&order, 256, NULL, &pruned));
    assert_int_equal(pruned, 256);
    assert_true(!has_bundle(0) && has_bundle(1));
}

static void hear(uint64_t until, void *context) {
    assert_int_equal(said_pruned(), until); // the file says it by now, and all is there
    assert_true(has_bundle(0));
    *(uint64_t *)context += until;
}

// Who looks after the file knows of each pruning, and of none that did not come so far.
static void retention_accepts_a_listener(void **state) {
    struct retention order = make_log(1000, 512, "/nowhere");
    struct retention_step step;
    uint64_t heard = 0, pruned = 0;
    order.said = hear;
    order.context = &heard;
    assert_int_equal(prune(&order, 512, NULL, &pruned).class, VLT_UNAVAILABLE);
    order.archive = "";
    assert_int_equal(prune(&order, 768, NULL, &pruned).class, VLT_CRYPTO);
    assert_int_equal(heard, 0);
    assert_ok(retention_plan(&order, 512, NULL, &step));
    assert_int_equal(mkdirat(folder, "tile/entries/kept", 0755), 0);
    assert_int_equal(renameat(folder, "tile/entries/001", folder, "tile/entries/kept/001"), 0);
    assert_int_equal(mkdirat(folder, "tile/entries/001", 0755), 0); // can not be removed
    assert_int_equal(retention_prune(&order, &step, size, NULL, &pruned).class, VLT_UNAVAILABLE);
    assert_int_equal(heard, 512); // the file says it all the same
    assert_int_equal(pruned, 0);
}

static void retention_accepts_full_tiles_step_by_step(void **state) {
    const uint64_t until = RETENTION_STEP + 512;
    const struct retention order = make_log(RETENTION_STEP + 1000, until, "");
    uint64_t pruned = 0;
    assert_ok(prune(&order, until, NULL, &pruned));
    assert_int_equal(pruned, RETENTION_STEP);
    assert_ok(prune(&order, until, NULL, &pruned));
    assert_int_equal(pruned, until);
    for (uint64_t number = 0; number < until / TILE_WIDTH + 1; number++)
        assert_int_equal(has_bundle(number), number >= until / TILE_WIDTH);
    // Less than what is gone changes nothing.
    assert_ok(prune(&order, 256, NULL, &pruned));
    assert_int_equal(pruned, until);
    assert_int_equal(said_pruned(), until);
}

static void retention_survives_a_crash_in_between(void **state) {
    const struct retention order = make_log(10 * TILE_WIDTH, 1024, "");
    uint64_t pruned = 0;
    made_put(folder, "pruned", BYTES_LITERAL("1024\n2560\n")); // and nothing removed yet
    assert_ok(prune(&order, 1024, NULL, &pruned));
    assert_int_equal(pruned, 1024);
    for (uint64_t number = 0; number < 6; number++)
        assert_int_equal(has_bundle(number), number >= 4);
}

static void put_in(int where, uint64_t number, struct bytes content) {
    char file[TILE_PATH_MAX];
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, file);
    assert_ok(tile_file_write(where, file, content, false, NULL));
}

static void copy_to(int where, uint64_t number) {
    char file[TILE_PATH_MAX];
    struct buf content;
    buf_init(&content, TILE_BUNDLE_MAX);
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, file);
    assert_ok(tile_file_read(folder, file, TILE_BUNDLE_MAX, NULL, &content));
    put_in(where, number, buf_bytes(&content));
    buf_done(&content);
}

static void retention_rejects_what_the_archive_does_not_have(void **state) {
    struct fault fault = {0};
    char archive[80], file[TILE_PATH_MAX];
    uint64_t pruned = 77;
    snprintf(archive, sizeof archive, "%s/archive", folder_path);
    struct retention order = make_log(10 * TILE_WIDTH, 512, archive);
    assert_int_equal(prune(&order, 512, &fault, &pruned).class,
                     VLT_UNAVAILABLE); // there is none
    assert_int_equal(mkdirat(folder, "archive", 0755), 0);
    int other = open(archive, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    copy_to(other, 0);
    const struct bytes bad[] = {BYTES_LITERAL("y"), BYTES_LITERAL("xx"), bytes_of(NULL, 0)};
    assert_int_equal(prune(&order, 512, &fault, &pruned).class,
                     VLT_CONFLICT); // the second one is missing
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_in(other, 1, bad[i]);
        assert_int_equal(prune(&order, 512, &fault, &pruned).class,
                         VLT_CONFLICT);
    }
    assert_non_null(strstr(fault.text, "tile/entries/001"));
    // An archive that is the log itself would go with it, in whatever disguise.
    order.archive = folder_path;
    assert_int_equal(prune(&order, 512, &fault, &pruned).class, VLT_CONFLICT);
    order.archive = archive;
    tile_path(TILE_ENTRIES, 1, TILE_WIDTH, file);
    assert_int_equal(unlinkat(other, file, 0), 0);
    assert_int_equal(symlinkat("../../../tile/entries/001", other, file), 0);
    assert_int_equal(prune(&order, 512, &fault, &pruned).class,
                     VLT_CONFLICT);
    assert_int_equal(unlinkat(other, file, 0), 0);
    assert_int_equal(mkdirat(other, file, 0755), 0); // nothing that can be read
    assert_int_equal(prune(&order, 512, &fault, &pruned).class,
                     VLT_UNAVAILABLE);
    assert_int_equal(pruned, 77);
    for (uint64_t number = 0; number < 4; number++)
        assert_true(has_bundle(number));
    assert_int_equal(said_pruned(), 0);
    assert_int_equal(unlinkat(other, file, AT_REMOVEDIR), 0);
    copy_to(other, 1);
    assert_ok(prune(&order, 512, &fault, &pruned));
    assert_int_equal(pruned, 512);
    assert_false(has_bundle(0) || has_bundle(1));
    assert_true(has_bundle(2));
    assert_ok(prune(&order, 512, &fault, &pruned)); // gone is gone
    close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FOLDER_CASE(retention_rejects_what_is_not_behind_the_checkpoint),
        FOLDER_CASE(retention_rejects_what_the_log_does_not_say),
        FOLDER_CASE(retention_accepts_a_listener),
        FOLDER_CASE(retention_accepts_full_tiles_step_by_step),
        FOLDER_CASE(retention_rejects_what_the_archive_does_not_have),
        FOLDER_CASE(retention_survives_a_crash_in_between),
    };
    return cmocka_run_group_tests_name("auditor_retention", tests, NULL, NULL);
}
