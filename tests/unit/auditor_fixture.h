// SPDX-License-Identifier: Apache-2.0
// The auditor's log in the folder of a case: opened, looked at, short of room, and with a
// checkpoint that nobody signed.
#ifndef VLT_TESTS_UNIT_AUDITOR_FIXTURE_H
#define VLT_TESTS_UNIT_AUDITOR_FIXTURE_H

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/check.h"
#include "tests/unit/folder_fixture.h"
#include "vaultd/auditor/log_file.h"
#include "vaultd/auditor/publisher.h"

#define FIRST "00000000000000000001.jsonl" // the journal's first file

static struct fault fault; // of the call that failed last in this case

#define assert_no_fault(call)                                                                      \
    do {                                                                                           \
        vlt_result assert_result = (call);                                                         \
        if (!vlt_is_ok(assert_result))                                                             \
            fail_msg("%s: %s (%s)", #call, assert_result.reason, fault.text);                      \
    } while (0)

static inline int log_make(void **state) {
    fault = (struct fault){0};
    return folder_make(state);
}

#define LOG_CASE(test) cmocka_unit_test_setup_teardown(test, log_make, folder_drop)

static inline struct log_file *open_log(void) {
    struct log_file *file = NULL;
    assert_no_fault(log_file_open(folder_path, &fault, &file));
    return file;
}

// -1: there is no such file.
static inline off_t size_of(const char *name) {
    struct stat status;
    return fstatat(folder, name, &status, 0) == 0 ? status.st_size : -1;
}

static inline void cut(const char *name, off_t bytes) {
    int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, bytes), 0);
    close(fd);
}

// As on a full disk: what would make a file larger than this is written in part or not at
// all. RLIM_INFINITY: there is room again.
static inline void limit_files(rlim_t bytes) {
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static inline void assert_numbered(struct bytes entry, uint64_t sequence) {
    char number[40];
    int size = snprintf(number, sizeof number, "\"sequence\":%llu,", (unsigned long long)sequence);
    assert_non_null(memmem(entry.at, entry.size, number, (size_t)size));
}

static inline struct publisher_start start_of(const struct log_file *file) {
    const struct checkpoint *at = log_file_checkpoint(file);
    return (struct publisher_start){
        .folder = folder_path,
        .segment = log_file_segment_of(file, at->size / TILE_WIDTH * TILE_WIDTH + 1),
        .durable = log_file_durable(file),
        .at = *at};
}

// What the publisher has becomes the checkpoint. Any signature does: the auditor has no key.
static inline vlt_result write_checkpoint(struct log_file *file, struct publisher *publisher) {
    struct checkpoint next = {.origin = "log.example", .size = publisher_size(publisher)};
    struct signed_note note;
    VLT_TRY(publisher_root(publisher, &next.root));
    signed_note_init(&note);
    checkpoint_put(&next, &note.note);
    buf_put_text(&note.note, "\n\xE2\x80\x94 log.example AAAAAAAAAAA=\n");
    buf_put_text(&note.vkeys, "vkey\n");
    vlt_result result = publisher_write_checkpoint(publisher, &note, &fault);
    signed_note_done(&note);
    if (vlt_is_ok(result))
        log_file_trim(file, &next);
    return result;
}

#endif
