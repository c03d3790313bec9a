// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/commit_queue.h"

#include <stddef.h>
#include <stdlib.h>

#include "vaultd/role/worker.h"

#define GROUPS_MAX 256 // commits that share one sync

struct commit_queue {
    struct worker *worker;
    struct store *store;
    struct commit *first, **last; // not yet given to the thread
    size_t waiting;
    // The one job: its arrays are the thread's while is_running.
    struct worker_job job;
    bool is_running, is_broken;
    struct scrub_job *scrub; // wanted, or under way
    struct store_scrub *scrubbing; // NULL before its first step
    struct worker_job scrub_step;
    bool is_scrub_done, scrub_stops, has_scrub_turn;
    size_t group_count;
    struct commit *running[GROUPS_MAX];
    struct store_commit_group groups[GROUPS_MAX];
};

static struct commit_queue *queue_of(struct worker_job *job) {
    return (struct commit_queue *)(void *)((char *)job - offsetof(struct commit_queue, job));
}

static void job_run(struct worker_job *job) {
    struct commit_queue *queue = queue_of(job);
    // Each group has its own result; the sum of them tells nothing more.
    vlt_result result = store_commit_groups(queue->store, queue->groups, queue->group_count);
    (void)result;
}

// ---- Cleaning the file, a step between two commits ----

static void start_next(struct commit_queue *queue);

static struct commit_queue *queue_of_scrub(struct worker_job *job) {
    return (struct commit_queue *)(void *)((char *)job - offsetof(struct commit_queue, scrub_step));
}

static void scrub_run(struct worker_job *job) {
    struct commit_queue *queue = queue_of_scrub(job);
    queue->scrub->result = store_scrub_step(queue->scrubbing, &queue->is_scrub_done);
}

static void scrub_end(struct commit_queue *queue) {
    struct scrub_job *scrub = queue->scrub;
    if (queue->scrubbing)
        store_scrub_result(queue->scrubbing, &scrub->scrubbed);
    store_scrub_free(queue->scrubbing);
    queue->scrubbing = NULL;
    queue->scrub = NULL;
    queue->is_scrub_done = queue->scrub_stops = false;
    scrub->done(scrub);
}

static void scrub_stepped(struct worker_job *job) {
    struct commit_queue *queue = queue_of_scrub(job);
    queue->is_running = false;
    queue->is_broken = store_is_broken(queue->store);
    if (queue->is_scrub_done || !vlt_is_ok(queue->scrub->result))
        scrub_end(queue);
    start_next(queue);
}

// The loop's snapshots must not be open while the environment is renewed, nor the
// thread be busy: between two jobs, here.
static vlt_result scrub_begin(struct commit_queue *queue) {
    const struct scrub_job *scrub = queue->scrub;
    VLT_TRY(store_renew(queue->store));
    VLT_TRY(store_scrub_new(queue->store, &queue->scrubbing));
    for (size_t i = 0; i < scrub->needle_count; i++)
        VLT_TRY(store_scrub_find(queue->scrubbing, scrub->needles[i]));
    return vlt_ok();
}

static void scrub_next(struct commit_queue *queue) {
    queue->has_scrub_turn = false;
    if (queue->scrub_stops)
        queue->scrub->result = vlt_fail(VLT_UNAVAILABLE, "the store is about to be closed");
    else if (!queue->scrubbing)
        queue->scrub->result = scrub_begin(queue);
    queue->is_broken = store_is_broken(queue->store);
    if (!vlt_is_ok(queue->scrub->result)) {
        scrub_end(queue);
        return;
    }
    queue->is_running = true;
    worker_submit(queue->worker, &queue->scrub_step);
}

void commit_queue_scrub(struct commit_queue *queue, struct scrub_job *job) {
    job->result = vlt_ok();
    if (!queue->store || queue->scrub) {
        job->result = vlt_fail(VLT_UNAVAILABLE, "the store can not be cleaned now");
        job->done(job);
        return;
    }
    queue->scrub = job;
    start_next(queue);
}

void commit_queue_stop_scrub(struct commit_queue *queue) {
    queue->scrub_stops = queue->scrub != NULL;
}

// ---- Commits ----

static void start_next(struct commit_queue *queue) {
    // In turns: neither waits for more than one step of the other.
    if (!queue->is_running && queue->scrub && (queue->has_scrub_turn || !queue->first))
        scrub_next(queue);
    if (queue->is_running || !queue->first)
        return;
    queue->has_scrub_turn = true;
    size_t count = 0;
    while (queue->first && count < GROUPS_MAX) {
        struct commit *commit = queue->first;
        queue->first = commit->next;
        queue->running[count] = commit;
        queue->groups[count] =
            (struct store_commit_group){.changes = commit->changes, .count = commit->count};
        count++;
    }
    if (!queue->first)
        queue->last = &queue->first;
    queue->waiting -= count;
    queue->group_count = count;
    queue->is_running = true;
    worker_submit(queue->worker, &queue->job);
}

static void job_done(struct worker_job *job) {
    struct commit_queue *queue = queue_of(job);
    struct commit *finished[GROUPS_MAX];
    struct store_commit_group groups[GROUPS_MAX];
    size_t count = queue->group_count;
    // `done` may add commits and with them start the next job: work on a copy.
    memcpy(finished, queue->running, count * sizeof *finished);
    memcpy(groups, queue->groups, count * sizeof *groups);
    queue->is_running = false;
    queue->is_broken = store_is_broken(queue->store);
    start_next(queue);
    for (size_t i = 0; i < count; i++)
        finished[i]->done(finished[i], groups[i].result, groups[i].revision);
}

vlt_result commit_queue_new(struct event_base *base, struct commit_queue **ret_queue) {
    struct commit_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = worker_new(base, &queue->worker);
    if (!vlt_is_ok(result)) {
        free(queue);
        return result;
    }
    queue->last = &queue->first;
    queue->job.run = job_run;
    queue->job.done = job_done;
    queue->scrub_step.run = scrub_run;
    queue->scrub_step.done = scrub_stepped;
    *ret_queue = queue;
    return vlt_ok();
}

void commit_queue_free(struct commit_queue *queue) {
    if (!queue)
        return;
    commit_queue_stop_scrub(queue);
    worker_free(queue->worker);
    free(queue);
}

void commit_queue_set_store(struct commit_queue *queue, struct store *store) {
    queue->store = store;
}

void commit_queue_add(struct commit_queue *queue, struct commit *commit) {
    if (!queue->store) {
        commit->done(commit, vlt_fail(VLT_UNAVAILABLE, "there is no store yet"), 0);
        return;
    }
    commit->next = NULL;
    *queue->last = commit;
    queue->last = &commit->next;
    queue->waiting++;
    start_next(queue);
}

bool commit_queue_is_broken(const struct commit_queue *queue) {
    return queue->is_broken;
}

size_t commit_queue_pending(const struct commit_queue *queue) {
    return queue->waiting + (queue->is_running ? queue->group_count : 0) + (queue->scrub ? 1 : 0);
}
