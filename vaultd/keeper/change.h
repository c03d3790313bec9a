// SPDX-License-Identifier: Apache-2.0
// A change of the store that somebody asked for: recorded first, then committed,
// then answered. It owns copies of everything it needs, because frames and
// snapshots are gone by the time of the commit.
#ifndef VLT_KEEPER_CHANGE_H
#define VLT_KEEPER_CHANGE_H

#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/commit_queue.h"

// What waits for its record and its commit may take so much memory; beyond it the
// next change is refused. A peer that asks faster than the disk writes gets no more.
#define CHANGES_WAITING_MAX_BYTES ((size_t)64 << 20)

struct change {
    struct audit_wait wait; // first: the auditor's answer comes to it
    struct commit commit;
    struct keeper *keeper;
    struct ipc_call *call; // taken: answered by `answer`, exactly once
    // Replies to the call; `revision` when the result is good. Not for the rest.
    void (*answer)(struct change *change, vlt_result result, uint64_t revision);
    void *context;   // of who made it; NULL
    uint32_t number; // what `answer` has to say: version or tenant number
    struct store_change changes[STORE_CHANGES_MAX];
    size_t count;
    void *kept[STORE_CHANGES_MAX * 2 + 4]; // memory of the changes
    size_t kept_count, bytes; // bytes: of all of it
    struct audit_event event; // its texts are kept, too
    vlt_result refusal;       // of change_refuse
    bool has_failed;          // out of memory while it was put together
};

// NULL: out of memory, or too much waits already (the caller still has the call).
// The event's texts are copied.
struct change *
change_new(struct keeper *keeper, struct ipc_call *call, const struct audit_event *event,
           void (*answer)(struct change *change, vlt_result result, uint64_t revision));
// A copy that lives as long as the change.
struct bytes change_keep(struct change *change, struct bytes bytes);
// Name and value are copied.
void change_add(struct change *change, uint32_t tenant, enum store_class class, struct bytes name,
                struct bytes value, uint64_t expected_revision);
void change_add_removal(struct change *change, uint32_t tenant, enum store_class class,
                        struct bytes name, uint64_t expected_revision);
// Records, commits, answers, frees.
void change_run(struct change *change);
// Records the refusal, answers, frees.
void change_refuse(struct change *change, vlt_result why);

#endif
