// SPDX-License-Identifier: Apache-2.0
// Rotation of one credential at its provider: the plan, how far it is, and the
// credential, read together. The rotator does what lies outside; every edge is
// here (docs/rotation.md), and each is one commit.
#ifndef VLT_KEEPER_JOB_H
#define VLT_KEEPER_JOB_H

#include "libvault/store/record_rotation.h"
#include "vaultd/ipc/credential_change.h"
#include "vaultd/keeper/credential_there.h"

#define JOB_VERIFY_TRIES 5 // a new key may take seconds to be known everywhere

struct job {
    uint32_t tenant;
    struct record_rotation_plan plan; // owned
    struct record_rotation_job record;
    uint64_t revision; // of the record; 0: there is none yet, and it is idle
    struct credential_there there; // owned
};

// Within a snapshot. VLT_NOT_FOUND: no such credential, or no plan for it.
vlt_result job_read(struct keeper *keeper, uint32_t tenant, struct bytes name,
                    struct job *ret_job) VLT_MUST_USE;
// The same for a message of the rotator: VLT_CONFLICT unless it is about this
// revision and the credential is active.
vlt_result job_read_as(struct keeper *keeper, uint32_t tenant, struct bytes name,
                       uint64_t revision, struct job *ret_job) VLT_MUST_USE;
void job_done(struct job *job);
// Is there something for the rotator to do now?
bool job_is_ready(const struct job *job, int64_t now_s);

// Adds the record as it is now. VLT_UNAVAILABLE: out of memory.
vlt_result job_add(const struct job *job, struct change *change) VLT_MUST_USE;
// The change of a step: recorded as operation `rotate.credential.…` of vaultd
// itself. NULL: out of memory. Within a snapshot.
struct change *
job_change_new(struct keeper *keeper, struct ipc_call *call, const struct job *job,
               const char *operation, const char *subject,
               void (*answer)(struct change *change, vlt_result result, uint64_t revision));
// To be said besides; nobody waits for it. Within a snapshot.
void job_note(struct keeper *keeper, const struct job *job, const char *operation,
              const char *subject, const char *error);

// ---- Edges ----

// VLT_CONFLICT: a version is staged by hand, or the credential is disabled.
vlt_result job_order(struct job *job) VLT_MUST_USE;
// It failed: the state stays, the next try comes later.
void job_defer(struct keeper *keeper, struct job *job, const char *error);
// The staged version is in use; `there` was promoted already.
void job_promoted(struct job *job);
// The staged version is given up, and so is its key at the provider.
void job_abandoned(struct job *job, const char *error);
// The value before is in use again (`record` as it is now): the new key ends
// instead of the old one. Adds nothing where no rotation waits for that.
vlt_result job_rolled_back(struct keeper *keeper, uint32_t tenant,
                           const struct record_credential *credential,
                           struct change *change) VLT_MUST_USE;
// A step by hand (enum credential_step) on a credential whose version the rotator
// has staged: only giving up is one. Adds what follows for the job.
vlt_result job_stepped(struct keeper *keeper, uint32_t tenant, struct bytes name, unsigned step,
                       struct change *change) VLT_MUST_USE;

#endif
