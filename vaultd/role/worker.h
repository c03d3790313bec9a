// SPDX-License-Identifier: Apache-2.0
// One thread that does what may block (a device, a sync of the disk), in the
// order it was asked, and wakes the event loop when a job is done. The loop
// never waits for it.
#ifndef VLT_ROLE_WORKER_H
#define VLT_ROLE_WORKER_H

#include <event2/event.h>
#include <stdbool.h>

#include "libvault/base/fault.h"

// Embed in the job; must live until `done` begins. `run` is called on the
// thread, `done` later on the loop; done may free the job.
struct worker_job {
    void (*run)(struct worker_job *job);
    void (*done)(struct worker_job *job);
    struct worker_job *next;
};

struct worker;
// VLT_UNAVAILABLE when the thread can not be started.
vlt_result worker_new(struct event_base *base, struct worker **ret_worker) VLT_MUST_USE;
// Waits for the jobs that were submitted, calls their `done`, ends the thread. A
// job that is submitted from then on is run right there.
void worker_end(struct worker *worker);
// The same, but waits for `within_ms` at most. False: a job still runs, and what was
// submitted behind it stays. Thread and worker must then be left as they are, and the
// process ended by _exit.
bool worker_end_within(struct worker *worker, unsigned within_ms) VLT_MUST_USE;
void worker_free(struct worker *worker); // ends it, too; NULL is fine
// From the loop, or from `run` of a job.
void worker_submit(struct worker *worker, struct worker_job *job);
// The job that runs now, and since when (clock_elapsed_ms); NULL: none.
struct worker_job *worker_running(struct worker *worker, int64_t *ret_since_ms);
// Takes back the oldest job that has not begun: neither of its functions is called.
// NULL: none.
struct worker_job *worker_withdraw(struct worker *worker);
size_t worker_pending(struct worker *worker); // submitted, and not done yet

#endif
