// SPDX-License-Identifier: Apache-2.0
// The keeper's half of each call: one file for each, answer_NAME.c. Every one
// decodes its frame, decides, has the decision recorded (audit_first) and
// answers later. A frame that does not decode costs the peer its channel.
#ifndef VLT_KEEPER_ANSWER_H
#define VLT_KEEPER_ANSWER_H

#include "vaultd/keeper/keeper.h"

typedef void answer_fn(struct keeper *keeper, struct ipc_call *call, struct bytes frame);
answer_fn answer_sign, answer_open, answer_revoke_token, answer_revoke_rule, answer_commit,
    answer_credential_put, answer_credential_state, answer_credential_step, answer_tenant_create,
    answer_status, answer_serving, answer_init, answer_seal, answer_job_next, answer_job_open,
    answer_job_report, answer_job_minted, answer_job_order, answer_rotate, answer_key_list,
    answer_key_destroy, answer_credential_rollback, answer_sign_checkpoint, answer_recovery_key,
    answer_recover, answer_backup_begin, answer_backup_next, answer_attest, answer_boot_show,
    answer_boot_approve, answer_device_list, answer_device_change;

#endif
