// SPDX-License-Identifier: Apache-2.0
// Overwriting what was removed, page by page: pages that a value does not need, wrong
// counts of them, a file that was altered.
#include "tests/unit/store_scrub_place.h"

// Twice in one transaction: LMDB writes the second into the pages of the first.
static void put_twice(struct store *store, unsigned number, size_t second_bytes) {
    static struct put first, second;
    struct store_change changes[] = {fill(&first, number, 'C', false),
                                     fill(&second, number, 'D', false)};
    struct store_commit_group groups[] = {{.changes = &changes[0], .count = 1},
                                          {.changes = &changes[1], .count = 1}};
    changes[1].value.size = second_bytes;
    assert_ok(store_commit_groups(store, groups, 2));
    assert_ok(groups[0].result);
    assert_ok(groups[1].result);
}

// The first bytes of what fill() makes.
static void check_begin(struct store *store, unsigned number, size_t size) {
    static struct put expected;
    struct bytes value;
    (void)fill(&expected, number, 'D', false);
    assert_ok(store_snapshot_begin(store));
    assert_ok(store_get(store, 1, STORE_ISSUER, bytes_of_text(expected.name), &value, NULL));
    assert_true(bytes_equal(value, bytes_of(expected.value, size)));
    store_snapshot_end(store);
}

// The second one ends within each page of the first, and about the ends of pages; 25
// bytes are before it.
static void scrub_accepts_pages_that_a_value_does_not_need(void **state) {
    static const size_t sizes[] = {0,    100,  3000, 4070,  4071,  4072,
                                   8166, 8167, 8168, 12000, 16359, 16360};
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    for (unsigned i = 0; i < 12; i++)
        put_twice(store, i * 18 + 5, sizes[i]); // of 20000 bytes
    assert_true(count(place, "SECRET-C-") > 1000); // else there was nothing to clear
    commits = 0;
    assert_ok(scrub(store, (const uint8_t *)"SECRET-C-0005SEC", commit_some, &done));
    assert_int_equal(done.left, 0);
    assert_int_equal(count(place, "SECRET-C-"), 0);
    for (unsigned i = 0; i < 12; i++)
        check_begin(store, i * 18 + 5, sizes[i]);
    for (unsigned i = 0; i < RECORDS; i++)
        if (i % 3 != 1 && i % 18 != 5)
            check_value(store, i, i % 3 ? 'B' : 'A');
    store_close(store);
}

// A count of pages that is not that of the value: refused, and nothing that is read is
// touched, even where it would lead into what comes behind.
static void scrub_rejects_a_count_of_pages_that_is_wrong(void **state) {
    static const uint32_t wrong[] = {0, 1, 4, 6, 7, 1000, UINT32_MAX};
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    uint8_t page[4096];
    uint32_t sound = 0;
    assert_ok(scrub(store, NULL, NULL, &done)); // what is found below is in use
    int fd = open(place->file, O_RDWR);
    off_t at = 0;
    assert_true(fd >= 0);
    while (sound != 5) { // of the first value of 20000 bytes
        assert_int_equal(pread(fd, page, sizeof page, at), sizeof page);
        if (page[10] == 4)
            memcpy(&sound, page + 12, sizeof sound);
        at += sizeof page;
    }
    at += 12 - (off_t)sizeof page;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(pwrite(fd, &wrong[i], sizeof wrong[i], at), sizeof wrong[i]);
        assert_int_equal(scrub(store, NULL, NULL, &done).class, VLT_MALFORMED);
        check_all(store);
    }
    assert_int_equal(pwrite(fd, &sound, sizeof sound, at), sizeof sound);
    close(fd);
    assert_ok(scrub(store, NULL, NULL, &done));
    check_all(store);
    store_close(store);
}

// A file that was altered on the disk: refused or cleared, never overrun.
static void scrub_survives_altered_pages(void **state) {
    struct place *place = *state;
    struct stat file;
    store_close(make(place));
    int fd = open(place->file, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &file) == 0);
    const long pages = file.st_size / 4096;
    void *sound = malloc((size_t)file.st_size);
    assert_int_equal(pread(fd, sound, (size_t)file.st_size, 0), file.st_size);
    uint32_t random = 12345;
    for (unsigned round = 0; round < 60; round++) {
        uint8_t page[4096], altered[4096];
        struct store *store = NULL;
        struct store_scrubbed done;
        random = random * 1664525 + 1013904223;
        off_t at = (off_t)(2 + random % (uint32_t)(pages - 2)) * 4096;
        assert_int_equal(pread(fd, page, sizeof page, at), sizeof page);
        memcpy(altered, page, sizeof page);
        for (unsigned i = 0; i < 4; i++) { // mostly in the header and the list of nodes
            random = random * 1664525 + 1013904223;
            altered[random % (i < 3 ? 64 : 4096)] ^= (uint8_t)(1u << (random >> 28 & 7));
        }
        assert_int_equal(pwrite(fd, altered, sizeof altered, at), sizeof altered);
        if (vlt_is_ok(store_open(place->store, STORE_WRITE, NULL, &store)))
            (void)vlt_is_ok(scrub(store, NULL, NULL, &done));
        store_close(store);
        if (round % 20 == 19) { // begin with the sound one again
            assert_int_equal(ftruncate(fd, file.st_size), 0);
            assert_int_equal(pwrite(fd, sound, (size_t)file.st_size, 0), file.st_size);
        }
    }
    free(sound);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(scrub_accepts_pages_that_a_value_does_not_need),
        CASE(scrub_rejects_a_count_of_pages_that_is_wrong),
        CASE(scrub_survives_altered_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
