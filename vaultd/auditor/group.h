// SPDX-License-Identifier: Apache-2.0
// Group commit: whoever waits for an entry is answered when it is on the disk. One
// group is being written and synced by a thread while the next one gathers.
//
//   group_wait ──▶ gathering ──▶ writing (log_write_run, on the thread) ──▶ `done` of each
//                     ▲                        │
//                     └── what arrives meanwhile goes together as soon as that has ended
//
// The thread goes on with what has gathered by itself: the loop, which answers
// meanwhile, would let the disk wait for as long again as a sync takes.
//
// Callers that ask again as soon as they are answered fall apart into two groups
// that wait for each other's syncs. On a slow disk (GROUP_GATHER_FROM_MS) that
// costs half of what it could do; so after a sync the next one waits for those who
// were just answered, for a quarter of the time that the sync took and no longer.
//
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_GROUP_H
#define VLT_AUDITOR_GROUP_H

#include <event2/event.h>

#include "vaultd/auditor/log_file.h"
#include "vaultd/ipc/channel.h"

#define GROUP_MAX 8192     // events that share one sync
#define GROUP_GATHER_FROM_MS 4
#define GROUP_SLOW_MS 500  // a sync that takes longer is worth a line in the log

// Not ok: no entry stands for it, and the caller must be refused.
typedef void group_done_fn(struct ipc_call *call, vlt_result result, uint64_t sequence,
                           void *context);
// After each sync, before those who waited are told; `is_lost`: what is beyond
// log_file_durable is not in the log.
typedef void group_settled_fn(bool is_lost, void *context);

struct group;
// The file must outlive the group.
vlt_result group_new(struct event_base *base, struct log_file *file, group_settled_fn *settled,
                     void *context, struct group **ret_group) VLT_MUST_USE;
void group_free(struct group *group); // waits for the thread, tells who waits; NULL is fine
// Starts the thread, in the sandbox. Before it, the loop writes by itself.
vlt_result group_start(struct group *group) VLT_MUST_USE;
// log_file_add, which must not be called by anybody else from group_new on.
vlt_result group_add(struct group *group, const struct audit_event *event,
                     uint64_t *ret_sequence) VLT_MUST_USE;
// `done` is called once entry `sequence`, which group_add has just given or which
// another caller waits for already, is on the disk or lost. Never from within.
// VLT_UNAVAILABLE: too many wait; `done` is not called.
vlt_result group_wait(struct group *group, uint64_t sequence, struct ipc_call *call,
                      group_done_fn *done, void *context) VLT_MUST_USE;
// What is in the batch is to be written, although nobody waits for it.
void group_write_soon(struct group *group);
// The last write failed, and none has succeeded since; NULL: it did not. Until then
// somebody should try (group_write_soon).
const char *group_failure(const struct group *group);
// How long the last write took, or the present one has taken so far.
int64_t group_sync_ms(struct group *group);
// Waits until everything is written or lost. From then on the loop writes by itself.
void group_end(struct group *group);

#endif
