// SPDX-License-Identifier: Apache-2.0
// The rotator says what became of a step. Each outcome is an edge of the state
// machine (docs/rotation.md) and one commit.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/ipc/job_outcome.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/credential_step.h"
#include "vaultd/keeper/job.h"
#include "vaultd/log/log.h"

#define FAILED_WAIT_S 3600

struct step {
    struct keeper *keeper;
    const struct ask_job_report *ask;
    struct job *job;
    const char *operation; // what is recorded
    char subject[257];
    char error[257];       // "": it went well
    bool promotes, abandons;
};

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_job_report answer = {.revision = revision};
    reply_job_report(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void take_text(struct bytes from, char *text, size_t capacity) {
    size_t size = from.size < capacity ? from.size : capacity - 1;
    for (size_t i = 0; i < size; i++) // it goes into records that have no such bytes
        text[i] = from.at[i] >= 0x20 && from.at[i] < 0x7f ? (char)from.at[i] : '?';
    text[size] = 0;
}

// ---- Edges, by the state that they leave ----

static vlt_result begun(struct step *step) {
    struct record_rotation_job *record = &step->job->record;
    struct wire_reader r;
    if (record->state != RECORD_ROTATION_ORDERED)
        return vlt_fail(VLT_CONFLICT, "nothing was ordered");
    if (!bytes_to_text(step->ask->mark, record->mark, sizeof record->mark) || !record->mark[0])
        return vlt_fail(VLT_MALFORMED, "a new key needs a name");
    wire_reader_init(&r, step->ask->ids);
    for (record->known_count = 0; r.next < r.size && !r.failed; record->known_count++) {
        if (record->known_count == RECORD_KNOWN_MAX)
            return vlt_fail(VLT_LIMIT, "the provider has too many keys to tell a new one");
        wire_get_text(&r, record->known[record->known_count], sizeof *record->known);
    }
    VLT_TRY(wire_reader_end(&r));
    if (step->ask->key_id.size) {
        take_text(step->ask->key_id, record->current_id, sizeof record->current_id);
        record->current_version = step->job->there.record.version;
    }
    record->state = RECORD_ROTATION_MINTING;
    step->operation = "rotate.credential.minting";
    take_text(step->ask->mark, step->subject, sizeof step->subject);
    return vlt_ok();
}

static vlt_result cleaned(struct step *step) {
    struct record_rotation_job *record = &step->job->record;
    struct wire_reader r;
    char id[RECORD_PROVIDER_ID_MAX + 1];
    if (record->state != RECORD_ROTATION_MINTING)
        return vlt_fail(VLT_CONFLICT, "nothing was being made");
    wire_reader_init(&r, step->ask->ids);
    while (r.next < r.size && !r.failed) {
        wire_get_text(&r, id, sizeof id);
        job_note(step->keeper, step->job, "rotate.credential.orphan", id, NULL);
    }
    VLT_TRY(wire_reader_end(&r));
    record->state = RECORD_ROTATION_ORDERED;
    step->operation = "rotate.credential.cleaned";
    snprintf(step->subject, sizeof step->subject, "%s", record->mark);
    take_text(step->ask->why, step->error, sizeof step->error);
    return vlt_ok();
}

static vlt_result verified(struct step *step) {
    if (step->job->record.state != RECORD_ROTATION_STAGED)
        return vlt_fail(VLT_CONFLICT, "nothing is staged");
    step->promotes = true;
    step->operation = "rotate.credential.promote";
    snprintf(step->subject, sizeof step->subject, "%s", step->job->record.new_id);
    return credential_step_verify(&step->job->there);
}

static vlt_result revoked(struct step *step) {
    struct record_rotation_job *record = &step->job->record;
    bool is_cleaning = record->state == RECORD_ROTATION_CLEANING;
    if (record->state != RECORD_ROTATION_REVOKING && !is_cleaning)
        return vlt_fail(VLT_CONFLICT, "nothing is to be revoked");
    step->operation = "rotate.credential.revoked";
    snprintf(step->subject, sizeof step->subject, "%s", record->old_id);
    record->attempts = 0;
    // After a failure the schedule waits; an administrator need not.
    record->not_before = is_cleaning ? clock_now_s() + FAILED_WAIT_S : 0;
    if (!is_cleaning)
        record->error[0] = 0;
    record->old_id[0] = record->mark[0] = 0;
    record->known_count = 0;
    record->state = is_cleaning ? RECORD_ROTATION_FAILED : RECORD_ROTATION_IDLE;
    record->ended_at = clock_now_s();
    return vlt_ok();
}

static vlt_result failed(struct step *step) {
    take_text(step->ask->why, step->error, sizeof step->error);
    step->operation = "rotate.credential.failed";
    snprintf(step->subject, sizeof step->subject, "%s",
             record_rotation_state_name(step->job->record.state));
    log_warning("rotation of %s, %s: %s", step->job->record.name, step->subject, step->error);
    job_defer(step->keeper, step->job, step->error);
    return vlt_ok();
}

static vlt_result refused(struct step *step) {
    if (step->job->record.state != RECORD_ROTATION_STAGED)
        return vlt_fail(VLT_CONFLICT, "nothing is staged");
    VLT_TRY(failed(step));
    if (step->job->record.attempts < JOB_VERIFY_TRIES)
        return vlt_ok();
    step->abandons = true;
    step->operation = "rotate.credential.abandon";
    return vlt_ok();
}

static vlt_result judge(struct step *step) {
    switch (step->ask->outcome) {
    case JOB_BEGUN:
        return begun(step);
    case JOB_CLEANED:
        return cleaned(step);
    case JOB_VERIFIED:
        return verified(step);
    case JOB_REFUSED:
        return refused(step);
    case JOB_REVOKED:
        return revoked(step);
    default:
        return failed(step);
    }
}

// ---- The commit ----

static vlt_result promote(struct step *step, struct change *change) {
    struct job *job = step->job;
    VLT_TRY(credential_step_promote(step->keeper, job->tenant, job->plan.grace_s, &job->there,
                                    change));
    job_promoted(job);
    job_note(step->keeper, job, "rotate.credential.verified", step->subject, NULL);
    if (!job->record.old_id[0])
        job_note(step->keeper, job, "rotate.credential.unrevoked", "",
                 "nobody knows which key at the provider the version before has: revoke it there");
    return credential_there_add(&job->there, job->tenant, change);
}

static vlt_result abandon(struct step *step, struct change *change) {
    struct job *job = step->job;
    VLT_TRY(credential_step_abandon(job->tenant, &job->there, change));
    job_abandoned(job, step->error);
    return credential_there_add(&job->there, job->tenant, change);
}

static vlt_result fill(struct step *step, struct change *change) {
    if (step->promotes)
        VLT_TRY(promote(step, change));
    if (step->abandons)
        VLT_TRY(abandon(step, change));
    if (step->error[0]) { // it was not refused: it failed outside
        change->event.outcome = AUDIT_ERROR;
        change->event.reason = change_keep(change, bytes_of_text(step->error));
    }
    change->event.version = step->job->there.record.version;
    return job_add(step->job, change);
}

static vlt_result run(struct keeper *keeper, struct ipc_call *call,
                      const struct ask_job_report *ask) {
    struct job job;
    struct step step = {.keeper = keeper, .ask = ask, .job = &job};
    VLT_TRY(job_read_as(keeper, ask->tenant, ask->name, ask->revision, &job));
    vlt_result result = judge(&step);
    struct change *change =
        vlt_is_ok(result)
            ? job_change_new(keeper, call, &job, step.operation, step.subject, answered)
            : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    if (change) {
        vlt_result filled = fill(&step, change);
        if (vlt_is_ok(filled))
            change_run(change);
        else
            change_refuse(change, filled);
    }
    job_done(&job);
    return result;
}

void answer_job_report(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_job_report ask;
    if (!vlt_is_ok(ask_job_report_decode(frame, &ask)) || ask.outcome == 0 ||
        ask.outcome >= JOB_OUTCOME_COUNT) {
        ipc_call_refuse(call, "a malformed ask_job_report");
        return;
    }
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = run(keeper, call, &ask);
        store_snapshot_end(keeper->store);
    }
    if (!vlt_is_ok(result))
        reply_failure(call, result);
}
