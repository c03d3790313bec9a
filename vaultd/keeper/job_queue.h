// SPDX-License-Identifier: Apache-2.0
// Which rotations at providers are under way or due: found by a look at the plans,
// some hundred in a turn of the loop. Nothing but the store remembers them.
#ifndef VLT_KEEPER_JOB_QUEUE_H
#define VLT_KEEPER_JOB_QUEUE_H

#include "vaultd/keeper/job.h"

#define JOB_QUEUE_MAX 256 // more wait for the next look

struct job_place {
    uint32_t tenant;
    char name[RECORD_NAME_MAX + 1];
};
struct job_queue {
    struct job_place places[JOB_QUEUE_MAX];
    size_t count, next;
    uint32_t tenant; // where the look goes on; 0: none is under way
    uint8_t after[STORE_NAME_MAX]; // as a record may be named, not as it should be
    size_t after_bytes;
};

// Once a second: looks, and begins what is due by age.
void job_queue_tick(struct keeper *keeper);
void job_queue_add(struct keeper *keeper, uint32_t tenant, struct bytes name);
// The next one that is ready; the caller owns it. Within a snapshot. false: none.
bool job_queue_next(struct keeper *keeper, struct job *ret_job);
// The vault is sealed: the next look begins at the beginning.
void job_queue_forget(struct keeper *keeper);

#endif
