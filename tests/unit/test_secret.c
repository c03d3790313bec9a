// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/secret/secret_heap.h"
#include "tests/unit/check.h"

#define HEAP_BYTES (1u << 20)

static int open_heap(void **state) {
    struct fault fault = {0};
    assert_true(vlt_is_ok(secret_heap_open(HEAP_BYTES, &fault)));
    return 0;
}

static int close_heap(void **state) {
    assert_int_equal(secret_heap_used_bytes(), 0);
    secret_heap_close();
    assert_int_equal(secret_heap_kind(), SECRET_MEMORY_NONE);
    return 0;
}

// Runs `act` in a child with its own heap and returns how the child ended.
static int end_of_child(void (*act)(void), bool only_locked) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL); // a sanitizer would turn the signal into an exit
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        vlt_result opened = only_locked ? secret_heap_open_locked(HEAP_BYTES, NULL)
                                        : secret_heap_open(HEAP_BYTES, NULL);
        if (!vlt_is_ok(opened))
            _exit(99);
        act();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

// ---- Content ----

static void secret_accepts_content(void **state) {
    struct secret *s = secret_new(8);
    assert_non_null(s);
    assert_int_equal(secret_size(s), 0);
    assert_true(vlt_is_ok(secret_set(s, "12345678", 8)));
    assert_int_equal(secret_size(s), 8);
    assert_memory_equal(secret_borrow(s), "12345678", 8);
    secret_release(s);
    assert_true(vlt_is_ok(secret_set(s, "ab", 2)));
    assert_memory_equal(secret_borrow(s), "ab\0\0\0\0\0\0", 8); // no rest of the old content
    secret_release(s);
    memcpy(secret_borrow_room(s), "xyz", 3);
    secret_release_sized(s, 3);
    assert_int_equal(secret_size(s), 3);
    secret_wipe(s);
    assert_int_equal(secret_size(s), 0);
    assert_memory_equal(secret_borrow(s), "\0\0\0\0\0\0\0\0", 8);
    secret_release(s);
    secret_free(s);
    secret_free(NULL);
}

static void secret_rejects_what_does_not_fit(void **state) {
    struct secret *s = secret_new(4);
    assert_int_equal(secret_set(s, "12345", 5).class, VLT_LIMIT);
    assert_int_equal(secret_set_random(s, 5).class, VLT_LIMIT);
    assert_true(vlt_is_ok(secret_set_random(s, 4)));
    secret_free(s);
}

static void secret_equal_rejects_any_difference(void **state) {
    uint8_t a[32] = {0}, b[32] = {0};
    assert_true(secret_equal(bytes_of(a, 32), bytes_of(b, 32)));
    assert_true(secret_equal(bytes_of(NULL, 0), bytes_of(b, 0)));
    assert_false(secret_equal(bytes_of(a, 31), bytes_of(b, 32)));
    for (size_t bit = 0; bit < 256; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(secret_equal(bytes_of(a, 32), bytes_of(b, 32)));
        b[bit / 8] = 0;
    }
}

// Whatever was written, however large it was said to be in the end.
static void secret_wipe_reaches_all_that_was_written(void **state) {
    static const uint8_t zeros[64];
    struct secret *s = secret_new(64);
    for (unsigned way = 0; way < 5; way++) {
        if (way == 0)
            memset(secret_borrow_room(s), 0xA5, 64);
        else if (way == 1)
            memset(secret_borrow_room_of(s, 40), 0xA5, 40);
        else if (way == 2)
            assert_true(vlt_is_ok(secret_set_random(s, 50)));
        else if (way == 3)
            assert_true(vlt_is_ok(secret_set(s, "0123456789", 10)));
        else
            memset(secret_borrow_room_of(s, 64), 0xA5, 64);
        if (way > 2) // less than what was written before
            memset(secret_borrow_room_of(s, 5), 0x5A, 5);
        secret_release_sized(s, 3);
        secret_wipe(s);
        assert_int_equal(secret_size(s), 0);
        assert_memory_equal(secret_borrow(s), zeros, 64);
        secret_release(s);
    }
    secret_free(s);
}

static void secret_free_wipes(void **state) {
    struct secret *s = secret_new(64);
    memset(secret_borrow_room(s), 0xA5, 64);
    secret_release_sized(s, 64);
    const uint8_t *at = secret_borrow(s); // still mapped after the free: the heap is ours
    secret_free(s);
    for (size_t i = 0; i < 64; i++)
        assert_int_not_equal(at[i], 0xA5);
}

// ---- Heap ----

static void heap_rejects_more_than_it_has(void **state) {
    assert_null(secret_new(2 * HEAP_BYTES));
    assert_null(secret_new(SIZE_MAX - 8));
    assert_null(secret_new(SIZE_MAX / 8));
    struct secret *held[1200];
    size_t count = 0;
    while (count < 1200 && (held[count] = secret_new(1024)))
        count++;
    assert_in_range(count, 900, 1023); // exhausted, without falling back to ordinary memory
    for (size_t i = 0; i < count; i += 2)
        secret_free(held[i]);
    for (size_t i = 1; i < count; i += 2)
        secret_free(held[i]);
    struct secret *large = secret_new(HEAP_BYTES / 10 * 9); // everything merged again
    assert_non_null(large);
    secret_free(large);
}

static void heap_survives_random_use(void **state) {
    enum { SLOTS = 200 };
    static struct { uint8_t *at; size_t size; uint8_t fill; } slots[SLOTS];
    uint32_t seed = 12345;
    for (unsigned step = 0; step < 60000; step++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned slot = (seed >> 8) % SLOTS;
        size_t size = 1 + (seed >> 16) % ((seed >> 4) % 8 ? 300 : 9000);
        for (size_t i = 0; i < slots[slot].size; i++)
            assert_int_equal(slots[slot].at[i], slots[slot].fill);
        uint8_t *at = slots[slot].at;
        if (seed >> 31) { // resize keeps the common part
            size_t common = slots[slot].size < size ? slots[slot].size : size;
            uint8_t *moved = secret_heap_resize(at, size);
            if (!moved)
                continue;
            for (size_t i = 0; i < common; i++)
                assert_int_equal(moved[i], slots[slot].fill);
            at = moved;
        } else {
            secret_heap_give_back(at);
            at = secret_heap_take(size);
        }
        assert_int_equal((uintptr_t)at % 16, 0);
        slots[slot].at = at;
        slots[slot].size = at ? size : 0;
        slots[slot].fill = (uint8_t)step;
        if (at)
            memset(at, slots[slot].fill, size);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        secret_heap_give_back(slots[i].at);
}

static void *churn(void *seed_at) {
    uint32_t seed = *(const uint32_t *)seed_at;
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t size = 1 + (seed >> 16) % 500;
        uint8_t *at = secret_heap_take(size);
        if (!at)
            return seed_at;
        memset(at, (int)seed, size);
        if (at[size - 1] != (uint8_t)seed)
            return seed_at;
        secret_heap_give_back(at);
    }
    return NULL;
}

static void heap_survives_threads(void **state) {
    pthread_t threads[4];
    uint32_t seeds[4] = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &seeds[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
}

static void heap_rejects_a_second_open(void **state) {
    assert_int_equal(secret_heap_open(HEAP_BYTES, NULL).class, VLT_BUG);
}

static void heap_rejects_use_while_closed(void **state) {
    assert_null(secret_new(1));
    assert_int_equal(secret_heap_kind(), SECRET_MEMORY_NONE);
    assert_string_equal(secret_heap_kind_text(), "none");
    assert_int_equal(secret_heap_adopt_openssl().class, VLT_BUG);
    assert_int_equal(secret_heap_open(0, NULL).class, VLT_BUG);
}

// ---- Damage stops the process ----

static void overrun_one_secret(void) {
    struct secret *s = secret_new(24);
    uint8_t *room = secret_borrow_room(s);
    room[secret_capacity(s)] ^= 1;
    secret_free(s);
}

static void overrun_on_release(void) {
    struct secret *s = secret_new(24);
    secret_borrow_room(s)[24] ^= 1;
    secret_release_sized(s, 24);
}

static void free_twice(void) {
    struct secret *s = secret_new(24);
    secret_free(s);
    secret_free(s);
}

static void free_foreign(void) {
    static uint64_t foreign[8];
    secret_heap_give_back(&foreign[4]);
}

static volatile uint8_t *edge_of_heap(int step) {
    struct secret *s = secret_new(16);
    volatile uint8_t *at = secret_borrow_room(s);
    long page = sysconf(_SC_PAGESIZE);
    at = (volatile uint8_t *)((uintptr_t)at / (uintptr_t)page * (uintptr_t)page); // first byte
    return step < 0 ? at - 1 : at + HEAP_BYTES;
}

static void write_below(void) { *edge_of_heap(-1) = 1; }
static void write_above(void) { *edge_of_heap(1) = 1; }

static void damage_survives_nothing(void **state) {
    static void (*const aborts[])(void) = {overrun_one_secret, overrun_on_release, free_twice,
                                           free_foreign};
    for (size_t i = 0; i < sizeof aborts / sizeof *aborts; i++) {
        int status = end_of_child(aborts[i], false);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
    static void (*const faults[])(void) = {write_below, write_above};
    for (int only_locked = 0; only_locked < 2; only_locked++)
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
            int status = end_of_child(faults[i], only_locked);
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), SIGSEGV);
        }
}

// ---- Who else can read it ----

static ssize_t read_own_memory(const void *at, uint8_t *out, size_t size) {
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t got = pread(fd, out, size, (off_t)(uintptr_t)at);
    close(fd);
    return got;
}

static void hidden_memory_rejects_proc_mem(void **state) {
    uint8_t out[16] = {0}, ordinary[16] = "ordinary";
    assert_int_equal(read_own_memory(ordinary, out, sizeof out), sizeof out); // the probe works
    struct secret *s = secret_new(16);
    assert_true(vlt_is_ok(secret_set(s, "0123456789abcdef", 16)));
    memset(out, 0, sizeof out);
    ssize_t got = read_own_memory(secret_borrow(s), out, sizeof out);
    secret_release(s);
    if (secret_heap_kind() == SECRET_MEMORY_HIDDEN)
        assert_true(got < 0);
    else
        print_message("this kernel has no memfd_secret: locked memory only\n");
    secret_free(s);
}

static struct secret *inherited;
static void read_inherited(void) {
    volatile uint8_t byte = *secret_borrow(inherited);
    (void)byte;
}

static void heap_survives_no_fork(void **state) {
    inherited = secret_new(16);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL);
        read_inherited();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    secret_free(inherited);
}

// Root may lock what it likes, so the limit is tried as nobody.
static void heap_rejects_a_low_limit(void **state) {
#ifdef VAULT_SANITIZED
    skip(); // the sanitizers replace mlock by a function that does nothing
#endif
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {4096, 4096};
        setrlimit(RLIMIT_MEMLOCK, &none);
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(98);
        struct fault fault = {0};
        vlt_result opened = secret_heap_open(HEAP_BYTES, &fault);
        bool names_the_limit = strstr(fault.text, "LimitMEMLOCK") && strstr(fault.text, "1024 KiB");
        _exit(opened.class == VLT_UNAVAILABLE && names_the_limit && !secret_new(1) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void locked_memory_accepts_the_same_use(void **state) {
    assert_true(vlt_is_ok(secret_heap_open_locked(HEAP_BYTES, NULL)));
    assert_int_equal(secret_heap_kind(), SECRET_MEMORY_LOCKED);
    struct secret *s = secret_new(32);
    assert_true(vlt_is_ok(secret_set_random(s, 32)));
    secret_free(s);
    secret_heap_close();
}

// OpenSSL can be adopted only before its first allocation: an own process.
static int adopt_and_work(void) {
    if (!vlt_is_ok(secret_heap_open(8u << 20, NULL)) || !vlt_is_ok(secret_heap_adopt_openssl()))
        return 1;
    size_t before = secret_heap_used_bytes();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    bool inside = secret_heap_used_bytes() > before;
    EVP_PKEY_free(key);
    return key && inside ? 0 : 2;
}

static void openssl_accepts_the_heap(void **state) {
    int status = 0;
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(size > 0);
    path[size] = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, "adopt", (char *)NULL);
        _exit(97);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "adopt") == 0)
        return adopt_and_work();
    const struct CMUnitTest with_heap[] = {
        cmocka_unit_test(secret_accepts_content),
        cmocka_unit_test(secret_rejects_what_does_not_fit),
        cmocka_unit_test(secret_equal_rejects_any_difference),
        cmocka_unit_test(secret_wipe_reaches_all_that_was_written),
        cmocka_unit_test(secret_free_wipes),
        cmocka_unit_test(heap_rejects_more_than_it_has),
        cmocka_unit_test(heap_survives_random_use),
        cmocka_unit_test(heap_survives_threads),
        cmocka_unit_test(heap_rejects_a_second_open),
        cmocka_unit_test(hidden_memory_rejects_proc_mem),
        cmocka_unit_test(heap_survives_no_fork),
    };
    const struct CMUnitTest without_heap[] = {
        cmocka_unit_test(heap_rejects_use_while_closed),
        cmocka_unit_test(damage_survives_nothing),
        cmocka_unit_test(heap_rejects_a_low_limit),
        cmocka_unit_test(locked_memory_accepts_the_same_use),
        cmocka_unit_test(openssl_accepts_the_heap),
    };
    int failed = cmocka_run_group_tests(with_heap, open_heap, close_heap);
    return failed + cmocka_run_group_tests(without_heap, NULL, NULL);
}
