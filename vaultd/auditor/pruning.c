// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/pruning.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/auditor/retention.h"
#include "vaultd/log/log.h"
#include "vaultd/role/worker.h"

enum phase {
    PHASE_IDLE,
    PHASE_PLANNING,
    PHASE_WAITING,
    PHASE_RECORDING,
    PHASE_PUBLISHING,
    PHASE_REMOVING
};

struct pruning {
    struct worker_job job; // first: the worker's view of us
    struct pruning_parts parts;
    enum phase phase;
    bool is_ending;
    struct ipc_call *call;
    uint8_t event[8192]; // who asked
    size_t event_bytes;
    char archive[IPC_TEXT_MAX + 1];
    uint64_t until, sequence, pruned; // what was asked; the entry; what is gone
    uint64_t awaited;                 // entry that a checkpoint must have before it goes on
    int64_t since_ms;                 // since when

    // The loop's between jobs, the thread's during one.
    struct retention order;
    struct retention_step step;
    vlt_result result;
    struct fault fault;
};

// ---- The entry ----

// In the words of who asked, but not what it is about: that is what it is believed for.
static vlt_result add_entry(struct pruning *p, enum audit_outcome outcome, uint64_t until,
                            const char *reason) {
    char subject[LOG_PRUNED_SUBJECT_SIZE];
    struct audit_event event;
    VLT_TRY(audit_event_get(bytes_of(p->event, p->event_bytes), &event));
    log_pruned_subject(until, subject);
    event.kind = AUDIT_VAULT;
    event.outcome = (uint8_t)outcome;
    event.operation = BYTES_LITERAL(LOG_PRUNED_OPERATION);
    event.subject = bytes_of_text(subject);
    event.reason = bytes_of_text(reason);
    event.at_us = event.repeats = 0;
    p->parts.complete(&event, p->parts.context);
    return group_add(p->parts.group, &event, &p->sequence);
}

// ---- The end ----

static void answer(struct pruning *p, vlt_result result) {
    const struct answer_prune answer = {.pruned = p->pruned};
    struct ipc_call *call = p->call;
    p->call = NULL;
    p->phase = PHASE_IDLE;
    if (result.class == VLT_CRYPTO || result.class == VLT_MALFORMED) // of the log, not of who asks
        result.class = VLT_CONFLICT;
    reply_prune(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void not_pruned(struct pruning *p, vlt_result result) {
    log_error("the audit log is not pruned: %s", fault_or_reason(&p->fault, result));
    if (vlt_is_ok(add_entry(p, AUDIT_ERROR, p->until, result.reason)))
        group_write_soon(p->parts.group);
    answer(p, result);
}

// ---- Removing ----

// On the thread, as the patrol is: it never meets the file before it knows.
static void said(uint64_t until, void *context) {
    struct pruning *p = context;
    publication_pruned(p->parts.publication, until);
}

static void run(struct worker_job *job) {
    struct pruning *p = (struct pruning *)job;
    p->fault = (struct fault){0};
    p->result = p->phase == PHASE_PLANNING
                    ? retention_plan(&p->order, p->until, &p->fault, &p->step)
                    : retention_prune(&p->order, &p->step, p->sequence, &p->fault, &p->pruned);
}

static void submit(struct pruning *p, enum phase phase) {
    p->phase = phase;
    p->order = (struct retention){.folder = log_file_folder_open(p->parts.file),
                                  .archive = p->archive,
                                  .at = *log_file_checkpoint(p->parts.file),
                                  .said = said,
                                  .context = p};
    worker_submit(publication_worker(p->parts.publication), &p->job);
}

// ---- Recording ----

static void await(struct pruning *p, enum phase phase, uint64_t sequence) {
    p->phase = phase;
    p->awaited = sequence;
    p->since_ms = clock_elapsed_ms();
    publication_hurry(p->parts.publication);
}

static void recorded(struct ipc_call *call, vlt_result result, uint64_t sequence, void *context) {
    struct pruning *p = context;
    if (p->is_ending)
        return; // pruning_free answers
    if (!vlt_is_ok(result)) {
        answer(p, result);
        return;
    }
    await(p, PHASE_PUBLISHING, sequence);
}

static void record(struct pruning *p) {
    p->phase = PHASE_RECORDING;
    vlt_result result = add_entry(p, AUDIT_ALLOW, p->step.until, "");
    if (vlt_is_ok(result))
        result = group_wait(p->parts.group, p->sequence, p->call, recorded, p);
    if (!vlt_is_ok(result))
        answer(p, result);
}

// An entry that permits stays, also where nothing was removed afterwards. So none is made
// while nobody signs: a checkpoint must have all that was recorded before.
static void record_if_signed(struct pruning *p) {
    uint64_t durable = log_file_durable(p->parts.file);
    if (log_file_checkpoint(p->parts.file)->size >= durable &&
        !publication_unsigned(p->parts.publication)[0])
        record(p);
    else
        await(p, PHASE_WAITING, durable);
}

static void published(void *context) {
    struct pruning *p = context;
    if (p->is_ending || log_file_checkpoint(p->parts.file)->size < p->awaited)
        return;
    if (p->phase == PHASE_WAITING)
        record(p);
    else if (p->phase == PHASE_PUBLISHING)
        submit(p, PHASE_REMOVING);
}

static void done(struct worker_job *job) {
    struct pruning *p = (struct pruning *)job;
    if (p->is_ending)
        return; // pruning_free answers
    if (!vlt_is_ok(p->result))
        not_pruned(p, p->result);
    else if (p->phase == PHASE_PLANNING)
        record_if_signed(p);
    else
        answer(p, vlt_ok());
}

// ---- From outside ----

static vlt_result permit(struct pruning *p, const struct ask_prune *ask) {
    const char *refusal = publication_refusal(p->parts.publication);
    if (p->phase != PHASE_IDLE)
        return vlt_fail(VLT_CONFLICT, "entries are being pruned: try again when that is done");
    if (refusal)
        return vlt_fail(VLT_UNAVAILABLE, refusal);
    if (!p->parts.archive[0] && !ask->is_archived)
        return vlt_fail(VLT_CONFLICT,
                        "audit.archive is not set, so nobody here knows whether an archive has "
                        "these entries: use `vaultctl audit prune`, which verifies one, or say "
                        "\"archived\": true when you have done that");
    if (ask->event.size > sizeof p->event)
        return vlt_fail(VLT_MALFORMED, "an event that is too long");
    return vlt_ok();
}

void pruning_begin(struct pruning *p, struct ipc_call *call, const struct ask_prune *ask) {
    vlt_result result = permit(p, ask);
    if (!vlt_is_ok(result)) {
        reply_failure(call, result);
        return;
    }
    p->call = call;
    p->until = ask->until;
    p->event_bytes = ask->event.size;
    if (ask->event.size)
        memcpy(p->event, ask->event.at, ask->event.size);
    snprintf(p->archive, sizeof p->archive, "%s", p->parts.archive);
    submit(p, PHASE_PLANNING);
}

void pruning_look(struct pruning *p) {
    if (p->phase != PHASE_WAITING && p->phase != PHASE_PUBLISHING)
        return;
    int64_t waited_ms = clock_elapsed_ms() - p->since_ms;
    const char *delay = publication_unsigned(p->parts.publication);
    if (waited_ms < (delay[0] ? PRUNING_DELAYED_MS : PRUNING_PUBLISH_MS))
        return;
    p->fault = (struct fault){0};
    not_pruned(p, fault_set(&p->fault, VLT_UNAVAILABLE,
                            p->phase == PHASE_WAITING
                                ? "nobody signs checkpoints of the audit log now (see `vaultctl "
                                  "status`; a sealed vault signs none): nothing was permitted, "
                                  "nothing was removed"
                                : "no signed checkpoint has the record of the pruning yet (see "
                                  "`vaultctl status`; nobody signs while the vault is sealed): "
                                  "nothing was removed",
                            "no checkpoint has entry %llu after %lld ms: %s",
                            (unsigned long long)p->awaited, (long long)waited_ms, delay));
}

vlt_result pruning_new(const struct pruning_parts *parts, struct pruning **ret_pruning) {
    struct pruning *p = calloc(1, sizeof *p);
    if (!p)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    p->job.run = run;
    p->job.done = done;
    p->parts = *parts;
    publication_set_listener(parts->publication, published, p);
    *ret_pruning = p;
    return vlt_ok();
}

void pruning_end(struct pruning *p) {
    if (p)
        p->is_ending = true;
}

void pruning_free(struct pruning *p) {
    if (p && p->call)
        reply_failure(p->call, vlt_fail(VLT_UNAVAILABLE, "the auditor ends"));
    free(p);
}
