// SPDX-License-Identifier: Apache-2.0
// What was removed is not in the file any more; what is there stays as it was.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/store/store_copy.h"
#include "libvault/store/store_env.h"
#include "libvault/store/store_scrub.h"

#define assert_ok(call) assert_true(vlt_is_ok(call))
#define RECORDS 600
#define TOGETHER 6 // in one commit, where it does not matter

struct place {
    char folder[64], store[96], file[128];
};

static int make_place(void **state) {
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/vault-scrub-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->store, sizeof place->store, "%s/store", place->folder);
    snprintf(place->file, sizeof place->file, "%s/data.mdb", place->store);
    *state = place;
    return 0;
}

static int drop_place(void **state) {
    struct place *place = *state;
    static const char *const files[] = {"data.mdb", "lock.mdb", "writer.lock"};
    char path[160];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", place->store, files[i]);
        unlink(path);
    }
    rmdir(place->store);
    rmdir(place->folder);
    free(place);
    return 0;
}

// Values of every size class: many on a page, nearly a page, several pages.
static size_t value_bytes(unsigned number) {
    static const size_t sizes[] = {40, 300, 1900, 2500, 5000, 20000};
    return sizes[number % 6];
}

struct put {
    char name[24];
    uint8_t value[32768];
};

static struct store_change fill(struct put *put, unsigned number, char letter, bool removes) {
    char secret[40];
    size_t size = value_bytes(number);
    snprintf(put->name, sizeof put->name, "record-%04u", number);
    snprintf(secret, sizeof secret, "SECRET-%c-%04u", letter, number);
    for (size_t at = 0; at < size; at++)
        put->value[at] = (uint8_t)secret[at % strlen(secret)];
    return (struct store_change){.tenant = 1,
                                 .class = STORE_ISSUER,
                                 .name = bytes_of_text(put->name),
                                 .remove = removes,
                                 .value = bytes_of(put->value, removes ? 0 : size),
                                 .expected_revision = STORE_ANY_REVISION};
}

static void put(struct store *store, unsigned number, char letter, bool removes) {
    static struct put one;
    const struct store_change change = fill(&one, number, letter, removes);
    assert_ok(store_commit(store, &change, 1, NULL, NULL));
}

// How often the text occurs in the file.
static uint64_t count(const struct place *place, const char *needle) {
    struct stat file;
    int fd = open(place->file, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &file) == 0);
    char *room = malloc((size_t)file.st_size);
    assert_int_equal(read(fd, room, (size_t)file.st_size), file.st_size);
    close(fd);
    uint64_t found = 0;
    const char *end = room + file.st_size, *at = room;
    while ((at = memmem(at, (size_t)(end - at), needle, strlen(needle)))) {
        found++;
        at++;
    }
    free(room);
    return found;
}

// Every step, with `between` after each; NULL: nothing.
static vlt_result steps(struct store *store, const uint8_t *needle,
                        void (*between)(struct store *store), struct store_scrubbed *scrubbed) {
    struct store_scrub *scrub = NULL;
    bool is_done = false;
    assert_ok(store_scrub_new(store, &scrub));
    if (needle)
        assert_ok(store_scrub_find(scrub, needle));
    vlt_result result = vlt_ok();
    while (vlt_is_ok(result) && !is_done) {
        result = store_scrub_step(scrub, &is_done);
        if (between)
            between(store);
    }
    store_scrub_result(scrub, scrubbed);
    store_scrub_free(scrub);
    return result;
}

static vlt_result scrub(struct store *store, const uint8_t *needle,
                        void (*between)(struct store *store), struct store_scrubbed *scrubbed) {
    assert_ok(store_renew(store));
    return steps(store, needle, between, scrubbed);
}

static void check_value(struct store *store, unsigned number, char letter) {
    char name[24], secret[40];
    struct bytes value;
    snprintf(name, sizeof name, "record-%04u", number);
    snprintf(secret, sizeof secret, "SECRET-%c-%04u", letter, number);
    assert_ok(store_snapshot_begin(store));
    assert_ok(store_get(store, 1, STORE_ISSUER, bytes_of_text(name), &value, NULL));
    assert_int_equal(value.size, value_bytes(number));
    for (size_t at = 0; at < value.size; at++)
        assert_int_equal(value.at[at], (uint8_t)secret[at % strlen(secret)]);
    store_snapshot_end(store);
}

// First A everywhere; then a third is removed and a third becomes B.
static struct store *make(struct place *place) {
    struct store *store = NULL;
    assert_ok(store_open(place->store, STORE_CREATE, NULL, &store));
    for (unsigned i = 0; i < RECORDS; i += TOGETHER) { // a sync for each would take long
        static struct put puts[TOGETHER];
        struct store_change changes[TOGETHER];
        for (unsigned j = 0; j < TOGETHER; j++)
            changes[j] = fill(&puts[j], i + j, 'A', false);
        assert_ok(store_commit(store, changes, TOGETHER, NULL, NULL));
    }
    for (unsigned i = 0; i < RECORDS; i++)
        if (i % 3)
            put(store, i, 'B', i % 3 == 1);
    return store;
}

static void check_all(struct store *store) {
    struct store_size size;
    for (unsigned i = 0; i < RECORDS; i += 3)
        check_value(store, i, 'A');
    for (unsigned i = 2; i < RECORDS; i += 3)
        check_value(store, i, 'B');
    assert_ok(store_measure(store, &size));
    assert_int_equal(size.records, RECORDS / 3 * 2 + 3); // format, revision, scrubbed
}

static void check_gone(const struct place *place) {
    char needle[40];
    for (unsigned i = 0; i < RECORDS; i++)
        if (i % 3) {
            snprintf(needle, sizeof needle, "SECRET-A-%04u", i);
            assert_int_equal(count(place, needle), 0);
        }
    assert_true(count(place, "SECRET-A-0300") > 0); // looking does find what is there
}

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

// Commits between the steps take free pages, free others and copy pages with gaps.
static unsigned commits;
static void commit_some(struct store *store) {
    for (unsigned i = 0; i < 5; i++, commits++)
        put(store, commits * 7 % (RECORDS / 3) * 3, 'A', false);
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

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(scrub_accepts_and_clears),
        CASE(scrub_accepts_commits_meanwhile),
        CASE(scrub_survives_its_end_at_every_step),
        CASE(scrub_rejects_too_many_needles),
        CASE(scrub_rejects_while_an_old_snapshot_is_read),
        CASE(renew_rejects_what_is_being_read),
        CASE(scrub_survives_altered_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
