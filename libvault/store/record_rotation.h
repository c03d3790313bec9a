// SPDX-License-Identifier: Apache-2.0
// STORE_ROTATION_PLAN: how a credential is rotated at its provider; an
// administrator writes it (schemas/rotation-plan.schema.json). STORE_ROTATION_JOB:
// how far that is; the keeper writes it, before each step whose outcome could get
// lost (schemas/rotation-job.schema.json). Neither has a secret. Names of both are
// the credential's. docs/rotation.md has the state machine.
#ifndef VLT_STORE_RECORD_ROTATION_H
#define VLT_STORE_RECORD_ROTATION_H

#include "libvault/store/record_tenant.h"

#define RECORD_RECIPE_MAX 69     // "exec:" and a name
#define RECORD_PROVIDER_ID_MAX 256 // of a key at its provider
#define RECORD_KNOWN_MAX 16

struct record_rotation_plan {
    char name[RECORD_NAME_MAX + 1];
    char recipe[RECORD_RECIPE_MAX + 1];
    json_t *parameters;                // owned; object of texts
    char manager[RECORD_NAME_MAX + 1]; // credential that makes keys; "": it does so itself
    uint32_t days;                     // rotated when so old; 0: rotation.credential_days
    uint32_t grace_s;                  // the old key works that long
    char key_id[RECORD_PROVIDER_ID_MAX + 1]; // at the provider, of the value in use; "": unknown
    uint32_t key_version;                    // of which version that is
    int64_t created_at;
};
vlt_result record_rotation_plan_parse(struct bytes json, struct fault *fault,
                                      struct record_rotation_plan *ret_plan) VLT_MUST_USE;
void record_rotation_plan_done(struct record_rotation_plan *plan);
json_t *record_rotation_plan_json(const struct record_rotation_plan *plan);

enum record_rotation_state {
    RECORD_ROTATION_IDLE = 1,
    RECORD_ROTATION_ORDERED,  // nothing has happened at the provider yet
    RECORD_ROTATION_MINTING,  // a key may have been made that nobody has
    RECORD_ROTATION_STAGED,   // the new value is here and not tried yet
    RECORD_ROTATION_REVOKING, // it is in use; the old key ends after its grace
    RECORD_ROTATION_CLEANING, // it does not work: it is given up, and ends at the provider
    RECORD_ROTATION_FAILED,   // as idle, with the reason
    RECORD_ROTATION_STATE_COUNT
};
const char *record_rotation_state_name(enum record_rotation_state state);

struct record_rotation_job {
    char name[RECORD_NAME_MAX + 1];
    enum record_rotation_state state;
    char mark[RECORD_NAME_MAX + 1]; // name of the new key at the provider
    size_t known_count;             // keys that were there before, where none has a name
    char known[RECORD_KNOWN_MAX][RECORD_PROVIDER_ID_MAX + 1];
    char new_id[RECORD_PROVIDER_ID_MAX + 1];     // of the staged version
    char old_id[RECORD_PROVIDER_ID_MAX + 1];     // to be revoked
    char current_id[RECORD_PROVIDER_ID_MAX + 1]; // of `current_version`
    uint32_t current_version;
    int64_t revoke_at, not_before; // POSIX seconds
    int64_t began_at, ended_at;
    uint32_t attempts; // of the present state that failed
    char error[257];   // of the last one
};
vlt_result record_rotation_job_parse(struct bytes json, struct fault *fault,
                                     struct record_rotation_job *ret_job) VLT_MUST_USE;
json_t *record_rotation_job_json(const struct record_rotation_job *job);
// Something is still to be done.
bool record_rotation_is_under_way(const struct record_rotation_job *job);

#endif
