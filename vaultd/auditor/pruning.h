// SPDX-License-Identifier: Apache-2.0
// One step of pruning, from the question to its answer:
//
//   PLANNING ─▶ WAITING ─▶ RECORDING ─▶ PUBLISHING ─▶ REMOVING
//   archive?    somebody   audit.prune  a signed      files go
//               signs      is durable   checkpoint
//                                       has it
//
// Whatever ends it before RECORDING leaves no entry that permits anything.
// What reads or removes files (retention.h) runs on the publication's thread: so it never
// writes at the same time as the publisher, and nobody waits for an archive that is slow.
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_PRUNING_H
#define VLT_AUDITOR_PRUNING_H

#include "vaultd/auditor/group.h"
#include "vaultd/auditor/publication.h"

#define PRUNING_PUBLISH_MS 8000 // until a checkpoint must have what is waited for
#define PRUNING_DELAYED_MS 2000 // the same where none can be made

struct pruning;
struct pruning_parts { // all outlive it
    struct log_file *file;
    struct group *group;
    struct publication *publication;
    const char *archive; // its path, or "": as it is when somebody asks
    // Time, and persons as the configuration wants them. The event borrows from there.
    void (*complete)(struct audit_event *event, void *context);
    void *context;
};
// VLT_UNAVAILABLE: out of memory.
vlt_result pruning_new(const struct pruning_parts *parts,
                       struct pruning **ret_pruning) VLT_MUST_USE;
// What is under way goes no further. Before publication and group are freed; NULL is fine.
void pruning_end(struct pruning *pruning);
void pruning_free(struct pruning *pruning); // after they are; NULL is fine
// Answers the call in the end. One at a time: VLT_CONFLICT for a second.
void pruning_begin(struct pruning *pruning, struct ipc_call *call, const struct ask_prune *ask);
// Once a second: nobody waits for ever.
void pruning_look(struct pruning *pruning);

#endif
