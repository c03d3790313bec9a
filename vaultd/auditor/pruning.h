// SPDX-License-Identifier: Apache-2.0
// One step of pruning (retention.h), on the publication's thread: so it never writes at
// the same time as the publisher, and nobody waits for an archive that is slow.
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_PRUNING_H
#define VLT_AUDITOR_PRUNING_H

#include "vaultd/auditor/log_file.h"
#include "vaultd/ipc/channel.h"

struct worker;

struct pruning_order {
    struct ipc_call *call; // ask_prune, whose record is on the disk
    uint64_t until;
    const char *archive; // as retention_prune takes it; copied
};
// Answers the call in the end. `failed` is called before that when nothing, or not all,
// was taken away; why is static. The file must outlive the worker.
void pruning_begin(struct worker *worker, struct log_file *file, const struct pruning_order *order,
                   void (*failed)(uint64_t until, const char *why, void *context), void *context);

#endif
