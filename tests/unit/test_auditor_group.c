// SPDX-License-Identifier: Apache-2.0
// Group commit: who shares a sync with whom, on disks of any speed, and who is
// told what when a write fails. This file's fdatasync takes as long as a case says.
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/unit/auditor_fixture.h"
#include "tests/unit/check.h"
#include "vaultd/auditor/group.h"
#include "vaultd/auditor/spare.h"

#define CALLERS 16

int fdatasync(int fd); // instead of the C library's

static struct event_base *base;
static struct log_file *file;
static struct group *group;
static atomic_uint sync_ms, syncs;
static atomic_bool is_held; // syncs do not end meanwhile
static unsigned answered, refused, settled_count;
static bool was_lost;

int fdatasync(int fd) {
    const struct timespec delay = {0, (long)atomic_load(&sync_ms) * 1000000L};
    while (atomic_load(&is_held))
        sched_yield();
    nanosleep(&delay, NULL);
    int failed = (int)syscall(SYS_fdatasync, fd);
    atomic_fetch_add(&syncs, 1);
    return failed;
}

static void settled(bool is_lost, void *context) {
    assert_ptr_equal(context, &settled_count);
    settled_count++;
    was_lost = is_lost;
}

static int begin(void **state) {
    answered = refused = settled_count = 0;
    atomic_store(&sync_ms, 0);
    if (log_make(state) != 0 || !(base = event_base_new()))
        return -1;
    file = open_log();
    if (!vlt_is_ok(group_new(base, file, settled, &settled_count, &group)))
        return -1;
    return vlt_is_ok(group_start(group)) ? 0 : -1;
}

static int end(void **state) {
    group_free(group);
    log_file_close(file);
    event_base_free(base);
    return folder_drop(state);
}

static void on_done(struct ipc_call *call, vlt_result result, uint64_t sequence, void *context);

static uint64_t ask(void *context) {
    const struct audit_event event = {
        .kind = AUDIT_REDEEM, .outcome = AUDIT_ALLOW, .at_us = 1, .path = BYTES_LITERAL("/v1")};
    uint64_t sequence = 0;
    assert_true(vlt_is_ok(group_add(group, &event, &sequence)));
    assert_true(vlt_is_ok(group_wait(group, sequence, NULL, on_done, context)));
    return sequence;
}

// Asks again while the case has rounds left, as a connection does.
static void on_done(struct ipc_call *call, vlt_result result, uint64_t sequence, void *context) {
    assert_null(call);
    if (!vlt_is_ok(result)) {
        refused++;
        return;
    }
    assert_true(sequence <= log_file_durable(file));
    answered++;
    unsigned *left = context;
    if (left && *left && --*left)
        ask(left);
}

static void run_until(const unsigned *counter, unsigned count) {
    for (unsigned turn = 0; *counter < count && turn < 100000; turn++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(*counter, count);
}

static void group_accepts_what_arrives_meanwhile(void **state) {
    atomic_store(&sync_ms, 30);
    atomic_store(&syncs, 0);
    ask(NULL);
    event_base_loop(base, EVLOOP_NONBLOCK); // it is on its way
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(ask(NULL), i + 2);
    assert_int_equal(answered, 0);
    run_until(&answered, 1);
    run_until(&answered, 11);
    assert_int_equal(atomic_load(&syncs), 2);
    assert_int_equal(settled_count, 2);
    assert_false(was_lost);
    assert_in_range(group_sync_ms(group), 25, 2000);
    assert_null(group_failure(group));
}

// Files with room, as they are a moment after the start.
static void make_room(void) {
    ask(NULL);
    run_until(&answered, 1);
    assert_true(vlt_is_ok(spare_make(log_file_folder_open(file), &fault)));
    log_file_set_spare(file);
    ask(NULL);
    run_until(&answered, 2);
}

static bool two_syncs_without_the_loop(void) {
    const struct timespec a_moment = {0, 1000000};
    atomic_store(&syncs, 0);
    atomic_store(&is_held, true);
    ask(NULL);
    event_base_loop(base, EVLOOP_NONBLOCK); // it is on its way
    ask(NULL);
    atomic_store(&is_held, false);
    for (unsigned i = 0; atomic_load(&syncs) < 2 && i < 100; i++)
        nanosleep(&a_moment, NULL);
    return atomic_load(&syncs) == 2;
}

// The loop may be busy: the next group does not wait for it, unless this machine was
// so slow just then that the disk seemed to be.
static void group_accepts_one_behind_another_without_the_loop(void **state) {
    make_room();
    bool is_seen = false;
    for (unsigned i = 0; !is_seen && i < 50; i++) {
        unsigned before = answered;
        is_seen = two_syncs_without_the_loop();
        assert_int_equal(answered, before);
        ask(NULL); // as many are under way as there may be: this one waits for the loop
        run_until(&answered, before + 3);
        assert_int_equal(log_file_durable(file), answered);
    }
    assert_true(is_seen);
}

// Callers that came apart come together again, so each round is one sync.
static void group_accepts_who_comes_back(void **state) {
    unsigned left[CALLERS];
    atomic_store(&sync_ms, 20);
    atomic_store(&syncs, 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        left[i] = 10;
        ask(&left[i]);
        if (i == 0)
            event_base_loop(base, EVLOOP_NONBLOCK); // the first one goes alone
    }
    run_until(&answered, CALLERS * 10);
    assert_in_range(atomic_load(&syncs), 10, 14);
}

// One caller alone never waits for others.
static void group_accepts_one_caller(void **state) {
    unsigned left = 20;
    atomic_store(&sync_ms, 8);
    atomic_store(&syncs, 0);
    ask(&left);
    run_until(&answered, 20);
    assert_int_equal(atomic_load(&syncs), 20);
}

// The entry that somebody waits for may be on the disk already (repeats.h).
static void group_accepts_an_entry_that_is_there(void **state) {
    uint64_t sequence = ask(NULL);
    run_until(&answered, 1);
    assert_true(vlt_is_ok(group_wait(group, sequence, NULL, on_done, NULL)));
    run_until(&answered, 2);
}

static void group_rejects_both_groups_when_a_write_fails(void **state) {
    ask(NULL);
    run_until(&answered, 1);
    assert_int_equal(renameat(folder, FIRST, folder, "away"), 0);
    ask(NULL);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ask(NULL);
    ask(NULL);
    run_until(&refused, 3);
    assert_true(was_lost);
    assert_non_null(group_failure(group));
    assert_int_equal(log_file_next(file), 2);
    assert_int_equal(renameat(folder, "away", folder, FIRST), 0);
    assert_int_equal(ask(NULL), 2);
    run_until(&answered, 2);
    assert_null(group_failure(group));
}

static void group_rejects_more_than_it_holds(void **state) {
    uint64_t sequence = ask(NULL);
    vlt_result result = vlt_ok();
    unsigned count = 1;
    while (vlt_is_ok(result) && count <= GROUP_MAX)
        if (vlt_is_ok(result = group_wait(group, sequence, NULL, on_done, NULL)))
            count++;
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    assert_int_equal(count, GROUP_MAX);
    run_until(&answered, GROUP_MAX);
}

static void group_survives_its_end(void **state) {
    atomic_store(&sync_ms, 20);
    ask(NULL);
    event_base_loop(base, EVLOOP_NONBLOCK);
    ask(NULL); // gathers
    group_end(group);
    assert_int_equal(answered, 2);
    ask(NULL); // the loop writes by itself
    run_until(&answered, 3);
    assert_int_equal(log_file_durable(file), 3);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(group_accepts_what_arrives_meanwhile),
        CASE(group_accepts_one_behind_another_without_the_loop),
        CASE(group_accepts_who_comes_back),
        CASE(group_accepts_one_caller),
        CASE(group_accepts_an_entry_that_is_there),
        CASE(group_rejects_both_groups_when_a_write_fails),
        CASE(group_rejects_more_than_it_holds),
        CASE(group_survives_its_end),
    };
    return cmocka_run_group_tests_name("auditor_group", tests, NULL, NULL);
}
