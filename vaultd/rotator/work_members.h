// SPDX-License-Identifier: Apache-2.0
// A step from inside: work.c (keeper), work_call.c (provider). Nobody else
// includes it.
#ifndef VLT_ROTATOR_WORK_MEMBERS_H
#define VLT_ROTATOR_WORK_MEMBERS_H

#include "libvault/crypto/jwe.h"
#include "libvault/store/record_rotation.h"
#include "vaultd/ipc/job_outcome.h"
#include "vaultd/rotator/work.h"

struct work {
    struct rotator *rotator;
    enum record_rotation_state state;
    uint32_t tenant;
    uint64_t revision;
    char name[RECORD_NAME_MAX + 1], mark[RECORD_NAME_MAX + 1];
    char key_id[RECIPE_ID_MAX + 1]; // to be revoked; of the new one once it is made
    char host[256];                 // to which the value may go
    const struct recipe *recipe;
    struct recipe *program_recipe; // owned; NULL: `recipe` is of the set
    char *program;                 // behind "exec:" in it; NULL: https
    json_t *parameters;            // owned
    struct jwk *intake;            // owned
    struct secret *value;          // that the keeper opened for this step
    struct recipe_keys known;      // ids; of before
    struct recipe_keys orphans;
    size_t next_orphan;
    struct jwe_intake_fields *minted; // owned; sealed, until the keeper has it
    unsigned tries;                   // of handing it in
    struct event *retry;
    char in_use_id[RECIPE_ID_MAX + 1];
};

// work_call.c: the provider. Each goes on by itself.
void work_call(struct work *work, enum recipe_step step);
vlt_result work_host(struct work *work, enum recipe_step step, struct fault *fault) VLT_MUST_USE;
// work.c: the keeper. Each ends the work, but for work_begun.
void work_report(struct work *work, enum job_outcome outcome, const struct recipe_keys *ids,
                 const char *why);
void work_begun(struct work *work, const struct recipe_keys *ids); // then mints
void work_hand_in(struct work *work);

#endif
