// SPDX-License-Identifier: Apache-2.0
// What was removed is not in the file any more; what is there stays as it was. Pages that
// are not what they should be, or more than a value needs: test_store_scrub_pages.c.
#include "tests/unit/store_scrub_place.h"

static void scrub_accepts_and_clears(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    assert_true(count(place, "SECRET-A-0301") > 0); // else there was nothing to clear
    assert_ok(scrub(store, NULL, NULL, &done));
    assert_true(done.cleared_bytes > 0 && done.pages > 100);
    check_gone(place);
    check_all(store);
    // Later commits bring nothing back, and the file opens as before.
    for (unsigned i = 0; i < RECORDS; i += 3)
        put(store, i, 'A', false);
    check_gone(place);
    store_close(store);
    assert_ok(store_open(place->store, STORE_WRITE, NULL, &store));
    check_all(store);
    assert_ok(scrub(store, NULL, NULL, &done));
    check_all(store);
    store_close(store);
}

static void scrub_accepts_commits_meanwhile(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    commits = 0;
    assert_ok(scrub(store, (const uint8_t *)"SECRET-A-0301SEC", commit_some, &done));
    assert_int_equal(done.left, 0);
    assert_true(commits >= 15); // some were between two steps
    check_gone(place);
    check_all(store);
    // What is there is found.
    assert_ok(scrub(store, (const uint8_t *)"SECRET-B-0302SEC", commit_some, &done));
    assert_true(done.left > 0);
    check_gone(place);
    check_all(store);
    store_close(store);
}

static void scrub_survives_its_end_at_every_step(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed scrubbed;
    bool is_done = false;
    for (unsigned last = 1; !is_done; last++) {
        struct store_scrub *scrub = NULL;
        assert_ok(store_renew(store));
        assert_ok(store_scrub_new(store, &scrub));
        for (unsigned i = 0; i < last && !is_done; i++)
            assert_ok(store_scrub_step(scrub, &is_done));
        store_scrub_free(scrub);
        commit_some(store);
        check_all(store);
    }
    assert_ok(scrub(store, NULL, NULL, &scrubbed));
    check_gone(place);
    store_close(store);
}

static void scrub_rejects_too_many_needles(void **state) {
    struct store *store = make(*state);
    struct store_scrub *scrub = NULL;
    const uint8_t needle[STORE_NEEDLE_BYTES] = {1};
    assert_ok(store_scrub_new(store, &scrub));
    for (unsigned i = 0; i < STORE_NEEDLES_MAX; i++)
        assert_ok(store_scrub_find(scrub, needle));
    assert_int_equal(store_scrub_find(scrub, needle).class, VLT_LIMIT);
    store_scrub_free(scrub);
    store_close(store);
}

static void scrub_rejects_while_an_old_snapshot_is_read(void **state) {
    struct place *place = *state;
    struct store *store = make(place), *reader = NULL;
    struct store_scrubbed done;
    // Not renewed: LMDB would forget the reader, which is of this process, too.
    assert_ok(store_open(place->store, STORE_READ, NULL, &reader));
    assert_ok(store_snapshot_begin(reader));
    put(store, 3, 'A', true);
    assert_int_equal(steps(store, NULL, NULL, &done).class, VLT_UNAVAILABLE);
    struct bytes value; // what the reader sees is still whole
    assert_ok(store_get(reader, 1, STORE_ISSUER, BYTES_LITERAL("record-0003"), &value, NULL));
    for (size_t at = 0; at < value.size; at++)
        assert_int_equal(value.at[at], (uint8_t)"SECRET-A-0003"[at % 13]);
    store_snapshot_end(reader);
    assert_ok(steps(store, NULL, NULL, &done));
    assert_int_equal(count(place, "SECRET-A-0003"), 0);
    store_close(reader);
    store_close(store);
}

// Holds a snapshot in another process until it is killed.
static pid_t reader_begin(const struct place *place) {
    int ready[2];
    char one = 0;
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct store *reader = NULL;
        if (vlt_is_ok(store_open(place->store, STORE_READ, NULL, &reader)) &&
            vlt_is_ok(store_snapshot_begin(reader)) && write(ready[1], "r", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &one, 1), 1);
    close(ready[0]);
    return child;
}

static void scrub_survives_a_reader_that_died(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    int status;
    pid_t reader = reader_begin(place);
    put(store, 3, 'A', true);
    assert_int_equal(scrub(store, NULL, NULL, &done).class, VLT_UNAVAILABLE);
    assert_true(count(place, "SECRET-A-0003") > 0); // he may read it
    assert_int_equal(kill(reader, SIGKILL), 0);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_ok(steps(store, NULL, NULL, &done)); // what he left in the list is no reader
    assert_int_equal(count(place, "SECRET-A-0003"), 0);
    store_close(store);
}

// As LMDB leaves it: behind a large value is what its memory held before.
static void leave_behind_value(const struct place *place, const char *value, const char *what) {
    uint8_t page[4096];
    unsigned pages = 0;
    int fd = open(place->file, O_RDWR);
    assert_true(fd >= 0);
    for (off_t at = 0; pread(fd, page, sizeof page, at) == sizeof page; at += sizeof page) {
        bool is_large_value = page[10] == 4 && memmem(page, 64, value, strlen(value));
        if (!is_large_value)
            continue;
        pages++;
        assert_int_equal(pwrite(fd, what, strlen(what), at + 4000), strlen(what));
    }
    close(fd);
    assert_true(pages > 0);
}

// Until no page that is free may be reused.
static void commit_until_it_grows(const struct place *place, struct store *store) {
    struct stat before, after;
    unsigned rounds = 0;
    do {
        assert_int_equal(stat(place->file, &before), 0);
        put(store, 0, 'A', false);
        assert_int_equal(stat(place->file, &after), 0);
        assert_true(++rounds < 1000);
    } while (after.st_size == before.st_size);
}

// The first leaf is copied by every commit: while nothing can be reused, to behind the
// end of the file. There it names large values that were written long ago.
static void scrub_survives_a_file_that_grows_at_the_beginning(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrub *scrub = NULL;
    bool is_done = false;
    int status;
    pid_t reader = reader_begin(place);
    commit_until_it_grows(place, store);
    leave_behind_value(place, "SECRET-A-0003", "REMAINS");
    assert_ok(store_renew(store));
    assert_ok(store_scrub_new(store, &scrub));
    assert_ok(store_scrub_step(scrub, &is_done));
    assert_int_equal(kill(reader, SIGKILL), 0);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    store_readers_check(store);
    while (!is_done)
        assert_ok(store_scrub_step(scrub, &is_done));
    store_scrub_free(scrub);
    assert_int_equal(count(place, "REMAINS"), 0);
    check_all(store);
    store_close(store);
}

static void renew_rejects_what_is_being_read(void **state) {
    struct store *store = make(*state);
    struct store_export *export = NULL;
    uint64_t revision, records;
    assert_ok(store_snapshot_begin(store));
    assert_int_equal(store_renew(store).class, VLT_UNAVAILABLE);
    store_snapshot_end(store);
    assert_ok(store_export_begin(store, &revision, &records, &export));
    assert_int_equal(store_renew(store).class, VLT_UNAVAILABLE);
    store_export_end(export);
    assert_ok(store_renew(store));
    put(store, 0, 'A', false);
    check_value(store, 0, 'A');
    store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(scrub_accepts_and_clears),
        CASE(scrub_accepts_commits_meanwhile),
        CASE(scrub_survives_its_end_at_every_step),
        CASE(scrub_rejects_too_many_needles),
        CASE(scrub_rejects_while_an_old_snapshot_is_read),
        CASE(scrub_survives_a_reader_that_died),
        CASE(scrub_survives_a_file_that_grows_at_the_beginning),
        CASE(renew_rejects_what_is_being_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
