// SPDX-License-Identifier: Apache-2.0
// One thread that does what may block (a device, a sync of the disk), in the
// order it was asked, and wakes the event loop when a job is done. The loop
// never waits for it.
#ifndef VLT_KEEPER_WORKER_H
#define VLT_KEEPER_WORKER_H

#include <event2/event.h>

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
void worker_free(struct worker *worker); // ends it, too; NULL is fine
void worker_submit(struct worker *worker, struct worker_job *job);
size_t worker_pending(const struct worker *worker); // submitted, and not done yet

#endif
