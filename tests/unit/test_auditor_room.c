// SPDX-License-Identifier: Apache-2.0
// Room that the journal writes ahead: what is in it after a crash, who may cut it,
// and groups that are gathered while another one is on its way to the disk.
#include "tests/unit/auditor_fixture.h"
#include "tests/unit/check.h"
#include "vaultd/auditor/journal_cursor.h"
#include "vaultd/auditor/journal_lock.h"
#include "vaultd/auditor/spare.h"

#define SECTOR 512
#define ROOM (256u << 10)
#define TORN 300 // power losses
#define SECOND "00000000000000000004.jsonl" // after three entries

static void add(struct log_file *file, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        const struct audit_event event = {.kind = AUDIT_ADMIN,
                                          .outcome = AUDIT_ALLOW,
                                          .at_us = 1,
                                          .operation = BYTES_LITERAL("test"),
                                          .reason = BYTES_LITERAL("a line of some length")};
        uint64_t sequence = 0;
        assert_true(vlt_is_ok(log_file_add(file, &event, &sequence)));
    }
}

static void add_durably(struct log_file *file, unsigned count) {
    add(file, count);
    assert_true(vlt_is_ok(log_file_sync(file, &fault)));
}

static int open_file(const char *name) {
    int fd = openat(folder, name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

// A small one; that the real one is no different but in size, a case says.
static void make_spare(struct log_file *file) {
    static const uint8_t zeros[ROOM];
    int fd = openat(log_file_folder_open(file), SPARE_NAME, O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_int_equal(write(fd, zeros, sizeof zeros), sizeof zeros);
    close(fd);
    log_file_set_spare(file);
}

// Three entries in the first file, five in the second, which has room.
static struct log_file *open_with_room(void) {
    struct log_file *file = open_log();
    add_durably(file, 3);
    make_spare(file);
    add_durably(file, 5);
    assert_false(log_file_has_spare(file));
    assert_int_equal(size_of(SECOND), ROOM);
    assert_int_equal(size_of(SPARE_NAME), -1);
    return file;
}

// Bytes of the second file before its room.
static off_t used(void) {
    int fd = open_file(SECOND);
    static char text[1 << 16];
    ssize_t got = pread(fd, text, sizeof text, 0);
    close(fd);
    assert_true(got > 0);
    const char *zero = memchr(text, 0, (size_t)got);
    return zero ? zero - text : got;
}

// Each entry stands where it belongs, seen as the publisher sees them.
static void all_are_there(const struct log_file *file, uint64_t count) {
    struct journal_cursor cursor;
    assert_int_equal(log_file_durable(file), count);
    journal_cursor_init(&cursor, 1, 1);
    for (uint64_t sequence = 1; sequence <= count; sequence++) {
        struct bytes entry;
        assert_true(vlt_is_ok(
            journal_cursor_next(&cursor, log_file_folder_open(file), &fault, &entry)));
        assert_numbered(entry, sequence);
    }
    journal_cursor_done(&cursor);
}

static void spare_accepts_a_folder_and_replaces_another(void **state) {
    struct log_file *file = open_log();
    int fd = openat(log_file_folder_open(file), SPARE_NAME, O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_int_equal(write(fd, "junk", 4), 4);
    close(fd);
    assert_true(vlt_is_ok(spare_make(log_file_folder_open(file), &fault)));
    assert_int_equal(size_of(SPARE_NAME), SPARE_BYTES);
    log_file_set_spare(file);
    add_durably(file, 3); // a segment without entries is not followed by another
    assert_true(log_file_has_spare(file));
    add_durably(file, 2);
    assert_int_equal(size_of(SECOND), SPARE_BYTES);
    all_are_there(file, 5);
    log_file_close(file);
}

static void spare_survives_a_full_disk(void **state) {
    struct log_file *file = open_log();
    limit_files(SPARE_BYTES / 2);
    vlt_result result = spare_make(log_file_folder_open(file), &fault);
    limit_files(RLIM_INFINITY);
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    assert_int_equal(size_of(SPARE_NAME), -1);
    log_file_close(file);
}

static void log_rejects_a_second_writer(void **state) {
    struct log_file *file = open_log();
    assert_int_equal(journal_lock(folder, folder_path, 100, &fault).class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, folder_path));
    log_file_close(file);
    assert_true(vlt_is_ok(journal_lock(folder, folder_path, 0, &fault)));
}

static void room_accepts_entries(void **state) {
    struct log_file *file = open_with_room();
    all_are_there(file, 8);
    log_file_close(file);
    file = open_log(); // the room is still there, and used
    assert_int_equal(log_file_next(file), 9);
    add_durably(file, 4);
    assert_int_equal(size_of(SECOND), ROOM);
    make_spare(file); // not taken before the room is used up
    add_durably(file, 1);
    assert_true(log_file_has_spare(file));
    all_are_there(file, 13);
    log_file_close(file);
}

static void room_accepts_what_is_larger_than_itself(void **state) {
    struct log_file *file = open_with_room();
    uint64_t count = 8;
    while (size_of(SECOND) == ROOM && count < 30000) {
        add_durably(file, 100);
        count += 100;
    }
    assert_true(size_of(SECOND) > ROOM); // no spare: it grows
    add_durably(file, 3);
    assert_int_equal(size_of(SPARE_NAME), -1);
    all_are_there(file, count + 3);
    log_file_close(file);
    file = open_log();
    all_are_there(file, count + 3);
    log_file_close(file);
}

static void room_survives_a_spare_that_vanished(void **state) {
    struct log_file *file = open_log();
    add_durably(file, 3);
    make_spare(file);
    assert_int_equal(unlinkat(folder, SPARE_NAME, 0), 0);
    add_durably(file, 2);
    all_are_there(file, 5);
    log_file_close(file);
}

// Which sectors of the last group reach the disk before the power fails is up to
// the disk.
static void room_survives_power_loss(void **state) {
    static uint8_t before[1 << 16], after[1 << 16];
    srand(11);
    for (unsigned round = 0; round < TORN; round++) {
        assert_int_equal(folder_drop(NULL), 0);
        assert_int_equal(folder_make(NULL), 0);
        struct log_file *file = open_with_room();
        int fd = open_file(SECOND);
        assert_int_equal(pread(fd, before, sizeof before, 0), sizeof before);
        add_durably(file, (unsigned)rand() % 100 + 1);
        uint64_t whole = log_file_durable(file);
        assert_int_equal(pread(fd, after, sizeof after, 0), sizeof after);
        log_file_close(file);
        for (size_t at = 0; at < sizeof after; at += SECTOR)
            if (rand() % 2)
                assert_int_equal(pwrite(fd, before + at, SECTOR, (off_t)at), SECTOR);
        close(fd);
        file = open_log();
        uint64_t durable = log_file_durable(file);
        assert_in_range(durable, 8, whole);
        all_are_there(file, durable);
        add_durably(file, 2); // over what was torn
        log_file_close(file);
        file = open_log();
        all_are_there(file, durable + 2);
        log_file_close(file);
    }
}

static void room_survives_a_torn_end(void **state) {
    static const char *const ends[] = {"{", "{\"half", "x\n", "\n"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (size_t gap = i < 2 ? 0 : 1; gap < 10000; gap = gap * 7 + 1) {
            assert_int_equal(folder_drop(NULL), 0);
            assert_int_equal(folder_make(NULL), 0);
            log_file_close(open_with_room());
            off_t end = used();
            int fd = open_file(SECOND);
            assert_true(pwrite(fd, ends[i], strlen(ends[i]), end + (off_t)gap) > 0);
            close(fd);
            struct log_file *file = open_log();
            assert_int_equal(size_of(SECOND), end); // cut, with its room
            add_durably(file, 2);
            all_are_there(file, 10);
            log_file_close(file);
        }
}

// Zeros in the last file may be room; in one that has a successor they may not hide
// anything.
static void room_rejects_an_older_file_with_a_hole(void **state) {
    struct log_file *file = open_with_room();
    make_spare(file);
    while (size_of(SECOND) == ROOM && log_file_has_spare(file))
        add_durably(file, 100);
    assert_false(log_file_has_spare(file));
    log_file_close(file);
    int fd = open_file(SECOND);
    assert_int_equal(pwrite(fd, "\0\0\0", 3, 1000), 3);
    close(fd);
    file = NULL;
    assert_int_equal(log_file_open(folder_path, &fault, &file).class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, SECOND));
    assert_null(file);
}

// A hole where a signed checkpoint says that there are entries is not what a crash
// leaves, and what stands behind it is not cut off: it may be needed to mend it.
static void room_rejects_a_hole_before_the_checkpoint(void **state) {
    struct log_file *file = open_with_room();
    log_file_close(file);
    int fd = open_file(SECOND);
    assert_int_equal(pwrite(fd, "\0", 1, 10), 1);
    close(fd);
    static const char checkpoint[] =
        "log.example\n8\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
        "\xE2\x80\x94 log.example AAAAAAAAAAA=\n";
    assert_no_fault(
        tile_file_write(folder, "checkpoint", bytes_of_text(checkpoint), false, &fault));
    file = open_log(); // the publisher refuses what is shorter than its checkpoint
    assert_int_equal(log_file_durable(file), 3);
    assert_int_equal(size_of(SECOND), ROOM);
    log_file_close(file);
}

// ---- Two groups ----

static void writes_accept_entries_meanwhile(void **state) {
    struct log_file *file = open_with_room();
    struct log_write write;
    add(file, 2);
    assert_true(log_file_begin(file, &write));
    add(file, 3); // the next group
    assert_int_equal(log_file_durable(file), 8);
    log_write_run(&write);
    add(file, 1);
    assert_true(vlt_is_ok(log_file_end(file, &write)));
    assert_int_equal(log_file_durable(file), 10);
    assert_true(log_file_begin(file, &write));
    log_write_run(&write);
    assert_true(vlt_is_ok(log_file_end(file, &write)));
    assert_false(log_file_begin(file, &write));
    all_are_there(file, 14);
    log_file_close(file);
}

static void writes_survive_failure(void **state) {
    struct log_file *file = open_log();
    struct log_write write;
    add_durably(file, 3);
    add(file, 2);
    assert_true(log_file_begin(file, &write));
    add(file, 3);
    limit_files((rlim_t)size_of(FIRST) + 50);
    log_write_run(&write);
    limit_files(RLIM_INFINITY);
    assert_int_equal(log_file_end(file, &write).class, VLT_UNAVAILABLE);
    assert_int_equal(log_file_next(file), 4); // both groups are lost, no number is skipped
    assert_false(log_file_begin(file, &write));
    add_durably(file, 2);
    all_are_there(file, 5);
    log_file_close(file);
}

// The new file is there, the lines are not: it is used by the next write.
static void writes_survive_failure_in_a_new_file(void **state) {
    struct log_file *file = open_log();
    add_durably(file, 3);
    make_spare(file);
    add(file, 2);
    limit_files(10);
    vlt_result result = log_file_sync(file, &fault);
    limit_files(RLIM_INFINITY);
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    assert_int_equal(size_of(SECOND), 0); // cut, and so an empty file
    add_durably(file, 2);
    make_spare(file);
    add_durably(file, 1);
    all_are_there(file, 6);
    log_file_close(file);
    file = open_log();
    all_are_there(file, 6);
    log_file_close(file);
}

// ---- One behind another ----

static void follow_accepts_what_was_added_meanwhile(void **state) {
    struct log_file *file = open_with_room();
    struct log_write first, second;
    add(file, 2);
    assert_true(log_file_begin(file, &first));
    add(file, 3);
    log_write_run(&first);
    assert_true(log_file_follow(file, &first, &second));
    add(file, 1);
    log_write_run(&second);
    assert_int_equal(log_file_durable(file), 8); // nobody has said so yet
    assert_true(vlt_is_ok(log_file_end(file, &first)));
    assert_int_equal(log_file_durable(file), 10);
    assert_true(vlt_is_ok(log_file_end(file, &second)));
    assert_int_equal(log_file_durable(file), 13);
    add_durably(file, 1);
    all_are_there(file, 15);
    log_file_close(file);
    file = open_log();
    all_are_there(file, 15);
    log_file_close(file);
}

static void follow_rejects_what_only_begin_can_do(void **state) {
    struct log_file *file = open_with_room();
    struct log_write first, second, third;
    add(file, 1);
    assert_true(log_file_begin(file, &first));
    log_write_run(&first);
    assert_false(log_file_follow(file, &first, &second)); // nothing was added
    add(file, 1);
    assert_true(log_file_follow(file, &first, &second));
    log_write_run(&second);
    add(file, 1);
    assert_false(log_file_follow(file, &second, &third)); // as many as there may be
    assert_true(vlt_is_ok(log_file_end(file, &first)));
    assert_true(log_file_follow(file, &second, &third));
    log_write_run(&third);
    assert_true(vlt_is_ok(log_file_end(file, &second)));
    add(file, ROOM / 64); // more than the file has room for
    assert_false(log_file_follow(file, &third, &second));
    assert_true(vlt_is_ok(log_file_end(file, &third)));
    make_spare(file);
    assert_true(log_file_begin(file, &first));
    log_write_run(&first);
    add(file, 1);
    assert_true(first.has_rolled);
    assert_false(log_file_follow(file, &first, &second)); // the log does not know that file yet
    assert_true(vlt_is_ok(log_file_end(file, &first)));
    assert_true(vlt_is_ok(log_file_sync(file, &fault)));
    all_are_there(file, 12 + ROOM / 64);
    log_file_close(file);
}

static void follow_rejects_a_write_that_failed(void **state) {
    struct log_file *file = open_with_room();
    struct log_write first, second;
    add(file, 1);
    assert_true(log_file_begin(file, &first));
    assert_int_equal(renameat(folder, SECOND, folder, "away"), 0);
    log_write_run(&first);
    add(file, 1);
    assert_false(log_file_follow(file, &first, &second));
    assert_int_equal(log_file_end(file, &first).class, VLT_UNAVAILABLE);
    assert_int_equal(renameat(folder, "away", folder, SECOND), 0);
    add_durably(file, 1);
    all_are_there(file, 9);
    log_file_close(file);
}

// What is behind a gap was never recorded, whatever is on the disk.
static void follow_survives_the_loss_of_what_was_before(void **state) {
    struct log_file *file = open_with_room();
    struct log_write first, second;
    add(file, 2);
    assert_true(log_file_begin(file, &first));
    log_write_run(&first);
    add(file, 2);
    assert_true(log_file_follow(file, &first, &second));
    log_write_run(&second);
    first.last--; // it counts wrongly
    assert_int_equal(log_file_end(file, &first).class, VLT_BUG);
    add(file, 1);
    assert_int_equal(log_file_end(file, &second).class, VLT_BUG);
    assert_int_equal(log_file_durable(file), 8);
    assert_int_equal(log_file_next(file), 9);
    add_durably(file, 1); // cuts what the two left
    all_are_there(file, 9);
    log_file_close(file);
    file = open_log();
    all_are_there(file, 9);
    log_file_close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_CASE(spare_accepts_a_folder_and_replaces_another),
        LOG_CASE(spare_survives_a_full_disk),
        LOG_CASE(log_rejects_a_second_writer),
        LOG_CASE(room_accepts_entries),
        LOG_CASE(room_accepts_what_is_larger_than_itself),
        LOG_CASE(room_survives_a_spare_that_vanished),
        LOG_CASE(room_survives_power_loss),
        LOG_CASE(room_survives_a_torn_end),
        LOG_CASE(room_rejects_an_older_file_with_a_hole),
        LOG_CASE(room_rejects_a_hole_before_the_checkpoint),
        LOG_CASE(writes_accept_entries_meanwhile),
        LOG_CASE(writes_survive_failure),
        LOG_CASE(writes_survive_failure_in_a_new_file),
        LOG_CASE(follow_accepts_what_was_added_meanwhile),
        LOG_CASE(follow_rejects_what_only_begin_can_do),
        LOG_CASE(follow_rejects_a_write_that_failed),
        LOG_CASE(follow_survives_the_loss_of_what_was_before),
    };
    return cmocka_run_group_tests_name("auditor_room", tests, NULL, NULL);
}
