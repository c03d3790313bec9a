// SPDX-License-Identifier: Apache-2.0
// The thread of a role: what is submitted runs and is done once, also at its end.
#include "tests/unit/check.h"
#include "vaultd/role/worker.h"

struct counted {
    struct worker_job job;
    unsigned *runs, *dones;
    struct worker *worker;
    struct counted *then; // submitted from done
};
static void counted_run(struct worker_job *job) {
    ++*((struct counted *)job)->runs;
}
static void counted_done(struct worker_job *job) {
    struct counted *counted = (struct counted *)job;
    ++*counted->dones;
    if (counted->then)
        worker_submit(counted->worker, &counted->then->job);
}

static void worker_survives_its_end(void **state) {
    struct event_base *base = event_base_new();
    unsigned runs = 0, dones = 0;
    struct worker *worker;
    struct counted jobs[101], last = {{counted_run, counted_done, NULL}, &runs, &dones, NULL, NULL};
    assert_ok(worker_new(base, &worker));
    for (size_t i = 0; i < 101; i++) {
        jobs[i] = last;
        worker_submit(worker, &jobs[i].job);
    }
    while (dones < 101)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(runs, 101);
    assert_int_equal(worker_pending(worker), 0);
    jobs[0].then = &last;
    last.worker = jobs[0].worker = worker;
    worker_submit(worker, &jobs[0].job);
    worker_free(worker); // finishes the job and the one that its end submits
    assert_int_equal(runs, 103);
    assert_int_equal(dones, 103);
    event_base_free(base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_survives_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
