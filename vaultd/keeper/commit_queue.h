// SPDX-License-Identifier: Apache-2.0
// Group commit: everything that wants to be written while one sync of the disk
// is under way is made durable by the next one. The loop never waits for the
// disk; commits are done in the order in which they were asked for.
#ifndef VLT_KEEPER_COMMIT_QUEUE_H
#define VLT_KEEPER_COMMIT_QUEUE_H

#include <event2/event.h>

#include "libvault/store/store_scrub.h"

// Embed in what waits for the commit. `changes` and what they point to must live
// until `done`, which is called on the loop when the commit is durable or has
// failed.
struct commit {
    const struct store_change *changes;
    size_t count;
    void (*done)(struct commit *commit, vlt_result result, uint64_t revision);
    struct commit *next;
};

struct commit_queue;
vlt_result commit_queue_new(struct event_base *base, struct commit_queue **ret_queue) VLT_MUST_USE;
void commit_queue_free(struct commit_queue *queue); // finishes what was asked for; NULL is fine
// From here on the queue's thread is the only one that commits to `store`, which
// must outlive the queue.
void commit_queue_set_store(struct commit_queue *queue, struct store *store);
void commit_queue_add(struct commit_queue *queue, struct commit *commit);
// The store can not be written any more by this process; see store_is_broken.
bool commit_queue_is_broken(const struct commit_queue *queue);
// Overwrites what was removed from the store and counts how often `needles` still
// occur in its file (store_scrub.h), in steps of some milliseconds between commits.
// One at a time; embed.
struct scrub_job {
    uint8_t needles[STORE_NEEDLES_MAX][STORE_NEEDLE_BYTES];
    size_t needle_count;
    void (*done)(struct scrub_job *job);
    void *context;
    // Results.
    vlt_result result; // VLT_UNAVAILABLE: try again
    struct store_scrubbed scrubbed;
};
void commit_queue_scrub(struct commit_queue *queue, struct scrub_job *job);
// Ends the one that is under way after its present step, with VLT_UNAVAILABLE.
void commit_queue_stop_scrub(struct commit_queue *queue);
size_t commit_queue_pending(const struct commit_queue *queue);

#endif
