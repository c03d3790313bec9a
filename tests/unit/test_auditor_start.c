// SPDX-License-Identifier: Apache-2.0
// An auditor that starts with a log that was pruned, and of which something is missing: what
// it makes again, and that nothing is believed because of that.
#include "libvault/audit/log_verify.h"
#include "tests/unit/auditor_fixture.h"
#include "tests/unit/check.h"
#include "tests/unit/log_fixture.h"
#include "vaultd/auditor/publication.h"
#include "vaultd/auditor/retention.h"

#define ENTRIES 1200 // behind them the entry audit.prune
#define PRUNED 512
#define LARGE 65900  // entries of a log with three levels of tiles

// ---- A log as the auditor makes it ----

static void add(struct log_file *file, uint64_t count, const struct audit_event *event) {
    uint64_t sequence;
    for (uint64_t i = 0; i < count; i++)
        assert_ok(log_file_add(file, event, &sequence));
    assert_ok(log_file_sync(file, &fault));
}

static void add_plain(struct log_file *file, uint64_t count) {
    const struct audit_event plain = {.kind = AUDIT_REDEEM, .outcome = AUDIT_ALLOW, .at_us = 1};
    for (; count > 10000; count -= 10000)
        add(file, 10000, &plain);
    add(file, count, &plain);
}

static void add_prune(struct log_file *file, uint64_t until) {
    char subject[LOG_PRUNED_SUBJECT_SIZE];
    log_pruned_subject(until, subject);
    add(file, 1,
        &(struct audit_event){.kind = AUDIT_VAULT,
                              .outcome = AUDIT_ALLOW,
                              .at_us = 1,
                              .operation = BYTES_LITERAL(LOG_PRUNED_OPERATION),
                              .subject = bytes_of_text(subject)});
}

// What a publication does first; whether a checkpoint comes of it is another matter.
static struct publisher *advance(struct log_file *file) {
    const struct publisher_start from = start_of(file);
    struct publisher *publisher = NULL;
    assert_ok(publisher_open(&from, &fault, &publisher));
    assert_ok(publisher_advance(publisher, from.durable, &fault));
    return publisher;
}

static void publish(struct log_file *file) {
    struct publisher *publisher = advance(file);
    assert_ok(write_checkpoint(file, publisher));
    publisher_close(publisher);
}

// Pruned by the auditor's own code.
static void make_log(uint64_t entries) {
    struct log_file *file = open_log();
    struct retention_step step;
    uint64_t pruned;
    add_plain(file, entries);
    add_prune(file, PRUNED);
    publish(file);
    const struct retention order = {
        .folder = folder, .archive = "", .at = *log_file_checkpoint(file)};
    assert_ok(retention_plan(&order, PRUNED, &fault, &step));
    assert_ok(retention_prune(&order, &step, entries + 1, &fault, &pruned));
    assert_int_equal(pruned, PRUNED);
    log_file_close(file);
}

// What it wrote again is in `repaired`. The whole log is verified when it started.
static vlt_result start(char repaired[640]) {
    struct log_file *file;
    struct publication *publication = NULL;
    fault = (struct fault){0};
    repaired[0] = 0;
    VLT_TRY(log_file_open(folder_path, &fault, &file));
    vlt_result result = publication_new(file, MADE_ORIGIN, &fault, &publication);
    if (vlt_is_ok(result)) {
        const struct checkpoint *at = log_file_checkpoint(file);
        for (const char *text; (text = publication_repaired(publication));
             publication_repaired_recorded(publication))
            snprintf(repaired + strlen(repaired), 640 - strlen(repaired), "%s; ", text);
        assert_ok(log_verify_part(folder, at, 0, at->size, &fault));
        publication_free(publication);
    }
    log_file_close(file);
    return result;
}

// ---- Partial tiles ----

static void starts(const char *expected) {
    char repaired[640];
    vlt_result result = start(repaired);
    if (!vlt_is_ok(result))
        fail_msg("%s (%s)", result.reason, fault.text);
    if (!expected)
        assert_string_equal(repaired, "");
    else if (!strstr(repaired, expected))
        fail_msg("\"%s\" is not in \"%s\"", expected, repaired);
}

static void drop(const char *file) { assert_int_equal(unlinkat(folder, file, 0), 0); }

static const char *const partials[] = {"tile/entries/004.p/177", "tile/0/004.p/177",
                                       "tile/1/000.p/4"};

static void start_accepts_what_is_whole(void **state) {
    struct stat before[3], after;
    make_log(ENTRIES);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fstatat(folder, partials[i], &before[i], 0), 0);
    starts(NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fstatat(folder, partials[i], &after, 0), 0);
        assert_int_equal(before[i].st_ino, after.st_ino); // not written for nothing
    }
}

static void start_accepts_lost_partial_tiles(void **state) {
    make_log(ENTRIES);
    for (size_t i = 0; i < 3; i++) {
        drop(partials[i]);
        starts(partials[i]);
    }
    for (size_t i = 0; i < 3; i++)
        drop(partials[i]);
    starts("written again: tile/entries/004.p/177, tile/0/004.p/177, tile/1/000.p/4");
    for (size_t i = 0; i < 3; i++) { // cut
        made_put(folder, partials[i], BYTES_LITERAL("x"));
        starts(partials[i]);
    }
    starts(NULL);
}

// Tiles above the lowest come from full ones.
static void start_accepts_lost_tiles_of_each_level(void **state) {
    make_log(LARGE);
    drop("tile/0/257.p/109");
    drop("tile/1/001.p/1");
    drop("tile/2/000.p/1");
    starts("written again: tile/0/257.p/109, tile/1/001.p/1, tile/2/000.p/1");
    starts(NULL);
}

// A crash after the full tile took their place, and before there was a checkpoint: nothing
// was lost.
static void start_accepts_full_tiles_instead(void **state) {
    make_log(ENTRIES);
    struct log_file *file = open_log();
    add_plain(file, 300);
    publisher_close(advance(file));
    log_file_close(file);
    assert_int_equal(faccessat(folder, partials[0], F_OK, 0), -1);
    assert_int_equal(faccessat(folder, partials[1], F_OK, 0), -1);
    starts(NULL);
    made_put(folder, "tile/0/004", BYTES_LITERAL("torn")); // nobody had synced it
    starts("written again: tile/0/004.p/177");
}

// ---- What is not believed because of that ----

static void drop_partials(void) {
    for (size_t i = 0; i < 3; i++)
        unlinkat(folder, partials[i], 0);
}

static bool has_partials(void) {
    for (size_t i = 0; i < 3; i++)
        if (faccessat(folder, partials[i], F_OK, 0) == 0)
            return true;
    return false;
}

static void start_rejects_a_forged_file(void **state) {
    static const char *const forged[] = {"768\n1201\n", "512\n1200\n", "512\n1202\n", "1024\n"};
    char repaired[640];
    make_log(ENTRIES);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        drop_partials();
        made_put(folder, "pruned", bytes_of_text(forged[i]));
        assert_class(start(repaired), VLT_CONFLICT);
        assert_non_null(strstr(fault.text, "was altered: the file pruned"));
    }
    made_put(folder, "pruned", BYTES_LITERAL("512\n1201\n"));
    starts(NULL); // the tiles are there again since the first attempt
}

// Tiles are made only from what gives the root of the checkpoint.
static void start_rejects_what_does_not_give_the_root(void **state) {
    static const char word[] = "\"sequence\":1200";
    char repaired[640];
    struct buf journal;
    make_log(ENTRIES);
    buf_init(&journal, 20 << 20);
    assert_ok(tile_file_read(folder, FIRST, journal.max, NULL, &journal));
    uint8_t *at = memmem(journal.at, journal.size, word, sizeof word - 1);
    assert_non_null(at);
    uint8_t *kind = memmem(at - 100, 100, "redeem", 6);
    assert_non_null(kind);
    kind[0] = 's';
    made_put(folder, FIRST, buf_bytes(&journal));
    drop_partials();
    assert_class(start(repaired), VLT_CONFLICT);
    assert_false(has_partials());
    kind[0] = 'r';
    made_put(folder, FIRST, buf_bytes(&journal));
    // The full tile from which a hash would come is not what it was, or is not there.
    struct buf tile;
    buf_init(&tile, 8192);
    assert_ok(tile_file_read(folder, "tile/0/002", tile.max, NULL, &tile));
    tile.at[100] ^= 1;
    made_put(folder, "tile/0/002", buf_bytes(&tile));
    assert_class(start(repaired), VLT_CONFLICT);
    drop("tile/0/002");
    assert_class(start(repaired), VLT_NOT_FOUND);
    assert_false(has_partials());
    tile.at[100] ^= 1;
    made_put(folder, "tile/0/002", buf_bytes(&tile));
    starts(partials[2]);
    buf_done(&tile);
    buf_done(&journal);
}

// ---- A file of an earlier version ----

static bool file_is(const char *text) { return made_holds(folder, "pruned", text); }

// An entry that was never recorded takes the first place of a bundle.
static void plant(uint64_t number, uint64_t until) {
    char fake[MADE_ENTRY_MAX], file[TILE_PATH_MAX];
    struct buf old, new;
    struct bytes rest, entry;
    buf_init(&old, TILE_BUNDLE_MAX);
    buf_init(&new, TILE_BUNDLE_MAX);
    tile_path(TILE_ENTRIES, number, TILE_WIDTH, file);
    assert_ok(tile_file_read(folder, file, TILE_BUNDLE_MAX, NULL, &old));
    rest = buf_bytes(&old);
    made_prune(number * TILE_WIDTH + 1, "allow", until, fake);
    assert_ok(tile_entry_take(&rest, &entry));
    assert_ok(tile_entry_put(&new, bytes_of_text(fake)));
    buf_put(&new, rest);
    made_put(folder, file, buf_bytes(&new));
    buf_done(&old);
    buf_done(&new);
}

static void start_accepts_a_file_of_one_line(void **state) {
    make_log(ENTRIES);
    struct log_file *file = open_log();
    add_prune(file, 768); // it was recorded, and then did not come to pass
    publish(file);
    log_file_close(file);
    for (unsigned has_lost = 0; has_lost < 2; has_lost++) {
        made_put(folder, "pruned", BYTES_LITERAL("512\n"));
        if (has_lost)
            drop("tile/0/004.p/178");
        starts("left by an earlier version, and written again: pruned (entries 1 to 512 are gone, "
               "as entry 1201 says)");
        assert_true(file_is("512\n1201\n"));
        starts(NULL);
    }
    made_put(folder, "pruned", BYTES_LITERAL("512\n"));
    drop("tile/0/004.p/178"); // and both are told
    starts("written again: tile/0/004.p/178; left by an earlier version");
}

// Nobody's word but the log's counts, and only if it is about just that.
static void start_rejects_a_file_of_one_line(void **state) {
    static const char *const bad[] = {"256\n", "768\n", "1024\n", "1280\n", "0\n",
                                      "511\n", "512",   "0512\n", "512\n\n"};
    char repaired[640];
    make_log(ENTRIES);
    struct log_file *file = open_log();
    add_prune(file, 768); // no checkpoint has it
    log_file_close(file);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        made_put(folder, "pruned", bytes_of_text(bad[i]));
        assert_class(start(repaired), VLT_CONFLICT);
        assert_non_null(strstr(fault.text, "was altered: the file pruned"));
        assert_non_null(strstr(fault.text, "two lines"));
        assert_true(file_is(bad[i]));
    }
}

static void start_rejects_an_entry_that_somebody_planted(void **state) {
    char repaired[640];
    make_log(ENTRIES);
    plant(3, 768);
    made_put(folder, "pruned", BYTES_LITERAL("768\n"));
    assert_class(start(repaired), VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "just entries 1 to 768"));
    assert_true(file_is("768\n"));
    // Nor does one hide the true one. (What is altered there the patrol finds.)
    plant(2, 512);
    made_put(folder, "pruned", BYTES_LITERAL("512\n"));
    struct log_file *file = open_log();
    struct publication *publication = NULL;
    assert_ok(publication_new(file, MADE_ORIGIN, &fault, &publication));
    publication_free(publication);
    log_file_close(file);
    assert_true(file_is("512\n1201\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_CASE(start_accepts_what_is_whole),
        LOG_CASE(start_accepts_lost_partial_tiles),
        LOG_CASE(start_accepts_lost_tiles_of_each_level),
        LOG_CASE(start_accepts_full_tiles_instead),
        LOG_CASE(start_rejects_a_forged_file),
        LOG_CASE(start_rejects_what_does_not_give_the_root),
        LOG_CASE(start_accepts_a_file_of_one_line),
        LOG_CASE(start_rejects_a_file_of_one_line),
        LOG_CASE(start_rejects_an_entry_that_somebody_planted),
    };
    return cmocka_run_group_tests_name("auditor_start", tests, NULL, NULL);
}
