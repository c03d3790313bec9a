// SPDX-License-Identifier: Apache-2.0
// The journal of the auditor: torn lines, missing, cut and replaced files, a full
// disk, and reading.
#include "tests/unit/auditor_fixture.h"
#include "tests/unit/check.h"

static uint64_t add(struct log_file *file, const char *tenant, const char *reason) {
    const struct audit_event event = {.kind = AUDIT_ADMIN,
                                      .outcome = AUDIT_ALLOW,
                                      .at_us = 1,
                                      .tenant = bytes_of_text(tenant),
                                      .operation = BYTES_LITERAL("test"),
                                      .reason = bytes_of_text(reason)};
    uint64_t sequence = 0;
    assert_true(vlt_is_ok(log_file_add(file, &event, &sequence)));
    return sequence;
}

static void sync_log(struct log_file *file) { assert_true(vlt_is_ok(log_file_sync(file, &fault))); }

static size_t lines_from(struct log_file *file, uint64_t first, uint32_t count, const char *tenant,
                         uint64_t *ret_next) {
    struct buf out;
    size_t lines = 0;
    buf_init(&out, 1 << 20);
    assert_true(
        vlt_is_ok(log_file_read(file, first, count, bytes_of_text(tenant), &out, ret_next)));
    for (size_t i = 0; i < out.size; i++)
        lines += out.at[i] == '\n';
    buf_done(&out);
    return lines;
}

static void log_accepts_entries_and_reads_them(void **state) {
    struct log_file *file = open_log();
    uint64_t next = 0;
    assert_int_equal(log_file_next(file), 1);
    for (unsigned i = 1; i <= 3000; i++)
        assert_int_equal(add(file, i % 3 ? "a" : "b", "x"), i);
    assert_int_equal(lines_from(file, 1, 10, "", &next), 0); // nothing is durable yet
    sync_log(file);
    assert_int_equal(lines_from(file, 1, 10, "", &next), 10);
    assert_int_equal(next, 11);
    assert_int_equal(lines_from(file, 2999, 10, "", &next), 2);
    assert_int_equal(next, 3001);
    assert_int_equal(lines_from(file, 3001, 10, "", &next), 0);
    assert_int_equal(lines_from(file, UINT64_MAX, 7, "", &next), 7);
    assert_int_equal(lines_from(file, UINT64_MAX, 7, "b", &next), 7);
    assert_int_equal(lines_from(file, 0, 5000, "b", &next), 1000);
    assert_int_equal(lines_from(file, 1, 5000, "nobody", &next), 0);
    log_file_close(file);
    file = open_log(); // counted again from the file
    assert_int_equal(log_file_next(file), 3001);
    assert_int_equal(lines_from(file, 2000, 5000, "", &next), 1001);
    log_file_close(file);
}

static void append(const char *name, const char *text, size_t size) {
    int fd = openat(folder, name, O_WRONLY | O_APPEND | O_CREAT, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
}

static void log_survives_a_torn_line(void **state) {
    struct log_file *file = open_log();
    add(file, "a", "one");
    add(file, "a", "two");
    sync_log(file);
    log_file_close(file);
    off_t whole = size_of(FIRST);
    append(FIRST, "{\"kind\":\"adm", 12);
    file = open_log();
    assert_int_equal(size_of(FIRST), whole);
    assert_int_equal(log_file_next(file), 3);
    assert_int_equal(add(file, "a", "three"), 3);
    sync_log(file);
    log_file_close(file);
    file = open_log();
    assert_int_equal(log_file_next(file), 4);
    log_file_close(file);
}

static void log_rejects_missing_entries(void **state) {
    struct log_file *file = open_log();
    add(file, "a", "one");
    sync_log(file);
    log_file_close(file);
    append("00000000000000000005.jsonl", "{}\n", 3);
    file = NULL;
    assert_int_equal(log_file_open(folder_path, &fault, &file).class, VLT_CONFLICT);
    assert_null(file);
    assert_non_null(strstr(fault.text, "entries 2 to 4 are missing"));
    assert_non_null(strstr(fault.text, folder_path));
}

static void log_rejects_an_older_segment_that_is_torn(void **state) {
    struct log_file *file = NULL;
    append(FIRST, "{}\n{\"half", 9);
    append("00000000000000000002.jsonl", "{}\n", 3);
    assert_int_equal(log_file_open(folder_path, &fault, &file).class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, FIRST));
}

static void log_rejects_a_replaced_file(void **state) {
    struct log_file *file = open_log();
    add(file, "a", "one");
    sync_log(file);
    assert_int_equal(renameat(folder, FIRST, folder, "away"), 0);
    add(file, "a", "two");
    assert_int_equal(log_file_sync(file, &fault).class, VLT_UNAVAILABLE); // gone
    append(FIRST, "", 0);
    add(file, "a", "two");
    assert_int_equal(log_file_sync(file, &fault).class, VLT_UNAVAILABLE); // another
    assert_non_null(strstr(fault.text, "replaced"));
    assert_int_equal(log_file_next(file), 2); // the numbers are free again
    assert_int_equal(renameat(folder, "away", folder, FIRST), 0);
    assert_int_equal(add(file, "a", "two"), 2);
    sync_log(file);
    log_file_close(file);
}

static void log_rejects_a_file_that_was_cut(void **state) {
    struct log_file *file = open_log();
    add(file, "a", "one");
    sync_log(file);
    cut(FIRST, 5);
    add(file, "a", "two");
    assert_int_equal(log_file_sync(file, &fault).class, VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, "was cut"));
    log_file_close(file);
}

static void log_survives_a_full_disk(void **state) {
    struct log_file *file = open_log();
    uint64_t next;
    add(file, "a", "one");
    sync_log(file);
    const off_t whole = size_of(FIRST);
    for (unsigned room = 0; room < 200; room += 10) { // however much of the batch still fits
        for (int i = 0; i < 5; i++)
            add(file, "a",
                "does not fit, whatever happens, because it is so long that it must be cut "
                "somewhere");
        limit_files((rlim_t)whole + room);
        vlt_result result = log_file_sync(file, &fault);
        limit_files(RLIM_INFINITY);
        assert_int_equal(result.class, VLT_UNAVAILABLE);
        assert_int_equal(log_file_next(file), 2);
        assert_int_equal(size_of(FIRST), whole);
        assert_int_equal(lines_from(file, 1, 10, "", &next), 1);
    }
    assert_int_equal(add(file, "a", "two"), 2); // space is back
    sync_log(file);
    log_file_close(file);
    file = open_log();
    assert_int_equal(log_file_next(file), 3);
    log_file_close(file);
}

static void log_rejects_more_than_a_batch_holds(void **state) {
    struct log_file *file = open_log();
    static char longer[513];
    memset(longer, 'x', sizeof longer - 1);
    const struct audit_event event = {.kind = AUDIT_ADMIN,
                                      .outcome = AUDIT_ALLOW,
                                      .at_us = 1,
                                      .reason = bytes_of_text(longer),
                                      .path = bytes_of_text(longer)};
    uint64_t sequence = 0, last = 0;
    vlt_result result = vlt_ok();
    while (vlt_is_ok(result) && last < 100000) {
        result = log_file_add(file, &event, &sequence);
        last = vlt_is_ok(result) ? sequence : last;
    }
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    sync_log(file); // the entries before it are whole
    assert_int_equal(log_file_next(file), last + 1);
    log_file_close(file);
    file = open_log();
    assert_int_equal(log_file_next(file), last + 1);
    log_file_close(file);
}

static void log_survives_other_files_in_its_folder(void **state) {
    static const char *const names[] = {"README", "1.jsonl", "0000000000000000000a.jsonl",
                                        "00000000000000000000.jsonl",
                                        "00000000000000000001.jsonl.bak"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        append(names[i], "x", 1);
    struct log_file *file = open_log();
    assert_int_equal(add(file, "a", "one"), 1);
    sync_log(file);
    log_file_close(file);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(size_of(names[i]), 1);
}

static void log_rejects_a_folder_that_is_none(void **state) {
    struct log_file *file = NULL;
    assert_false(vlt_is_ok(log_file_open("/dev/null/audit", &fault, &file)));
    assert_non_null(strstr(fault.text, "/dev/null/audit"));
    assert_false(vlt_is_ok(log_file_open("/dev/null", &fault, &file)));
    assert_null(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_CASE(log_accepts_entries_and_reads_them),
        LOG_CASE(log_survives_a_torn_line),
        LOG_CASE(log_rejects_missing_entries),
        LOG_CASE(log_rejects_an_older_segment_that_is_torn),
        LOG_CASE(log_rejects_a_replaced_file),
        LOG_CASE(log_rejects_a_file_that_was_cut),
        LOG_CASE(log_survives_a_full_disk),
        LOG_CASE(log_rejects_more_than_a_batch_holds),
        LOG_CASE(log_survives_other_files_in_its_folder),
        LOG_CASE(log_rejects_a_folder_that_is_none),
    };
    return cmocka_run_group_tests_name("auditor", tests, NULL, NULL);
}
