// SPDX-License-Identifier: Apache-2.0
// One step of one rotation: what the keeper said, and how far it is.
//
//   ordered             list → say what there is → mint → seal → hand in
//   minting             list → revoke what nobody has → say so
//   staged              verify → say so
//   revoking, cleaning  revoke → say so
//
// Each ends in one message that the keeper commits. When this process dies in
// between, the keeper offers the step again.
#ifndef VLT_ROTATOR_WORK_H
#define VLT_ROTATOR_WORK_H

#include "vaultd/rotator/rotator.h"

// Takes what the answer says; ends by itself, then calls rotator_look.
void work_begin(struct rotator *rotator, const struct answer_job_next *next);
void work_free(struct work *work); // wipes the values; NULL is fine

#endif
