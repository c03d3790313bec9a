// SPDX-License-Identifier: Apache-2.0
// The rotator needs a value for the step that is next: that of the credential that
// makes keys, or the staged one. The keeper decides which, checks that it may go
// to that host, has it recorded, and only then decrypts.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/job.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/tenant_name.h"

struct opening {
    struct audit_wait wait;
    struct ipc_call *call;
    uint32_t tenant, version;
    uint64_t revision; // of the job
    char job[RECORD_NAME_MAX + 1], credential[RECORD_NAME_MAX + 1];
    char tenant_name[RECORD_NAME_MAX + 1];
};

static const char gone[] = "the rotation went on without this step";

// Which credential, and which version of it.
static vlt_result choose(struct keeper *keeper, const struct job *job, struct opening *opening) {
    struct credential_there manager;
    bool tries_staged = job->record.state == RECORD_ROTATION_STAGED;
    const struct record_credential *own = &job->there.record;
    memcpy(opening->credential, own->name, sizeof opening->credential);
    opening->version = tries_staged ? own->staged_version : own->version;
    if (tries_staged || !job->plan.manager[0])
        return opening->version ? vlt_ok() : vlt_fail(VLT_CONFLICT, gone);
    VLT_TRY(credential_there_read(keeper, job->tenant, bytes_of_text(job->plan.manager), 0,
                                  &manager));
    memcpy(opening->credential, manager.record.name, sizeof opening->credential);
    opening->version = manager.state.version;
    bool is_active = manager.state.status == RECORD_CREDENTIAL_ACTIVE;
    credential_there_done(&manager);
    return is_active ? vlt_ok()
                     : vlt_fail(VLT_DENIED, "the credential that makes the keys is disabled");
}

// ---- After the record is durable ----

// Still this step, and still that version of a credential that is not disabled.
static vlt_result decide_again(struct keeper *keeper, const struct opening *opening) {
    struct opening now;
    struct job job;
    VLT_TRY(job_read_as(keeper, opening->tenant, bytes_of_text(opening->job), opening->revision,
                        &job));
    vlt_result result = choose(keeper, &job, &now);
    job_done(&job);
    VLT_TRY(result);
    return now.version == opening->version && strcmp(now.credential, opening->credential) == 0
               ? vlt_ok()
               : vlt_fail(VLT_CONFLICT, gone);
}

static vlt_result decrypt(struct keeper *keeper, const struct opening *opening) {
    uint8_t context[RECORD_CREDENTIAL_CONTEXT_MAX], room[RECORD_SECRET_NAME_MAX];
    struct bytes value, name = bytes_of_text(opening->credential);
    struct record_credential_secret secret;
    VLT_TRY(decide_again(keeper, opening));
    VLT_TRY(store_get(keeper->store, opening->tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(name, opening->version, room), &value, NULL));
    VLT_TRY(record_credential_secret_get(value, &secret));
    struct wire_writer w;
    wire_writer_init(&w, context, sizeof context);
    record_credential_context(&w, opening->tenant, name, opening->version, &secret);
    const struct xaes_key *key = datakey_find(keeper->datakeys, opening->tenant, secret.data_key);
    if (!key || w.failed)
        return vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant is not there any more");
    return xaes_open(key, secret.nonce.at, bytes_of(context, w.size), secret.ciphertext,
                     keeper->plaintext);
}

static void reply(struct keeper *keeper, struct ipc_call *call) {
    const struct answer_job_open answer = {
        .value = bytes_of(secret_borrow(keeper->plaintext), secret_size(keeper->plaintext))};
    reply_job_open(call, vlt_ok(), &answer);
    secret_release(keeper->plaintext);
    secret_wipe(keeper->plaintext);
}

static void event_of(const struct opening *opening, const char *state, struct audit_event *event) {
    rotation_event(event, "rotate.credential.open", state);
    event->tenant = bytes_of_text(opening->tenant_name);
    event->credential = bytes_of_text(opening->credential);
    event->version = opening->version;
}

// The log says that it was permitted; it must also say that it did not leave.
static void refuse_after_all(struct keeper *keeper, const struct opening *opening, vlt_result why) {
    struct audit_event event;
    event_of(opening, "", &event);
    audit_refuse(keeper, opening->call, &event, why);
}

static void recorded(struct audit_wait *wait, vlt_result result) {
    struct opening *opening = (struct opening *)wait;
    struct keeper *keeper = wait->keeper;
    bool is_recorded = vlt_is_ok(result);
    if (is_recorded && keeper->state != KEEPER_UNSEALED)
        result = vlt_fail(VLT_UNAVAILABLE, "the vault is sealed");
    if (vlt_is_ok(result))
        result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = decrypt(keeper, opening);
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result))
        reply(keeper, opening->call);
    else if (is_recorded)
        refuse_after_all(keeper, opening, result);
    else
        reply_failure(opening->call, result);
    free(opening);
}

// ---- Deciding ----

static vlt_result check_host(const struct job *job, const struct record_credential_secret *secret,
                             struct bytes host) {
    struct wire_reader r;
    wire_reader_init(&r, secret->hosts);
    // A program of the configuration runs on this machine and says no host.
    if (strncmp(job->plan.recipe, "exec:", 5) == 0)
        return vlt_ok();
    while (r.next < r.size && !r.failed)
        if (bytes_equal(wire_get_bytes(&r, RECORD_HOST_MAX), host) && !r.failed)
            return vlt_ok();
    return vlt_fail(VLT_DENIED, "the credential that the rotation uses is not for this host");
}

static vlt_result permit(struct keeper *keeper, const struct ask_job_open *ask,
                         const struct job *job, struct opening *opening, uint32_t *ret_data_key) {
    struct record_credential_secret secret;
    struct bytes value;
    uint8_t room[RECORD_SECRET_NAME_MAX];
    VLT_TRY(choose(keeper, job, opening));
    VLT_TRY(store_get(keeper->store, job->tenant, STORE_CREDENTIAL_SECRET,
                      record_credential_secret_name(bytes_of_text(opening->credential),
                                                    opening->version, room),
                      &value, NULL));
    VLT_TRY(record_credential_secret_get(value, &secret));
    *ret_data_key = secret.data_key;
    // What is compared here is authenticated when the record is decrypted.
    return check_host(job, &secret, ask->host);
}

static void record(struct keeper *keeper, const struct ask_job_open *ask, const struct job *job,
                   struct opening *opening, vlt_result result) {
    struct audit_event event;
    tenant_name_find(keeper->store, job->tenant, opening->tenant_name);
    event_of(opening, record_rotation_state_name(job->record.state), &event);
    event.host = ask->host;
    if (vlt_is_ok(result)) {
        opening->wait.done = recorded;
        audit_first(keeper, &event, &opening->wait);
        return;
    }
    audit_refuse(keeper, opening->call, &event, result);
    free(opening);
}

static vlt_result begin(struct keeper *keeper, struct ipc_call *call,
                        const struct ask_job_open *ask, struct bytes frame) {
    struct job job;
    uint32_t data_key = 0;
    VLT_TRY(job_read_as(keeper, ask->tenant, ask->name, ask->revision, &job));
    struct opening *opening = calloc(1, sizeof *opening);
    if (!opening) {
        job_done(&job);
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a call");
    }
    opening->call = call;
    opening->tenant = ask->tenant;
    opening->revision = ask->revision;
    memcpy(opening->job, job.record.name, sizeof opening->job);
    vlt_result result = permit(keeper, ask, &job, opening, &data_key);
    bool is_parked = vlt_is_ok(result) && !datakey_find(keeper->datakeys, ask->tenant, data_key);
    if (is_parked) {
        result = datakey_park(keeper->datakeys, ask->tenant, data_key, call, IPC_ASK_job_open,
                              frame);
        is_parked = vlt_is_ok(result);
    }
    if (is_parked)
        free(opening);
    else
        record(keeper, ask, &job, opening, result);
    job_done(&job);
    return vlt_ok();
}

void answer_job_open(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_job_open ask;
    if (!vlt_is_ok(ask_job_open_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_job_open");
        return;
    }
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = begin(keeper, call, &ask, frame);
        store_snapshot_end(keeper->store);
    }
    if (!vlt_is_ok(result))
        reply_failure(call, result);
}
