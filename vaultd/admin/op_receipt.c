// SPDX-License-Identifier: Apache-2.0
// The receipt of one decision: an entry of the audit log and the proof of it.
#include "libvault/audit/checkpoint.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

static void receipt_known(vlt_result result, const struct answer_prove *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result))
        answer_problem(work->x, answer_status(result.class), "number", "%s", result.reason);
    else
        answer_json(work->x, 200,
                    json_pack("{s:s%,s:s%}", "entry", answer->entry.at, answer->entry.size, "proof",
                              answer->proof.at, answer->proof.size),
                    0);
    work_free(work);
}

OP(op_audit_proof) {
    struct admin *admin = ctx;
    uint64_t number = 0;
    if (!vlt_is_ok(checkpoint_number_parse(http_parameter(parameters, "number"), &number))) {
        answer_problem(x, 404, "number", "entries of the audit log are numbered from 1");
        return;
    }
    struct admin_work *work = work_new(admin, x, "audit.prove");
    if (!work)
        return;
    const struct ask_prove ask = {.sequence = number};
    ask_prove(admin->auditor, &ask, receipt_known, work);
}
