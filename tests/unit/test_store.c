// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/store/store_env.h"
#include "tests/unit/check.h"

struct place {
    char folder[64], store[96];
};

static int make_place(void **state) {
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/vault-store-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->store, sizeof place->store, "%s/store", place->folder);
    *state = place;
    return 0;
}

static int drop_place(void **state) {
    struct place *place = *state;
    static const char *const files[] = {"store/data.mdb", "store/lock.mdb", "store/writer.lock"};
    char path[160];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", place->folder, files[i]);
        unlink(path);
    }
    rmdir(place->store);
    rmdir(place->folder);
    free(place);
    return 0;
}

static struct store_change put_of(uint32_t tenant, const char *name, const char *value,
                                  uint64_t expected) {
    return (struct store_change){.tenant = tenant,
                                 .class = STORE_ISSUER,
                                 .name = bytes_of_text(name),
                                 .value = bytes_of_text(value),
                                 .expected_revision = expected};
}

static struct store *create(struct place *place) {
    struct store *store = NULL;
    struct fault fault = {0};
    assert_ok(store_open(place->store, STORE_CREATE, &fault, &store));
    return store;
}

static uint64_t put(struct store *store, uint32_t tenant, const char *name, const char *value) {
    struct store_change change = put_of(tenant, name, value, STORE_ANY_REVISION);
    uint64_t revision = 0;
    assert_ok(store_commit(store, &change, 1, &revision, NULL));
    return revision;
}

static bool holds(struct store *store, uint32_t tenant, const char *name, const char *value) {
    struct bytes found;
    assert_ok(store_snapshot_begin(store));
    vlt_result result = store_get(store, tenant, STORE_ISSUER, bytes_of_text(name), &found, NULL);
    bool is_same = vlt_is_ok(result) && bytes_equal_text(found, value);
    store_snapshot_end(store);
    return is_same;
}

static void store_accepts_what_it_was_given(void **state) {
    struct store *store = create(*state);
    uint64_t first = put(store, 7, "alpha", "one");
    uint64_t second = put(store, 7, "alpha", "two");
    assert_int_equal(second, first + 1);
    assert_true(holds(store, 7, "alpha", "two"));
    assert_false(holds(store, 8, "alpha", "two")); // another tenant
    struct store_change gone = put_of(7, "alpha", "", second);
    gone.remove = true;
    assert_ok(store_commit(store, &gone, 1, NULL, NULL));
    assert_false(holds(store, 7, "alpha", "two"));
    store_close(store);
    assert_ok(store_open(((struct place *)*state)->store, STORE_READ, NULL, &store));
    assert_ok(store_snapshot_begin(store));
    assert_int_equal(store_snapshot_revision(store), second + 1);
    store_snapshot_end(store);
    store_close(store);
}

static void store_accepts_readers_of_its_group(void **state) {
    struct place *place = *state;
    mode_t old = umask(077); // as every role sets it
    struct store *store = create(place);
    umask(old);
    struct stat file;
    char path[160];
    assert_int_equal(stat(place->store, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0750);
    snprintf(path, sizeof path, "%s/data.mdb", place->store);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0640);
    snprintf(path, sizeof path, "%s/lock.mdb", place->store);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0660);
    store_close(store);
}

static void store_rejects_where_none_is(void **state) {
    struct place *place = *state;
    struct store *store = NULL;
    struct fault fault = {0};
    assert_int_equal(store_open(place->store, STORE_READ, &fault, &store).class, VLT_NOT_FOUND);
    assert_int_equal(store_open(place->store, STORE_WRITE, &fault, &store).class, VLT_NOT_FOUND);
    assert_non_null(strstr(fault.text, place->store));
    // An empty file is what a crash right at the start leaves behind.
    char path[160];
    assert_int_equal(mkdir(place->store, 0700), 0);
    snprintf(path, sizeof path, "%s/data.mdb", place->store);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(store_open(place->store, STORE_READ, &fault, &store).class, VLT_NOT_FOUND);
    assert_ok(store_open(place->store, STORE_CREATE, &fault, &store));
    store_close(store);
}

static void store_rejects_a_file_in_place_of_its_folder(void **state) {
    static const enum store_mode modes[] = {STORE_READ, STORE_WRITE, STORE_CREATE};
    struct place *place = *state;
    struct store *store = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s.file", place->store);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct fault fault = {0};
        assert_int_equal(store_open(path, modes[i], &fault, &store).class, VLT_MALFORMED);
        assert_non_null(strstr(fault.text, "is a file and no folder"));
        assert_null(store);
    }
    assert_int_equal(unlink(path), 0);
}

static void store_rejects_a_file_that_is_no_store(void **state) {
    struct place *place = *state;
    char path[160], junk[8192];
    memset(junk, 'x', sizeof junk);
    assert_int_equal(mkdir(place->store, 0700), 0);
    snprintf(path, sizeof path, "%s/data.mdb", place->store);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, junk, sizeof junk), sizeof junk);
    close(fd);
    struct store *store = NULL;
    assert_int_equal(store_open(place->store, STORE_WRITE, NULL, &store).class, VLT_MALFORMED);
    assert_null(store);
}

static void store_rejects_a_newer_version(void **state) {
    struct place *place = *state;
    struct store *store = create(place);
    struct store_change newer = {.class = STORE_META,
                                 .name = BYTES_LITERAL("format"),
                                 .value = bytes_of("\0\0\0\2", 4),
                                 .expected_revision = STORE_ANY_REVISION};
    assert_ok(store_commit(store, &newer, 1, NULL, NULL));
    store_close(store);
    struct fault fault = {0};
    enum store_mode modes[] = {STORE_READ, STORE_WRITE, STORE_CREATE};
    for (size_t i = 0; i < 3; i++) {
        store = NULL;
        assert_int_equal(store_open(place->store, modes[i], &fault, &store).class, VLT_CONFLICT);
        assert_non_null(strstr(fault.text, "format 2"));
        assert_null(store);
    }
}

static void store_rejects_a_second_writer(void **state) {
    struct place *place = *state;
    struct store *store = create(place);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct store *other = NULL;
        _exit(store_open(place->store, STORE_WRITE, NULL, &other).class == VLT_CONFLICT ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    store_close(store);
}

static void store_rejects_a_stale_revision(void **state) {
    struct store *store = create(*state);
    uint64_t first = put(store, 1, "a", "one");
    struct store_change changes[2] = {put_of(1, "b", "new", 0), put_of(1, "a", "two", first - 1)};
    size_t which = 9;
    assert_int_equal(store_commit(store, changes, 2, NULL, &which).class, VLT_CONFLICT);
    assert_int_equal(which, 1);
    assert_false(holds(store, 1, "b", "new")); // all or nothing
    changes[1].expected_revision = 0;          // must be absent
    assert_int_equal(store_commit(store, changes, 2, NULL, NULL).class, VLT_CONFLICT);
    changes[1].expected_revision = first;
    assert_ok(store_commit(store, changes, 2, NULL, NULL));
    assert_true(holds(store, 1, "a", "two"));
    store_close(store);
}

static void store_rejects_changes_without_shape(void **state) {
    struct store *store = create(*state);
    static char large[STORE_VALUE_MAX + 1];
    struct store_change changes[STORE_CHANGES_MAX + 1];
    changes[0] = put_of(1, "a", "", STORE_ANY_REVISION);
    changes[0].value = bytes_of(large, sizeof large);
    assert_int_equal(store_commit(store, changes, 1, NULL, NULL).class, VLT_LIMIT);
    changes[0].value = bytes_of(large, STORE_VALUE_MAX);
    assert_ok(store_commit(store, changes, 1, NULL, NULL));
    changes[0].name = bytes_of(large, STORE_NAME_MAX + 1);
    assert_int_equal(store_commit(store, changes, 1, NULL, NULL).class, VLT_LIMIT);
    changes[0] = changes[1] = put_of(1, "twice", "", STORE_ANY_REVISION);
    assert_int_equal(store_commit(store, changes, 2, NULL, NULL).class, VLT_MALFORMED);
    assert_int_equal(store_commit(store, changes, 0, NULL, NULL).class, VLT_LIMIT);
    assert_int_equal(store_commit(store, changes, STORE_CHANGES_MAX + 1, NULL, NULL).class,
                     VLT_LIMIT);
    store_close(store);
}

static void store_rejects_writes_of_readers(void **state) {
    struct place *place = *state;
    store_close(create(place));
    struct store *store = NULL;
    assert_ok(store_open(place->store, STORE_READ, NULL, &store));
    struct store_change change = put_of(1, "a", "x", STORE_ANY_REVISION);
    assert_int_equal(store_commit(store, &change, 1, NULL, NULL).class, VLT_BUG);
    struct bytes value;
    assert_int_equal(store_get(store, 1, STORE_ISSUER, change.name, &value, NULL).class, VLT_BUG);
    store_close(store);
}

static void group_accepts_independent_commits(void **state) {
    struct store *store = create(*state);
    uint64_t before = put(store, 1, "taken", "x");
    struct store_change first = put_of(1, "a", "1", 0), clash = put_of(1, "taken", "2", 0),
                        // Sees what the first group of the same sync wrote.
        second = put_of(1, "a", "3", before + 1);
    struct store_commit_group groups[3] = {{.changes = &first, .count = 1},
                                           {.changes = &clash, .count = 1},
                                           {.changes = &second, .count = 1}};
    assert_ok(store_commit_groups(store, groups, 3));
    assert_ok(groups[0].result);
    assert_int_equal(groups[0].revision, before + 1);
    assert_int_equal(groups[1].result.class, VLT_CONFLICT);
    assert_ok(groups[2].result);
    assert_int_equal(groups[2].revision, before + 2);
    assert_true(holds(store, 1, "a", "3"));
    assert_true(holds(store, 1, "taken", "x"));
    store_close(store);
}

struct listing {
    char names[256];
    size_t stop_after;
};

static bool note_name(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct listing *listing = context;
    strncat(listing->names, (const char *)name.at, name.size);
    strcat(listing->names, " ");
    return listing->stop_after == 0 || --listing->stop_after > 0;
}

static void expect_list(struct store *store, const char *prefix, const char *after, size_t stop,
                        const char *expected) {
    struct listing listing = {.stop_after = stop};
    assert_ok(store_snapshot_begin(store));
    assert_ok(store_each(store, 5, STORE_ISSUER, bytes_of_text(prefix), bytes_of_text(after),
                         note_name, &listing));
    store_snapshot_end(store);
    assert_string_equal(listing.names, expected);
}

static void each_accepts_prefix_and_place(void **state) {
    struct store *store = create(*state);
    static const char *const names[] = {"b2", "a1", "b10", "b1", "c"};
    for (size_t i = 0; i < 5; i++)
        put(store, 5, names[i], "x");
    put(store, 4, "b0", "x");
    put(store, 6, "b3", "x");
    expect_list(store, "", "", 0, "a1 b1 b10 b2 c ");
    expect_list(store, "b", "", 0, "b1 b10 b2 ");
    expect_list(store, "b", "b1", 0, "b10 b2 ");
    expect_list(store, "b", "b15", 0, "b2 ");
    expect_list(store, "b", "a", 0, "b1 b10 b2 ");
    expect_list(store, "b", "c", 0, "");
    expect_list(store, "", "", 2, "a1 b1 ");
    expect_list(store, "d", "", 0, "");
    store_close(store);
}

static void snapshot_survives_a_commit_beside_it(void **state) {
    struct store *store = create(*state);
    put(store, 1, "a", "old");
    assert_ok(store_snapshot_begin(store));
    assert_int_equal(store_snapshot_begin(store).class, VLT_BUG);
    uint64_t seen = store_snapshot_revision(store);
    put(store, 1, "a", "new");
    struct bytes value;
    assert_ok(store_get(store, 1, STORE_ISSUER, BYTES_LITERAL("a"), &value, NULL));
    assert_true(bytes_equal_text(value, "old"));
    assert_int_equal(store_snapshot_revision(store), seen);
    store_snapshot_end(store);
    assert_true(holds(store, 1, "a", "new"));
    store_close(store);
}

// A full disk: the file may not grow beyond a few pages.
static void commit_survives_a_full_disk(void **state) {
    struct place *place = *state;
    struct store *store = create(place);
    put(store, 1, "kept", "here");
    static char large[60000];
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){1 << 20, old.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    vlt_result result = vlt_ok();
    int written = 0;
    for (; written < 64 && vlt_is_ok(result); written++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", written);
        struct store_change change = put_of(1, name, "", 0);
        change.value = bytes_of(large, sizeof large);
        result = store_commit(store, &change, 1, NULL, NULL);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, handler);
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    assert_string_equal(result.reason, "the disk of the store is full or fails");
    assert_true(written > 4 && written < 30);
    assert_true(holds(store, 1, "kept", "here"));
    put(store, 1, "after", "space again"); // and it goes on
    store_close(store);
    assert_ok(store_open(place->store, STORE_WRITE, NULL, &store));
    assert_true(holds(store, 1, "kept", "here"));
    assert_true(holds(store, 1, "after", "space again"));
    store_close(store);
}

static void commit_survives_a_full_map(void **state) {
    struct place *place = *state;
    struct store *store = NULL;
    assert_ok(store_open_sized(place->store, STORE_CREATE, 256 << 10, NULL, &store));
    put(store, 1, "kept", "here");
    static char large[60000];
    vlt_result result = vlt_ok();
    for (int i = 0; i < 16 && vlt_is_ok(result); i++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", i);
        struct store_change change = put_of(1, name, "", 0);
        change.value = bytes_of(large, sizeof large);
        result = store_commit(store, &change, 1, NULL, NULL);
    }
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    assert_non_null(strstr(result.reason, "map"));
    assert_true(holds(store, 1, "kept", "here"));
    store_close(store);
}

// Writes numbered records for ever and tells each acknowledged one through shared
// memory; is killed at a random instant.
static void write_until_killed(const char *folder, volatile uint32_t *acknowledged) {
    struct store *store = NULL;
    if (!vlt_is_ok(store_open(folder, STORE_WRITE, NULL, &store)))
        _exit(1);
    for (uint32_t i = *acknowledged + 1;; i++) {
        char name[16], half[16];
        snprintf(name, sizeof name, "n%u", i);
        snprintf(half, sizeof half, "m%u", i);
        struct store_change pair[2] = {put_of(3, name, "x", STORE_ANY_REVISION),
                                       put_of(3, half, "x", STORE_ANY_REVISION)};
        if (!vlt_is_ok(store_commit(store, pair, 2, NULL, NULL)))
            _exit(1);
        *acknowledged = i;
    }
}

static void commit_survives_kill_9(void **state) {
    struct place *place = *state;
    store_close(create(place));
    volatile uint32_t *acknowledged =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 12; round++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            write_until_killed(place->store, acknowledged);
        usleep(3000 + 2711u * (unsigned)round);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        struct store *store = NULL;
        assert_ok(store_open(place->store, STORE_WRITE, NULL, &store));
        for (uint32_t i = 1; i <= *acknowledged + 1; i++) {
            char name[16], half[16];
            snprintf(name, sizeof name, "n%u", i);
            snprintf(half, sizeof half, "m%u", i);
            bool is_there = holds(store, 3, name, "x");
            assert_true(is_there || i > *acknowledged);
            assert_int_equal(is_there, holds(store, 3, half, "x")); // never one without the other
        }
        store_readers_check(store);
        store_close(store);
    }
    assert_true(*acknowledged > 0);
    munmap((void *)(uintptr_t)acknowledged, 4096);
}

static void measure_accepts_a_snapshot_around_it(void **state) {
    struct store *store = create(*state);
    uint64_t revision = put(store, 1, "a", "x");
    struct store_size size;
    assert_ok(store_measure(store, &size));
    assert_int_equal(size.revision, revision);
    assert_int_equal(size.records, 3); // format, revision, a
    assert_true(size.used_bytes >= 4096 && size.map_bytes > size.used_bytes);
    assert_ok(store_snapshot_begin(store));
    assert_ok(store_measure(store, &size));
    store_snapshot_end(store);
    store_close(store);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(store_accepts_what_it_was_given),
        CASE(store_accepts_readers_of_its_group),
        CASE(store_rejects_where_none_is),
        CASE(store_rejects_a_file_in_place_of_its_folder),
        CASE(store_rejects_a_file_that_is_no_store),
        CASE(store_rejects_a_newer_version),
        CASE(store_rejects_a_second_writer),
        CASE(store_rejects_a_stale_revision),
        CASE(store_rejects_changes_without_shape),
        CASE(store_rejects_writes_of_readers),
        CASE(group_accepts_independent_commits),
        CASE(each_accepts_prefix_and_place),
        CASE(snapshot_survives_a_commit_beside_it),
        CASE(commit_survives_a_full_disk),
        CASE(commit_survives_a_full_map),
        CASE(commit_survives_kill_9),
        CASE(measure_accepts_a_snapshot_around_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
