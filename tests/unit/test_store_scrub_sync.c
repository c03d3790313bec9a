// SPDX-License-Identifier: Apache-2.0
// A disk that does not take what was written, and a kernel that calls it written from then
// on (fsync(2), EIO): the zeros that are read are not on the disk.
#include <errno.h>

#include "tests/unit/store_scrub_place.h"

// ---- that disk and kernel, under the scrub and not under LMDB (--wrap, store.cmake) ----

#define LOST_MAX 8192

// Zeros that the scrub wrote, and what the disk has there.
static struct lost {
    off_t at;
    size_t size;
    uint8_t *before;
} lost[LOST_MAX];
static size_t lost_count;
static bool notes_writes, fails_next_sync;

ssize_t __real_pread(int fd, void *to, size_t size, off_t at);
ssize_t __real_pwrite(int fd, const void *from, size_t size, off_t at);
int __real_fdatasync(int fd);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at);
int __wrap_fdatasync(int fd);

ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at) {
    if (notes_writes) {
        assert_true(lost_count < LOST_MAX);
        struct lost *one = &lost[lost_count++];
        *one = (struct lost){at, size, malloc(size)};
        assert_int_equal(__real_pread(fd, one->before, size, at), size);
    }
    return __real_pwrite(fd, from, size, at);
}

// Not where LMDB has written since.
static void lose(int fd, const struct lost *one) {
    uint8_t *now = malloc(one->size);
    assert_int_equal(__real_pread(fd, now, one->size, one->at), one->size);
    bool is_zero = now[0] == 0 && memcmp(now, now + 1, one->size - 1) == 0;
    if (is_zero)
        assert_int_equal(__real_pwrite(fd, one->before, one->size, one->at), one->size);
    free(now);
}

int __wrap_fdatasync(int fd) {
    if (!fails_next_sync)
        return __real_fdatasync(fd);
    fails_next_sync = notes_writes = false;
    for (size_t i = 0; i < lost_count; i++)
        lose(fd, &lost[i]);
    errno = EIO;
    return -1;
}

// Until somebody writes there.
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at) {
    ssize_t got = __real_pread(fd, to, size, at);
    for (size_t i = 0; !notes_writes && got > 0 && i < lost_count; i++) {
        const struct lost *one = &lost[i];
        off_t from = one->at - at;
        if (from >= 0 && from + (off_t)one->size <= got &&
            memcmp((uint8_t *)to + from, one->before, one->size) == 0)
            memset((uint8_t *)to + from, 0, one->size);
    }
    return got;
}

static void lose_everything(struct store *store) {
    struct store_scrubbed done;
    notes_writes = fails_next_sync = true;
    vlt_result result = scrub(store, NULL, NULL, &done);
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    assert_true(lost_count > 100 && !fails_next_sync);
}

static void forget_everything(void) {
    while (lost_count > 0)
        free(lost[--lost_count].before);
}

// Of some of the records that have another value now, or none.
static uint64_t traces(const struct place *place, char letter) {
    uint64_t found = 0;
    for (unsigned i = 2; i < RECORDS; i += 27) {
        char needle[40];
        snprintf(needle, sizeof needle, "SECRET-%c-%04u", letter, i);
        found += count(place, needle);
    }
    return found;
}

// ---- cases ----

static void scrub_survives_a_sync_that_failed(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    assert_ok(scrub(store, NULL, NULL, &done)); // zeros are believed from here on
    for (unsigned i = 2; i < RECORDS; i += 3)
        put(store, i, 'B', true);
    lose_everything(store);
    assert_true(traces(place, 'B') > 0);
    assert_ok(scrub(store, NULL, NULL, &done));
    assert_int_equal(traces(place, 'B'), 0);
    forget_everything();
    store_close(store);
}

// The kernel's memory of the file outlives the process.
static void scrub_survives_a_sync_that_failed_in_another_process(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    lose_everything(store);
    store_close(store);
    assert_true(traces(place, 'A') > 0);
    assert_ok(store_open(place->store, STORE_WRITE, NULL, &store));
    assert_ok(scrub(store, NULL, NULL, &done));
    check_gone(place);
    check_all(store);
    forget_everything();
    store_close(store);
}

// Once it is known what is on the disk, only what is not clear is written.
static void scrub_accepts_zeros_that_it_synced(void **state) {
    struct place *place = *state;
    struct store *store = make(place);
    struct store_scrubbed done;
    assert_ok(scrub(store, NULL, NULL, &done));
    notes_writes = true;
    assert_ok(scrub(store, NULL, NULL, &done));
    notes_writes = false;
    assert_true(done.pages > 100 && lost_count < 20);
    forget_everything();
    store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(scrub_survives_a_sync_that_failed),
        CASE(scrub_survives_a_sync_that_failed_in_another_process),
        CASE(scrub_accepts_zeros_that_it_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
