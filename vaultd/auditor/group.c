// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/group.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/worker.h"
#include "vaultd/log/log.h"

struct waiting {
    struct ipc_call *call;
    uint64_t sequence;
    group_done_fn *done;
    void *context;
};
struct waiters {
    struct waiting at[GROUP_MAX];
    size_t count;
};

struct group {
    struct worker_job job; // first: the worker's view of us
    struct event_base *base;
    struct worker *worker; // NULL: the loop writes
    struct log_file *file;
    struct event *soon, *gathered;
    size_t expected; // so many may come back after a sync: wait for them; 0: do not
    group_settled_fn *settled;
    void *context;
    struct log_write write;
    struct waiters rooms[2], *gathering, *writing;
    int64_t begun_ms, took_ms;
    bool is_writing, was_slow;
    struct fault failure; // of the last write; its text is empty when that succeeded
};

// ---- Answers ----

static void answer(struct waiters *waiters, vlt_result result) {
    size_t count = waiters->count;
    waiters->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct waiting *waiting = &waiters->at[i];
        waiting->done(waiting->call, result, waiting->sequence, waiting->context);
    }
}

// Administrators are told when decisions stop, go on, or become slow; once each.
static void tell(struct group *group, vlt_result result) {
    const char *why = fault_or_reason(&group->write.fault, result);
    bool was_failing = group->failure.text[0] != 0;
    group->took_ms = clock_elapsed_ms() - group->begun_ms;
    bool is_slow = group->took_ms > GROUP_SLOW_MS;
    if (!vlt_is_ok(result) && !was_failing)
        log_error("decisions stop until the audit log can be written again: %s", why);
    else if (vlt_is_ok(result) && was_failing)
        log_notice("the audit log can be written again; decisions go on");
    else if (is_slow && !group->was_slow)
        log_warning("the disk of the audit log is slow: decisions waited %lld ms for it",
                    (long long)group->took_ms);
    group->was_slow = is_slow;
    group->failure.text[0] = 0;
    if (!vlt_is_ok(result))
        snprintf(group->failure.text, sizeof group->failure.text, "%s", why);
}

const char *group_failure(const struct group *group) {
    return group->failure.text[0] ? group->failure.text : NULL;
}

int64_t group_sync_ms(const struct group *group) {
    return group->is_writing ? clock_elapsed_ms() - group->begun_ms : group->took_ms;
}

// The next write waits for those who were answered with this one.
static void gather(struct group *group, size_t answered) {
    int64_t for_ms = group->took_ms / 4;
    const struct timeval within = {(time_t)(for_ms / 1000), (suseconds_t)(for_ms % 1000 * 1000)};
    bool waits = group->took_ms >= GROUP_GATHER_FROM_MS && group->gathering->count > 0;
    group->expected = waits ? group->gathering->count + answered : 0;
    if (waits && event_add(group->gathered, &within) != 0)
        group->expected = 0;
}

static void gathered(struct group *group) {
    group->expected = 0;
    event_del(group->gathered);
    group_write_soon(group);
}

static void on_gathered(evutil_socket_t fd, short what, void *context) { gathered(context); }

static void write_ended(struct worker_job *job) {
    struct group *group = (struct group *)job;
    vlt_result result = log_file_end(group->file, &group->write);
    bool is_lost = !vlt_is_ok(result);
    group->is_writing = false;
    tell(group, result);
    group->settled(is_lost, group->context);
    size_t answered = group->writing->count;
    answer(group->writing, result);
    if (is_lost)
        answer(group->gathering, result); // their numbers followed those that are free again
    gather(group, answered);
    if (!group->expected)
        group_write_soon(group);
}

// ---- Writing ----

static void run(struct worker_job *job) { log_write_run(&((struct group *)job)->write); }

// False: there is nothing to write.
static bool begin(struct group *group) {
    if (!log_file_begin(group->file, &group->write))
        return false;
    struct waiters *empty = group->writing;
    group->writing = group->gathering;
    group->gathering = empty;
    group->is_writing = true;
    group->begun_ms = clock_elapsed_ms();
    return true;
}

static void on_soon(evutil_socket_t fd, short what, void *context) {
    struct group *group = context;
    if (group->is_writing || group->expected)
        return;
    if (!begin(group)) {
        answer(group->gathering, vlt_ok()); // for entries that are on the disk by now
    } else if (group->worker) {
        worker_submit(group->worker, &group->job);
    } else {
        run(&group->job);
        write_ended(&group->job);
    }
}

// Behind everything that was readable in this turn of the loop: what arrives
// together is synced together.
void group_write_soon(struct group *group) { event_active(group->soon, EV_TIMEOUT, 0); }

vlt_result group_wait(struct group *group, uint64_t sequence, struct ipc_call *call,
                      group_done_fn *done, void *context) {
    struct waiters *waiters = group->gathering;
    if (waiters->count == GROUP_MAX)
        return vlt_fail(VLT_UNAVAILABLE, "the audit log is behind");
    waiters->at[waiters->count++] = (struct waiting){call, sequence, done, context};
    if (group->expected && waiters->count >= group->expected)
        gathered(group);
    else if (!group->is_writing && waiters->count == 1)
        group_write_soon(group);
    return vlt_ok();
}

// ---- Life ----

static void events_free(struct group *group) {
    if (group->soon)
        event_free(group->soon);
    if (group->gathered)
        event_free(group->gathered);
}

vlt_result group_new(struct event_base *base, struct log_file *file, group_settled_fn *settled,
                     void *context, struct group **ret_group) {
    struct group *group = calloc(1, sizeof *group);
    if (!group)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    *group = (struct group){.job = {.run = run, .done = write_ended},
                            .base = base,
                            .file = file,
                            .soon = event_new(base, -1, 0, on_soon, group),
                            .gathered = evtimer_new(base, on_gathered, group),
                            .settled = settled,
                            .context = context,
                            .gathering = &group->rooms[0],
                            .writing = &group->rooms[1]};
    if (!group->soon || !group->gathered) {
        events_free(group);
        free(group);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    *ret_group = group;
    return vlt_ok();
}

vlt_result group_start(struct group *group) { return worker_new(group->base, &group->worker); }

void group_end(struct group *group) {
    worker_free(group->worker); // what is being written ends, and its callers are told
    group->worker = NULL;
    group->expected = 0;
    on_soon(-1, 0, group);
}

void group_free(struct group *group) {
    if (!group)
        return;
    group_end(group);
    events_free(group);
    free(group);
}
