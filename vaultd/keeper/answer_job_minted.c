// SPDX-License-Identifier: Apache-2.0
// The rotator hands in what a provider made: stored as the staged version, in the
// commit that also says so in the job. Profile, hosts and parameters are those of
// the version in use.
#include <stdlib.h>

#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/credential_put.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/job.h"

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    if (change->context)
        datakey_use_end(change->keeper, change->context);
    struct answer_job_minted answer = {.version = change->number, .revision = revision};
    reply_job_minted(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

// As if an administrator had staged it. Views are of the snapshot.
static vlt_result put_of(struct keeper *keeper, const struct ask_job_minted *ask,
                         const struct job *job, struct ask_credential_put *put) {
    struct record_credential_secret secret;
    struct bytes value;
    uint8_t room[RECORD_SECRET_NAME_MAX];
    VLT_TRY(store_get(
        keeper->store, ask->tenant, STORE_CREDENTIAL_SECRET,
        record_credential_secret_name(ask->name, job->there.record.version, room), &value, NULL));
    VLT_TRY(record_credential_secret_get(value, &secret));
    *put = (struct ask_credential_put){.tenant = ask->tenant,
                                       .name = ask->name,
                                       .mode = CREDENTIAL_STAGE,
                                       .expected_revision = job->there.record_revision,
                                       .profile = secret.profile,
                                       .hosts = secret.hosts,
                                       .parameters = secret.parameters,
                                       .intake_kid = ask->intake_kid,
                                       .jwe_header = ask->jwe_header,
                                       .ciphertext = ask->ciphertext};
    memcpy(put->epk_x, ask->epk_x, sizeof put->epk_x);
    memcpy(put->epk_y, ask->epk_y, sizeof put->epk_y);
    memcpy(put->iv, ask->iv, sizeof put->iv);
    memcpy(put->tag, ask->tag, sizeof put->tag);
    return vlt_ok();
}

static vlt_result run(struct keeper *keeper, struct ipc_call *call,
                      const struct ask_credential_put *ask, struct job *job,
                      const struct credential_put *put) {
    struct change *change = job_change_new(keeper, call, job, "rotate.credential.minted",
                                           job->record.new_id, answered);
    if (!change)
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    vlt_result result = credential_put_fill(keeper, ask, put, change);
    if (vlt_is_ok(result))
        result = job_add(job, change);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
    return vlt_ok();
}

static vlt_result begin(struct keeper *keeper, struct ipc_call *call,
                        const struct ask_job_minted *ask, struct bytes frame, struct job *job) {
    struct ask_credential_put put_ask;
    struct credential_put put;
    struct record_rotation_job *record = &job->record;
    if (record->state != RECORD_ROTATION_MINTING)
        return vlt_fail(VLT_CONFLICT, "nothing was being made");
    if (!bytes_to_text(ask->key_id, record->new_id, sizeof record->new_id) || !record->new_id[0])
        return vlt_fail(VLT_MALFORMED, "a new key needs an id");
    VLT_TRY(put_of(keeper, ask, job, &put_ask));
    VLT_TRY(credential_put_prepare(keeper, &put_ask, &put));
    record->state = RECORD_ROTATION_STAGED;
    record->attempts = 0;
    record->not_before = 0;
    record->error[0] = 0;
    vlt_result result =
        datakey_find(keeper->datakeys, ask->tenant, put.data_key)
            ? run(keeper, call, &put_ask, job, &put)
            : datakey_park(keeper->datakeys, ask->tenant, put.data_key, call, IPC_ASK_job_minted,
                           frame);
    credential_put_done(&put);
    return result;
}

void answer_job_minted(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_job_minted ask;
    struct job job;
    if (!vlt_is_ok(ask_job_minted_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_job_minted");
        return;
    }
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = job_read_as(keeper, ask.tenant, ask.name, ask.revision, &job);
        if (vlt_is_ok(result)) {
            result = begin(keeper, call, &ask, frame, &job);
            job_done(&job);
        }
        store_snapshot_end(keeper->store);
    }
    if (!vlt_is_ok(result))
        reply_failure(call, result);
}
