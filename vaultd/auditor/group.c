// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/group.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/log/log.h"
#include "vaultd/role/worker.h"

struct waiting {
    struct ipc_call *call;
    uint64_t sequence;
    group_done_fn *done;
    void *context;
};
// Those who wait for one write, and the write. One party gathers; the others are
// empty, or on their way to the disk and back.
struct party {
    struct worker_job job; // first: the worker's view of us
    struct group *group;
    struct log_write write;
    int64_t took_ms;
    size_t count;
    struct waiting at[GROUP_MAX];
};

struct group {
    struct event_base *base;
    struct worker *worker; // NULL: the loop writes
    struct event *soon, *gathered;
    size_t expected; // so many may come back after a sync: wait for them; 0: do not
    group_settled_fn *settled;
    void *context;
    bool was_slow;
    struct fault failure; // of the last write; its text is empty when that succeeded

    pthread_mutex_t lock;  // of the rest, which the thread uses as well
    struct log_file *file; // of it, what log_file_add and log_file_follow use
    struct party parties[LOG_FILE_WRITES + 1], *gathering, *empty[LOG_FILE_WRITES];
    size_t empty_count;
    int64_t begun_ms, took_ms; // the write under way, 0: none; the last one
};

// A write is on its way, or has not been taken back yet: the next one follows it.
static bool is_writing(struct group *group) {
    pthread_mutex_lock(&group->lock);
    bool is_writing = group->empty_count < LOG_FILE_WRITES;
    pthread_mutex_unlock(&group->lock);
    return is_writing;
}

// ---- Answers ----

static void answer(struct party *party, vlt_result result) {
    size_t count = party->count;
    party->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct waiting *waiting = &party->at[i];
        waiting->done(waiting->call, result, waiting->sequence, waiting->context);
    }
}

// Administrators are told when decisions stop, go on, or become slow; once each.
static void tell(struct group *group, const struct party *party, vlt_result result) {
    const char *why = fault_or_reason(&party->write.fault, result);
    bool was_failing = group->failure.text[0] != 0;
    bool is_slow = party->took_ms > GROUP_SLOW_MS;
    if (!vlt_is_ok(result) && !was_failing)
        log_error("decisions stop until the audit log can be written again: %s", why);
    else if (vlt_is_ok(result) && was_failing)
        log_notice("the audit log can be written again; decisions go on");
    else if (is_slow && !group->was_slow)
        log_warning("the disk of the audit log is slow: decisions waited %lld ms for it",
                    (long long)party->took_ms);
    group->was_slow = is_slow;
    group->failure.text[0] = 0;
    if (!vlt_is_ok(result))
        snprintf(group->failure.text, sizeof group->failure.text, "%s", why);
}

const char *group_failure(const struct group *group) {
    return group->failure.text[0] ? group->failure.text : NULL;
}

int64_t group_sync_ms(struct group *group) {
    pthread_mutex_lock(&group->lock);
    int64_t ms = group->begun_ms ? clock_elapsed_ms() - group->begun_ms : group->took_ms;
    pthread_mutex_unlock(&group->lock);
    return ms;
}

// The next write waits for those who were answered with this one.
static void gather(struct group *group, const struct party *party, size_t answered) {
    int64_t for_ms = party->took_ms / 4;
    const struct timeval within = {(time_t)(for_ms / 1000), (suseconds_t)(for_ms % 1000 * 1000)};
    bool waits = party->took_ms >= GROUP_GATHER_FROM_MS && group->gathering->count > 0;
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

static vlt_result take_back(struct group *group, struct party *party) {
    pthread_mutex_lock(&group->lock);
    vlt_result result = log_file_end(group->file, &party->write);
    pthread_mutex_unlock(&group->lock);
    return result;
}

static void put_away(struct group *group, struct party *party) {
    pthread_mutex_lock(&group->lock);
    group->empty[group->empty_count++] = party;
    pthread_mutex_unlock(&group->lock);
}

static void write_ended(struct worker_job *job) {
    struct party *party = (struct party *)job;
    struct group *group = party->group;
    vlt_result result = take_back(group, party);
    bool is_lost = !vlt_is_ok(result);
    tell(group, party, result);
    group->settled(is_lost, group->context);
    size_t answered = party->count;
    answer(party, result);
    put_away(group, party);
    if (is_writing(group))
        return; // the last of them does the rest
    if (is_lost)
        answer(group->gathering, result); // their numbers followed those that are free again
    gather(group, party, answered);
    if (!group->expected)
        group_write_soon(group);
}

// ---- Writing ----

// Those who gathered wait for `write` from now on.
static struct party *depart(struct group *group, const struct log_write *write) {
    struct party *party = group->gathering;
    party->write = *write;
    group->gathering = group->empty[--group->empty_count];
    group->begun_ms = clock_elapsed_ms();
    return party;
}

// On a slow disk the loop decides who goes next: see gather.
static struct party *follow(struct group *group, struct party *before) {
    struct log_write write;
    struct party *party = NULL;
    pthread_mutex_lock(&group->lock);
    before->took_ms = group->took_ms = clock_elapsed_ms() - group->begun_ms;
    group->begun_ms = 0;
    if (group->worker && before->took_ms < GROUP_GATHER_FROM_MS && group->empty_count &&
        log_file_follow(group->file, &before->write, &write))
        party = depart(group, &write);
    pthread_mutex_unlock(&group->lock);
    return party;
}

static void run(struct worker_job *job) {
    struct party *party = (struct party *)job;
    log_write_run(&party->write);
    struct party *next = follow(party->group, party);
    if (next)
        worker_submit(party->group->worker, &next->job);
}

// NULL: there is nothing to write.
static struct party *begin(struct group *group) {
    struct log_write write;
    struct party *party = NULL;
    pthread_mutex_lock(&group->lock);
    if (log_file_begin(group->file, &write))
        party = depart(group, &write);
    pthread_mutex_unlock(&group->lock);
    return party;
}

static void on_soon(evutil_socket_t fd, short what, void *context) {
    struct group *group = context;
    if (is_writing(group) || group->expected)
        return;
    struct party *party = begin(group);
    if (!party) {
        answer(group->gathering, vlt_ok()); // for entries that are on the disk by now
    } else if (group->worker) {
        worker_submit(group->worker, &party->job);
    } else {
        run(&party->job);
        write_ended(&party->job);
    }
}

// Behind everything that was readable in this turn of the loop: what arrives
// together is synced together.
void group_write_soon(struct group *group) { event_active(group->soon, EV_TIMEOUT, 0); }

vlt_result group_add(struct group *group, const struct audit_event *event, uint64_t *ret_sequence) {
    pthread_mutex_lock(&group->lock);
    vlt_result result = log_file_add(group->file, event, ret_sequence);
    pthread_mutex_unlock(&group->lock);
    return result;
}

// *ret_count: of those who gather.
static vlt_result join(struct group *group, const struct waiting *waiting, size_t *ret_count) {
    vlt_result result = vlt_ok();
    pthread_mutex_lock(&group->lock);
    struct party *party = group->gathering;
    if (party->count < GROUP_MAX)
        party->at[party->count++] = *waiting;
    else
        result = vlt_fail(VLT_UNAVAILABLE, "the audit log is behind");
    *ret_count = party->count;
    pthread_mutex_unlock(&group->lock);
    return result;
}

vlt_result group_wait(struct group *group, uint64_t sequence, struct ipc_call *call,
                      group_done_fn *done, void *context) {
    const struct waiting waiting = {call, sequence, done, context};
    size_t count;
    VLT_TRY(join(group, &waiting, &count));
    if (group->expected && count >= group->expected)
        gathered(group);
    else if (count == 1)
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
    *group = (struct group){.base = base,
                            .file = file,
                            .soon = event_new(base, -1, 0, on_soon, group),
                            .gathered = evtimer_new(base, on_gathered, group),
                            .settled = settled,
                            .context = context,
                            .empty_count = LOG_FILE_WRITES};
    pthread_mutex_init(&group->lock, NULL);
    for (size_t i = 0; i <= LOG_FILE_WRITES; i++) {
        struct party *party = &group->parties[i];
        party->job = (struct worker_job){.run = run, .done = write_ended};
        party->group = group;
        *(i < LOG_FILE_WRITES ? &group->empty[i] : &group->gathering) = party;
    }
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
    pthread_mutex_destroy(&group->lock);
    free(group);
}
