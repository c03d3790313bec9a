// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/pruning.h"

#include <stdlib.h>

#include "vaultd/auditor/retention.h"
#include "vaultd/keeper/worker.h"
#include "vaultd/log/log.h"

struct pruning {
    struct worker_job job; // first: the worker's view of us
    struct ipc_call *call;
    int folder;
    struct checkpoint at;
    uint64_t until, pruned;
    void (*failed)(uint64_t until, const char *why, void *context);
    void *context;
    vlt_result result;
    struct fault fault;
    char archive[];
};

static void run(struct worker_job *job) {
    struct pruning *p = (struct pruning *)job;
    p->result =
        retention_prune(p->folder, p->archive, &p->at, p->until, &p->fault, &p->pruned);
}

static void done(struct worker_job *job) {
    struct pruning *p = (struct pruning *)job;
    const struct answer_prune answer = {.pruned = p->pruned};
    if (!vlt_is_ok(p->result)) {
        log_error("the audit log is not pruned: %s", fault_or_reason(&p->fault, p->result));
        p->failed(p->until, p->result.reason, p->context);
    }
    reply_prune(p->call, p->result, vlt_is_ok(p->result) ? &answer : NULL);
    free(p);
}

void pruning_begin(struct worker *worker, struct log_file *file, const struct pruning_order *order,
                   void (*failed)(uint64_t until, const char *why, void *context), void *context) {
    size_t archive_bytes = strlen(order->archive) + 1;
    struct pruning *p = calloc(1, sizeof *p + archive_bytes);
    if (!p) {
        failed(order->until, "out of memory", context);
        reply_failure(order->call, vlt_fail(VLT_UNAVAILABLE, "out of memory"));
        return;
    }
    p->job.run = run;
    p->job.done = done;
    p->call = order->call;
    p->folder = log_file_folder_open(file);
    p->at = *log_file_checkpoint(file);
    p->until = order->until;
    p->failed = failed;
    p->context = context;
    memcpy(p->archive, order->archive, archive_bytes);
    worker_submit(worker, &p->job);
}
