// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/job_queue.h"

#include "libvault/base/clock.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/log/log.h"

#define PASS_TICKS 10
#define LOOKS_EACH_TICK 200 // plans
#define DUE_EACH_TICK 4

struct looking {
    struct keeper *keeper;
    struct job_queue *queue;
    uint32_t tenant;
    size_t looks, due_count;
    struct job_place due[DUE_EACH_TICK]; // ordered after the look
};

static void place_set(struct job_place *place, uint32_t tenant, struct bytes name) {
    place->tenant = tenant;
    if (!bytes_to_text(name, place->name, sizeof place->name))
        place->name[0] = 0; // no credential has that name
}

void job_queue_add(struct keeper *keeper, uint32_t tenant, struct bytes name) {
    struct job_queue *queue = &keeper->rotations->jobs;
    for (size_t i = 0; i < queue->count; i++)
        if (queue->places[i].tenant == tenant && bytes_equal_text(name, queue->places[i].name))
            return;
    if (queue->count < JOB_QUEUE_MAX)
        place_set(&queue->places[queue->count++], tenant, name);
}

bool job_queue_next(struct keeper *keeper, struct job *ret_job) {
    struct job_queue *queue = &keeper->rotations->jobs;
    for (size_t tries = queue->count; tries > 0 && queue->count > 0; tries--) {
        queue->next = queue->next < queue->count ? queue->next : 0;
        const struct job_place *place = &queue->places[queue->next];
        struct job job;
        vlt_result result =
            job_read(keeper, place->tenant, bytes_of_text(place->name), &job);
        bool is_over = !vlt_is_ok(result) || !record_rotation_is_under_way(&job.record);
        if (is_over)
            queue->places[queue->next] = queue->places[--queue->count];
        else
            queue->next++;
        if (!is_over && job_is_ready(&job, clock_now_s())) {
            *ret_job = job;
            return true;
        }
        if (vlt_is_ok(result))
            job_done(&job);
    }
    return false;
}

void job_queue_forget(struct keeper *keeper) {
    keeper->rotations->jobs.count = 0;
    keeper->rotations->jobs.tenant = 0;
}

// ---- The look ----

static bool is_due(struct keeper *keeper, const struct job *job) {
    const struct record_credential *credential = &job->there.record;
    uint32_t age_s = job->plan.days ? job->plan.days * 86400u : keeper->settings.credential_age_s;
    uint32_t seed = (uint32_t)credential->created_at * 31 + credential->version;
    for (const char *c = credential->name; *c; c++)
        seed = seed * 31 + (uint8_t)*c;
    return job->there.state.status == RECORD_CREDENTIAL_ACTIVE && !credential->staged_version &&
           job->record.not_before <= clock_now_s() &&
           key_age_is_reached(credential->rotated_at ? credential->rotated_at
                                                     : credential->created_at,
                              age_s, seed);
}

static bool look(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct looking *looking = context;
    struct job_queue *queue = looking->queue;
    struct job job;
    if (vlt_is_ok(job_read(looking->keeper, looking->tenant, name, &job))) {
        if (record_rotation_is_under_way(&job.record))
            job_queue_add(looking->keeper, looking->tenant, name);
        else if (is_due(looking->keeper, &job))
            place_set(&looking->due[looking->due_count++], looking->tenant, name);
        job_done(&job);
    }
    memcpy(queue->after, name.at, name.size);
    queue->after_bytes = name.size;
    return ++looking->looks < LOOKS_EACH_TICK && looking->due_count < DUE_EACH_TICK;
}

static void scheduled(struct change *change, vlt_result result, uint64_t revision) {
    if (vlt_is_ok(result))
        job_queue_add(change->keeper, change->changes[0].tenant, change->changes[0].name);
}

static vlt_result order(struct keeper *keeper, const struct job_place *place) {
    struct job job;
    VLT_TRY(job_read(keeper, place->tenant, bytes_of_text(place->name), &job));
    vlt_result result = job_order(&job);
    struct change *change =
        vlt_is_ok(result)
            ? job_change_new(keeper, NULL, &job, "rotate.credential.begin", "by age", scheduled)
            : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (change) {
        result = job_add(&job, change);
        if (vlt_is_ok(result))
            change_run(change);
        else
            change_refuse(change, result);
    }
    job_done(&job);
    return result;
}

static void look_at_tenant(struct keeper *keeper, struct looking *looking) {
    struct job_queue *queue = looking->queue;
    uint8_t after[STORE_NAME_MAX] = {0};
    memcpy(after, queue->after, queue->after_bytes); // the place moves while we look
    looking->tenant = queue->tenant;
    vlt_result result =
        store_each(keeper->store, queue->tenant, STORE_ROTATION_PLAN, bytes_of(NULL, 0),
                   bytes_of(after, queue->after_bytes), look, looking);
    bool is_whole = looking->looks < LOOKS_EACH_TICK && looking->due_count < DUE_EACH_TICK;
    if (!vlt_is_ok(result) || is_whole) {
        queue->tenant++;
        queue->after_bytes = 0;
        looking->looks++;
    }
}

void job_queue_tick(struct keeper *keeper) {
    struct job_queue *queue = &keeper->rotations->jobs;
    struct looking looking = {.keeper = keeper, .queue = queue};
    if (!queue->tenant && keeper->rotations->tick_count % PASS_TICKS != 1)
        return;
    if (!queue->tenant) {
        queue->tenant = 1;
        queue->after_bytes = 0;
    }
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return;
    while (looking.looks < LOOKS_EACH_TICK && looking.due_count < DUE_EACH_TICK &&
           queue->tenant < keeper->next_tenant)
        look_at_tenant(keeper, &looking);
    for (size_t i = 0; i < looking.due_count; i++) {
        vlt_result result = order(keeper, &looking.due[i]);
        if (!vlt_is_ok(result))
            log_warning("%s is not rotated: %s", looking.due[i].name, result.reason);
    }
    store_snapshot_end(keeper->store);
    if (queue->tenant >= keeper->next_tenant)
        queue->tenant = 0;
}
