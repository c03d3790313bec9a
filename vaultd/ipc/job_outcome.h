// SPDX-License-Identifier: Apache-2.0
// What became of a step of a rotation at a provider: field of ask_job_report.
#ifndef VLT_IPC_JOB_OUTCOME_H
#define VLT_IPC_JOB_OUTCOME_H

enum job_outcome {
    JOB_BEGUN = 1, // ordered: from here on a key may be made. mark, ids, key_id
    JOB_CLEANED,   // minting: what nobody has is revoked (ids), or can not be found (why)
    JOB_VERIFIED,  // staged: the new key works
    JOB_REFUSED,   // staged: the provider does not take it
    JOB_REVOKED,   // revoking, cleaning: the key is gone
    JOB_FAILED,    // any: try again later (why)
    JOB_OUTCOME_COUNT
};

#endif
