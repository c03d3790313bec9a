// SPDX-License-Identifier: Apache-2.0
// A store in a folder of its own, filled with values of every size class, and what its file
// still holds of them. Included by test_store_scrub*.c only.
#ifndef VLT_TESTS_UNIT_STORE_SCRUB_PLACE_H
#define VLT_TESTS_UNIT_STORE_SCRUB_PLACE_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/store/store_copy.h"
#include "libvault/store/store_env.h"
#include "libvault/store/store_scrub.h"
#include "tests/unit/check.h"

#define RECORDS 600
#define TOGETHER 6 // in one commit, where it does not matter

struct place {
    char folder[64], store[96], file[128];
};

static inline int make_place(void **state) {
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/vault-scrub-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->store, sizeof place->store, "%s/store", place->folder);
    snprintf(place->file, sizeof place->file, "%s/data.mdb", place->store);
    *state = place;
    return 0;
}

static inline int drop_place(void **state) {
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
static inline size_t value_bytes(unsigned number) {
    static const size_t sizes[] = {40, 300, 1900, 2500, 5000, 20000};
    return sizes[number % 6];
}

struct put {
    char name[24];
    uint8_t value[32768];
};

static inline struct store_change fill(struct put *put, unsigned number, char letter,
                                       bool removes) {
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

static inline void put(struct store *store, unsigned number, char letter, bool removes) {
    static struct put one;
    const struct store_change change = fill(&one, number, letter, removes);
    assert_ok(store_commit(store, &change, 1, NULL, NULL));
}

// How often the text occurs in the file.
static inline uint64_t count(const struct place *place, const char *needle) {
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
static inline vlt_result steps(struct store *store, const uint8_t *needle,
                               void (*between)(struct store *store),
                               struct store_scrubbed *scrubbed) {
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

static inline vlt_result scrub(struct store *store, const uint8_t *needle,
                               void (*between)(struct store *store),
                               struct store_scrubbed *scrubbed) {
    assert_ok(store_renew(store));
    return steps(store, needle, between, scrubbed);
}

static inline void check_value(struct store *store, unsigned number, char letter) {
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
static inline struct store *make(struct place *place) {
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

static inline void check_all(struct store *store) {
    struct store_size size;
    for (unsigned i = 0; i < RECORDS; i += 3)
        check_value(store, i, 'A');
    for (unsigned i = 2; i < RECORDS; i += 3)
        check_value(store, i, 'B');
    assert_ok(store_measure(store, &size));
    assert_int_equal(size.records, RECORDS / 3 * 2 + 3); // format, revision, scrubbed
}

static inline void check_gone(const struct place *place) {
    char needle[40];
    for (unsigned i = 0; i < RECORDS; i++)
        if (i % 3) {
            snprintf(needle, sizeof needle, "SECRET-A-%04u", i);
            assert_int_equal(count(place, needle), 0);
        }
    assert_true(count(place, "SECRET-A-0300") > 0); // looking does find what is there
}

// Commits between the steps take free pages, free others and copy pages with gaps.
static unsigned commits;
static inline void commit_some(struct store *store) {
    for (unsigned i = 0; i < 5; i++, commits++)
        put(store, commits * 7 % (RECORDS / 3) * 3, 'A', false);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)

#endif
